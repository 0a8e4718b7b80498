"""Schemas: the fields of each kind, and their types.

The schemas of built-in kinds come from lightkube, which generates them from Kubernetes' own. The
schema of a custom resource is in its definition. Types, required fields and enumerations are
checked; patterns, limits, `oneOf` and the like are not.
"""

import datetime
import functools
import importlib
import json
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rehearsal.kubernetes.patches import is_list, is_map
from rehearsal.kubernetes.resources import Resource
from rehearsal.kubernetes.status import Cause
from rehearsal.kubernetes.store import Object

_ANYTHING = "x-kubernetes-preserve-unknown-fields"
_EITHER = "x-kubernetes-int-or-string"
_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    datetime.datetime: "string",
}
_OF_JSON = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}


@dataclass
class Findings:
    """Findings about an object: the fields that its schema lacks, and its faults, by reason."""

    unknown: list[str] = field(default_factory=list[str])
    faults: list[Cause] = field(default_factory=list[Cause])

    @property
    def mistyped(self) -> list[Cause]:
        """The faults of values that have a wrong type."""
        return [fault for fault in self.faults if fault.reason == "FieldValueTypeInvalid"]


def fitted(resource: Resource, obj: Object, findings: Findings) -> Object:
    """Return an object without the fields that its kind lacks, and add the findings."""
    if resource.custom:
        meta = {name: {_ANYTHING: True} for name in ("apiVersion", "kind", "metadata")}
        schema = resource.schema
        return _fit(
            {**schema, "properties": meta | schema.get("properties", {})}, obj, "", findings
        )
    return _fit(built_in(resource), _without_nulls(obj), "", findings)


@functools.cache
def built_in(resource: Resource) -> Object:
    """Return the schema of a built-in kind."""
    models = importlib.import_module(
        f"lightkube.models.{_module(resource.group, resource.version)}"
    )
    schema = _of_class(getattr(models, resource.kind))
    # A write to an object does not write its status.
    return {**schema, "properties": schema["properties"] | {"status": {_ANYTHING: True}}}


@functools.cache
def is_of_kubernetes(group: str, version: str, plural: str) -> bool:
    """Return whether a real Kubernetes serves a kind, also if the rehearsal does not."""
    try:
        found = importlib.import_module(f"lightkube.resources.{_module(group, version)}")
    except ModuleNotFoundError:
        return False
    about = [getattr(each, "_api_info", None) for each in vars(found).values()]
    named = {(each.resource.group, each.plural) for each in about if each}
    return (group, plural) in named


def _module(group: str, version: str) -> str:
    """Return the name of lightkube's module for a group and version."""
    return f"{group.partition('.')[0] or 'core'}_{version}"


@functools.cache
def _of_class(model: Any) -> Object:
    if model.__name__ == "JSONSchemaProps":  # it contains itself
        return {_ANYTHING: True}
    # lightkube's own fields begin with an underscore. An underscore at the end avoids a keyword of
    # Python.
    hints = {n: hint for n, hint in typing.get_type_hints(model).items() if not n.startswith("_")}
    optional = {name for name, hint in hints.items() if type(None) in typing.get_args(hint)}
    properties = {name.rstrip("_"): _of_hint(hint) for name, hint in hints.items()}
    return {"type": "object", "properties": properties, "required": sorted({*hints} - optional)}


def _of_hint(hint: Any) -> Object:
    arguments = [each for each in typing.get_args(hint) if each is not type(None)]
    origin = typing.get_origin(hint)
    if origin is list:
        return {"type": "array", "items": _of_hint(arguments[0])}
    if origin in (typing.Union, types.UnionType):
        return _of_hint(arguments[0]) if len(arguments) == 1 else {_EITHER: True}
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    if hint is dict or origin is dict:
        return {"type": "object", _ANYTHING: True}
    return _of_class(hint) if typing.get_type_hints(hint) else {_ANYTHING: True}


def _fit(schema: Object, value: Any, path: str, findings: Findings) -> Any:
    findings.faults += _faults(schema, value, path)
    if is_list(value) and "items" in schema:
        return [_fit(schema["items"], v, f"{path}[{i}]", findings) for i, v in enumerate(value)]
    if is_map(value) and schema.get("type") == "object":
        return _fit_fields(schema, value, path, findings)
    return value


def _fit_fields(schema: Object, value: Object, path: str, findings: Findings) -> Object:
    kept: Object = {}
    properties: Object = schema.get("properties", {})
    additional = schema.get("additionalProperties") or {_ANYTHING: True}
    open_ended = schema.get(_ANYTHING) or schema.get("additionalProperties")
    for name, child in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name in properties or open_ended:
            below = properties.get(name, additional)
            kept[name] = _fit(below if is_map(below) else {}, child, where, findings)
        else:
            findings.unknown.append(where)
    return kept


def _faults(schema: Object, value: Any, path: str) -> Iterator[Cause]:
    wanted = schema.get("type")
    if value is None and schema.get("nullable"):
        return
    if schema.get(_EITHER) and not isinstance(value, int | str):
        wanted = "integer or string"
    elif wanted is None or _is(value, wanted):
        yield from _missing(schema, value, path)
        return
    given = next((name for name in _OF_JSON if _is(value, name)), "null")
    why = f"{path} in body must be of type {wanted}"
    message = f'Invalid value: "{given}": {why}: "{given}"'
    yield Cause(path, message, "FieldValueTypeInvalid")


def _missing(schema: Object, value: Any, path: str) -> Iterator[Cause]:
    for name in schema.get("required", ()) if is_map(value) else ():
        if name not in value:
            yield Cause(f"{path}.{name}".lstrip("."), "Required value", "FieldValueRequired")
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(map(json.dumps, schema["enum"]))
        message = f"Unsupported value: {json.dumps(value)}: supported values: {allowed}"
        yield Cause(path, message, "FieldValueNotSupported")


def _is(value: Any, name: str) -> bool:
    is_number = name in ("integer", "number")
    return isinstance(value, _OF_JSON[name]) and not (is_number and isinstance(value, bool))


def _without_nulls(value: Any) -> Any:
    """Return a value as Kubernetes decodes it: without fields that are null."""
    if is_map(value):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return [_without_nulls(item) for item in value] if is_list(value) else value
