"""Reviews of a client's own rights: `kubectl auth can-i`.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from rehearsal.kubernetes import rbac
from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.resources import Target
from rehearsal.kubernetes.status import bad_request, not_done
from rehearsal.kubernetes.store import Object, Store

_ABOUT: Object = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
_NAMES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
"""The fields of ResourceAttributes in the order of their numbers in protobuf."""


def is_review(request: Request) -> bool:
    """Return whether a request asks for a review."""
    target = request.target
    wanted = ("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "create")
    return (target.group, target.version, target.plural, request.verb) == wanted


def review(store: Store, request: Request) -> Answer:
    """Answer whether a client may use a verb on a resource.

    Raises:
        StatusError: 501 if it asks about paths and not about resources.
    """
    asked = _asked(request)
    if not asked:
        raise not_done("reviews of paths")
    place, name, group = (asked.get(field) or None for field in ("namespace", "name", "group"))
    resource, subresource = asked.get("resource", ""), asked.get("subresource", "")
    target = Target(group or "", "", resource, place, name, subresource)
    allowed = rbac.allowed(store, request.user, asked.get("verb", ""), target)
    spec = {"resourceAttributes": asked}
    return Answer(201, {**_ABOUT, "metadata": {}, "spec": spec, "status": {"allowed": allowed}})


def _asked(request: Request) -> dict[str, str]:
    if request.content_type.endswith("protobuf"):  # kubectl sends no other encoding
        return _decoded(request.body)
    try:
        return request.content()["spec"].get("resourceAttributes")
    except (AttributeError, KeyError, TypeError) as error:
        raise bad_request(f"no {_ABOUT['kind']}: {request.content()}") from error


def _decoded(body: bytes) -> dict[str, str]:
    """Return the attributes in the protobuf envelope of Kubernetes: Unknown, review, spec."""
    message = body.removeprefix(b"k8s\0")
    for number in (2, 2, 1):
        message = _fields(message).get(number, b"")
    return {_NAMES[number - 1]: value.decode() for number, value in _fields(message).items()}


def _fields(message: bytes) -> dict[int, bytes]:
    """Return the fields of a message that holds only texts and messages."""
    found: dict[int, bytes] = {}
    while message:
        key, message = _number(message)
        length, message = _number(message)
        found[key >> 3], message = message[:length], message[length:]
    return found


def _number(message: bytes) -> tuple[int, bytes]:
    end = next(i for i, byte in enumerate(message) if byte < 0x80) + 1
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(message[:end])), message[end:]
