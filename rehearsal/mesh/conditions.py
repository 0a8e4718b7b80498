"""Conditions of an AuthorizationPolicy, as Envoy has them: permissions (rule), principals (id)."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rehearsal.mesh.envoy import Json, extension
from rehearsal.mesh.identity import SPIFFE, TRUST_DOMAIN

Conditions = Mapping[Any, Sequence[str]]
"""The values of each field, by its name in Istio; of a `not` field none may match."""


def all_of(kind: str, conditions: Conditions, unseen: Collection[str] = ()) -> Json:
    """Return what holds where every condition does, but for those that are not seen.

    Raises:
        ValueError: a value is not what Istio takes.
    """
    seen = {name: values for name, values in conditions.items() if values and name not in unseen}
    return both(kind, [_one(kind, name, values) for name, values in seen.items()])


def both(kind: str, each: Sequence[Json]) -> Json:
    """Return what holds where each of some conditions does."""
    return {f"and_{kind}s": {f"{kind}s": each}} if each else {"any": True}


def _one(kind: str, name: str, values: Sequence[str]) -> Json:
    positive = name.removeprefix("not").lower()
    any_of = {f"or_{kind}s": {f"{kind}s": [_MATCHERS[positive](value) for value in values]}}
    return any_of if name.lower() == positive else {f"not_{kind}": any_of}


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


def _principal(value: str) -> Json:
    return _caller(_text(value if value.startswith("*") and value != "*" else SPIFFE + value))


def _service_account(value: str) -> Json:
    namespace, _, name = value.rpartition("/")
    if "*" in value or not name or "/" in namespace:
        raise ValueError(f"{value!r} is no service account")
    return _principal(f"{TRUST_DOMAIN}/ns/{namespace}/sa/{name}")


def _namespace(value: str) -> Json:
    """Match the namespace in a principal; all principals are of one form."""
    if value.startswith("*"):
        return _caller({"contains": f"{value[1:]}/sa/"})
    start = f"{SPIFFE}{TRUST_DOMAIN}/ns/{value}"
    return _caller(_text(start if value.endswith("*") else f"{start}/*"))


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
        return {"safe_regex": {"regex": ".+"}}
    if value.startswith("*"):
        return {"suffix": value[1:]}
    return {"prefix": value[:-1]} if value.endswith("*") else {"exact": value}


_LITERAL = r"[\w.~%!$&'()+,;:@=-]+"
_TEMPLATE = re.compile(rf"(/(\{{\*\}}|{_LITERAL}))*(/\{{\*\*\}})?(/{_LITERAL})*/?", re.ASCII)
_MATCHERS: Mapping[str, Callable[[str], Json]] = {
    "principals": _principal,
    "namespaces": _namespace,
    "serviceaccounts": _service_account,
    "hosts": _host,
    "ports": _port,
    "methods": _method,
    "paths": _path,
}
