"""Label and field selectors of a list or a watch.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable, Mapping

from rehearsal.kubernetes.patches import at
from rehearsal.kubernetes.status import bad_request, not_done
from rehearsal.kubernetes.store import Object

Matches = Callable[[Object], bool]

_KEY = r"(?P<key>([\w.-]+/)?[\w.-]+)"
_COMMA = re.compile(r",(?![^(]*\))")
_EXISTS = re.compile(rf"\s*(?P<negative>!?)\s*{_KEY}\s*")
_EQUALS = re.compile(rf"\s*{_KEY}\s*(?P<negative>!?)==?\s*(?P<values>[\w.-]*)\s*")
_IN = re.compile(rf"\s*{_KEY}\s+(?P<negative>not)?in\s*\((?P<values>[^()]*)\)\s*")
_FIELD = re.compile(r"(?P<key>[\w.-]+)(?P<negative>!?)==?(?P<values>[^=]*)")

_ALL = {"metadata.name", "metadata.namespace"}
_FIELDS = {
    "Event": {
        *(f"involvedObject.{key}" for key in ("fieldPath", "kind", "name", "namespace", "uid")),
        *("reason", "type"),
    },
    "Namespace": {"status.phase"},
    "Pod": {"spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"},
    "Secret": {"type"},
    "Service": {"spec.clusterIP", "spec.type"},
}
_NOT_HELD = {
    "Pod": {
        "spec.hostNetwork",
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.nominatedNodeName",
        "status.podIPs",
    }
}
"""Fields that Kubernetes sets in every object, and that objects here may lack."""


def by_query(kind: str, query: Mapping[str, str]) -> Matches:
    """Return the predicate of a request's labelSelector and fieldSelector.

    Raises:
        StatusError: 400 for a selector that makes no sense, and for a field that is not known.
    """
    tests = [_label(text) for text in _parts(query.get("labelSelector", ""))]
    tests += [_field(kind, text) for text in _parts(query.get("fieldSelector", ""))]
    return lambda obj: all(test(obj) for test in tests)


def selected_name(query: Mapping[str, str]) -> str | None:
    """Return the name that a fieldSelector asks for, or None if it leaves more than one object."""
    terms = _parts(query.get("fieldSelector", ""))
    matches = (re.fullmatch(r"metadata\.name==?([^=]+)", term) for term in terms)
    return next((match[1] for match in matches if match), None)


def _parts(selector: str) -> list[str]:
    return _COMMA.split(selector) if selector.strip() else []


def _label(text: str) -> Matches:
    if match := _EXISTS.fullmatch(text):
        return lambda obj: (match["key"] in _labels(obj)) is not bool(match["negative"])
    match = _EQUALS.fullmatch(text) or _IN.fullmatch(text)
    if match is None:
        raise bad_request(f"unable to parse requirement: {text}")
    return _one_of(match, lambda obj: _labels(obj).get(match["key"]))


def _field(kind: str, text: str) -> Matches:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise bad_request(f"invalid field selector: {text}")
    if match["key"] in _NOT_HELD.get(kind, ()):
        raise not_done(f"selection by {match['key']}")
    if match["key"] not in _ALL | _FIELDS.get(kind, set()):
        raise bad_request(f"field label not supported: {match['key']}")
    path = match["key"].split(".")
    return _one_of(match, lambda obj: at(obj, *path) or "")


def _one_of(match: re.Match[str], value: Callable[[Object], str | None]) -> Matches:
    values = {value.strip() for value in match["values"].split(",")}
    return lambda obj: (value(obj) in values) is not bool(match["negative"])


def _labels(obj: Object) -> Object:
    return obj["metadata"].get("labels") or {}
