"""Label and field selectors of a list or a watch.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable, Mapping

from rehearsal.kubernetes.status import bad_request
from rehearsal.kubernetes.store import Object

Matches = Callable[[Object], bool]

_COMMA = re.compile(r",(?![^(]*\))")
_EXISTS = re.compile(r"\s*(?P<negative>!?)\s*(?P<key>[\w./-]+)\s*")
_EQUALS = re.compile(r"\s*(?P<key>[\w./-]+)\s*(?P<negative>!?)==?\s*(?P<values>[\w.-]*)\s*")
_IN = re.compile(r"\s*(?P<key>[\w./-]+)\s+(?P<negative>not)?in\s*\((?P<values>[^()]*)\)\s*")
_FIELD = re.compile(r"metadata\.(?P<key>name|namespace)(?P<negative>!?)==?(?P<values>[\w.-]*)")


def by_query(query: Mapping[str, str]) -> Matches:
    """Return what picks the objects that a request's labelSelector and fieldSelector ask for.

    Raises:
        StatusError: 400 for a selector that makes no sense, and for a field that is not known.
    """
    tests = [_label(text) for text in _parts(query.get("labelSelector", ""))]
    tests += [_field(text) for text in _parts(query.get("fieldSelector", ""))]
    return lambda obj: all(test(obj) for test in tests)


def _parts(selector: str) -> list[str]:
    return _COMMA.split(selector) if selector.strip() else []


def _label(text: str) -> Matches:
    if match := _EXISTS.fullmatch(text):
        return lambda obj: (match["key"] in _labels(obj)) is not bool(match["negative"])
    match = _EQUALS.fullmatch(text) or _IN.fullmatch(text)
    if match is None:
        raise bad_request(f"unable to parse requirement: {text}")
    return _one_of(match, _labels)


def _field(text: str) -> Matches:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise bad_request(f"field label not supported: {text}")
    return _one_of(match, lambda obj: obj["metadata"])


def _one_of(match: re.Match[str], found_in: Callable[[Object], Object]) -> Matches:
    values = {value.strip() for value in match["values"].split(",")}
    return lambda obj: (found_in(obj).get(match["key"]) in values) is not bool(match["negative"])


def _labels(obj: Object) -> Object:
    return obj["metadata"].get("labels") or {}
