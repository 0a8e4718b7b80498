"""Conditions of an AuthorizationPolicy, as Envoy has them: permissions (rule), principals (id)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rehearsal.mesh.envoy import Json, extension
from rehearsal.mesh.identity import SPIFFE, TRUST_DOMAIN

Conditions = Mapping[Any, Sequence[str]]
"""The values of each field, by its name in Istio; of a `not` field none may match."""
Matchers = Mapping[str, Callable[[str], Json]]
"""The match of one value, by field; a `not` field has the matcher of its opposite."""


def all_of(kind: str, conditions: Conditions, matchers: Matchers) -> Json:
    """Return a match of all conditions, except those on fields without a matcher.

    Raises:
        ValueError: Istio does not accept one of the values.
    """
    seen = {name: values for name, values in conditions.items() if values}
    known = {name: matchers[_field(name)] for name in seen if _field(name) in matchers}
    return both(kind, [_one(kind, name, map(match, seen[name])) for name, match in known.items()])


def are_seen(conditions: Conditions, matchers: Matchers) -> bool:
    """Return whether there is a matcher for each condition."""
    return all(_field(name) in matchers for name, values in conditions.items() if values)


def both(kind: str, each: Sequence[Json]) -> Json:
    """Return a match of all these matches; without any, it is a match of anything."""
    return {f"and_{kind}s": {f"{kind}s": each}} if each else {"any": True}


def _one(kind: str, name: str, matches: Iterable[Json]) -> Json:
    any_of = {f"or_{kind}s": {f"{kind}s": [*matches]}}
    return {f"not_{kind}": any_of} if name.startswith("not") else any_of


def _field(name: str) -> str:
    return name.removeprefix("not").lower()


def _port(value: str) -> Json:
    if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) < 65536:
        raise ValueError(f"{value!r} is not a port")
    return {"destination_port": int(value)}


def _path(value: str) -> Json:
    return _template(value) if re.search("[{}]", value) else {"url_path": {"path": _text(value)}}


def _template(value: str) -> Json:
    """Match a path where `{*}` is one segment and `{**}`, once and last of these, any number."""
    if len(value) > 256 or not _TEMPLATE.fullmatch(value):
        raise ValueError(f"{value!r} is not a path template")
    template = value.replace("{*}", "*").replace("{**}", "**")
    kind = "path.match.uri_template.v3.UriTemplateMatchConfig"
    return {"uri_template": extension(kind, path_template=template)}


def _service_account(value: str) -> Json:
    namespace, _, name = value.rpartition("/")
    if "*" in value or not name or "/" in namespace:
        raise ValueError(f"{value!r} is no service account")
    return _principal(f"{TRUST_DOMAIN}/ns/{namespace}/sa/{name}")


def _principal(value: str, quote: Callable[[str], str] = re.escape) -> Json:
    """Match a principal, which begins after the scheme, with a wildcard at either end."""
    if value.startswith("*") and value != "*":
        return _caller(_regex(f"{SPIFFE}.*{quote(value[1:])}"))
    return _caller(_text(SPIFFE + value))


def _namespace(value: str) -> Json:
    """Match the namespace in a principal by a `*` at one of its ends."""
    first, last = value.startswith("*"), value.endswith("*")
    if first:
        pattern = f"[^/]*{re.escape(value[1:])}"
    else:
        pattern = f"{re.escape(value[:-1])}[^/]*" if last else re.escape(value)
    return _caller(_regex(f".*/ns/{pattern}/sa/.*"))


def _waypoint_principal(value: str) -> Json:
    """Match as Istio has a waypoint do it: the rest of the value is a regular expression."""
    return _principal(value, quote=str)


def _waypoint_namespace(value: str) -> Json:
    """Match as Istio has a waypoint do it: by a regular expression in which any `*` counts."""
    pattern = value.replace("*", ".*")
    return _caller(_regex(f".*/ns/{pattern}/.*"))


def _caller(uri: Json) -> Json:
    return {"authenticated": {"principal_name": uri}}


def _method(value: str) -> Json:
    return {"header": {"name": ":method", "string_match": _text(value)}}


def _host(value: str) -> Json:
    """Match a host in any case. Envoy refuses a regular expression that ignores case."""
    if value == "*":
        return {"header": {"name": ":authority", "present_match": True}}
    return {"header": {"name": ":authority", "string_match": {**_text(value), "ignore_case": True}}}


def _text(value: str) -> Json:
    """Match a text, its end where `*` comes first, its start where `*` comes last."""
    if value == "*":
        return _regex(".+")
    if value.startswith("*"):
        return {"suffix": value[1:]}
    return {"prefix": value[:-1]} if value.endswith("*") else {"exact": value}


def _regex(value: str) -> Json:
    return {"safe_regex": {"regex": value}}


_LITERAL = r"[\w.~%!$&'()+,;:@=-]+"
_TEMPLATE = re.compile(rf"(/(\{{\*\}}|{_LITERAL}))*(/\{{\*\*\}})?(/{_LITERAL})*/?", re.ASCII)

ZTUNNEL: Matchers = {
    "principals": _principal,
    "namespaces": _namespace,
    "serviceaccounts": _service_account,
    "ports": _port,
}
"""The fields that a ztunnel knows, which sees no HTTP."""
WAYPOINT: Matchers = {
    **ZTUNNEL,
    "principals": _waypoint_principal,
    "namespaces": _waypoint_namespace,
    "hosts": _host,
    "methods": _method,
    "paths": _path,
}
"""The fields that a waypoint knows."""
