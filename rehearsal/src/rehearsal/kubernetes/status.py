"""The answers other than success, in the words of a Kubernetes API server.

Reasons and messages follow `k8s.io/apimachinery/pkg/api/errors`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.kubernetes.resources import Resource, Target
from rehearsal.kubernetes.store import Object


class StatusError(Exception):
    """Raised for a refused request; has an HTTP status, a reason and a message."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body: Object = {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
        if details is not None:
            self.body["details"] = {name: value for name, value in details.items() if value}


@dataclass(frozen=True)
class Cause:
    """One fault of an object: the path of its field, a message, and the name of the reason."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


def not_found(resource: Resource, name: str) -> StatusError:
    """Return the error for an object that does not exist."""
    return _of(resource, name, 404, "NotFound", "{} not found")


def already_exists(resource: Resource, name: str) -> StatusError:
    """Return the error for an object that already exists."""
    return _of(resource, name, 409, "AlreadyExists", "{} already exists")


def modified(resource: Resource, name: str) -> StatusError:
    """Return the error for an object that has changed since the client read it."""
    why = "the object has been modified; please apply your changes to the latest version and try"
    message = f"Operation cannot be fulfilled on {{}}: {why} again"
    return _of(resource, name, 409, "Conflict", message)


def another(resource: Resource, name: str, wanted: str, found: str) -> StatusError:
    """Return the error for an object that is not the one that the client read, by its uid."""
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    return _of(resource, name, 409, "Conflict", f"Operation cannot be fulfilled on {{}}: {why}")


def version_given() -> StatusError:
    """Return the error for a new object with a resourceVersion. Kubernetes has no reason for it."""
    message = "resourceVersion should not be set on objects to be created"
    return StatusError(500, "", message)


def forbidden(user: str, verb: str, target: Target) -> StatusError:
    """Return the error for a request that no role allows."""
    where = f'in the namespace "{target.scope}"' if target.scope else "at the cluster scope"
    message = (
        f'{{}} is forbidden: User "{user}" cannot {verb} resource "{target.resource}"'
        f' in API group "{target.group}" {where}'
    )
    return _of(target, target.name or target.selected, 403, "Forbidden", message)


def bad_request(message: str) -> StatusError:
    """Return the error for a request that cannot be understood."""
    return StatusError(400, "BadRequest", message)


def not_done(what: str) -> StatusError:
    """Return the error for a valid request that only a real API server supports."""
    return StatusError(501, "NotImplemented", f"the rehearsal's Kubernetes API does not do {what}")


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """Return the error for an object that breaks rules of its kind."""
    faults = [f"{cause.field}: {cause.message}" for cause in causes]
    text = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
    message = f'{f"{kind}.{group}".rstrip(".")} "{name}" is invalid: {text}'
    given = [vars(cause) for cause in causes]
    details = {"name": name, "group": group, "kind": kind, "causes": given}
    return StatusError(422, "Invalid", message, details)


def deleted(resource: Resource, obj: Object) -> Object:
    """Return the Status that confirms that an object was deleted."""
    metadata = obj["metadata"]
    details = {"name": metadata["name"], "group": resource.group, "kind": resource.plural}
    given = {name: value for name, value in details.items() if value} | {"uid": metadata["uid"]}
    success: Object = {"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success"}
    return {**success, "details": given}


def _of(
    about: Resource | Target, name: str | None, code: int, reason: str, text: str
) -> StatusError:
    named = f"{about.plural}.{about.group}".rstrip(".") + (f' "{name}"' if name else "")
    details = {"name": name, "group": about.group, "kind": about.plural}
    return StatusError(code, reason, text.format(named), details)
