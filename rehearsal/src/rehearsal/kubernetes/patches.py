"""The patches that change an object in place: strategic merge, JSON merge and JSON patch.

Sources: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/,
RFC 7386 and RFC 6902.
"""

from typing import Any, TypeGuard

import jsonpatch

from rehearsal.kubernetes.status import StatusError, bad_request, not_done
from rehearsal.kubernetes.store import Object

_MERGE_KEYS = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "finalizers": ("",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port"),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists that merge item by item, and the field that identifies an item."""


def is_map(value: Any) -> TypeGuard[Object]:
    """Return whether a JSON value is a map."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a JSON value is a list."""
    return isinstance(value, list)


def at(value: Any, *path: str) -> Any:
    """Return the value at a path of fields, or None if there is none."""
    for name in path:
        value = value.get(name) if is_map(value) else None
    return value


def is_keyed_list(value: Any, field: str) -> TypeGuard[list[Any]]:
    """Return whether a field of a built-in kind is a list that merges item by item."""
    return isinstance(value, list) and field in _MERGE_KEYS


def json_patch(obj: Object, operations: Any) -> Object:
    """Apply the operations of a JSON patch.

    Raises:
        StatusError: 400 if they are malformed, 422 if one cannot be done or its test fails.
    """
    try:
        patch = jsonpatch.JsonPatch(operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    try:
        return patch.apply(obj)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise StatusError(422, "Invalid", f"the server rejected our request: {error}") from error


def merge(obj: Object, patch: Object) -> Object:
    """Apply a JSON merge patch: maps merge, null removes, anything else replaces."""
    result = dict(obj)
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = merge(_map(obj, field), value) if is_map(value) else value
    return result


def strategic(obj: Object, patch: Object) -> Object:
    """Apply a strategic merge patch: a JSON merge in which lists with a key merge item by item.

    Raises:
        StatusError: 400 for an item without its key, 501 for a directive that is not known.
    """
    if patch.get("$patch") == "replace":
        return {field: value for field, value in patch.items() if field != "$patch"}
    kept = patch.get("$retainKeys", obj)
    result = {field: value for field, value in obj.items() if field in kept}
    for field, value in patch.items():
        if value is None or value == {"$patch": "delete"}:
            result.pop(field, None)
        elif field.startswith("$"):
            _check_directive(field)
        elif is_map(value):
            result[field] = strategic(_map(result, field), value)
        elif is_keyed_list(value, field):
            order = patch.get(f"$setElementOrder/{field}", [])
            result[field] = _merge_items(field, result.get(field) or [], value, order)
        else:
            result[field] = value
    return result


def _merge_items(field: str, old: list[Any], changes: list[Any], order: list[Any]) -> list[Any]:
    if field == "finalizers":
        return old + [item for item in changes if item not in old]
    *others, key = _MERGE_KEYS[field]
    key = next((other for other in others if other in (changes + old)[0]), key)
    items = [] if {"$patch": "replace"} in changes else list(old)
    for change in [change for change in changes if change != {"$patch": "replace"}]:
        if key not in change:
            raise bad_request(f"map: {change} does not contain declared merge key: {key}")
        at = next((i for i, item in enumerate(items) if item[key] == change[key]), len(items))
        deleted = change.get("$patch") == "delete"
        merged = strategic(items[at] if at < len(items) else {}, change)
        items[at : at + 1] = [] if deleted else [merged]
    return _ordered(
        items, [i[key] for i in order or changes if key in i], [i[key] for i in old], key
    )


def _ordered(items: list[Any], patch: list[Any], before: list[Any], key: str) -> list[Any]:
    """Return the items in the order of the patch. Other items keep their place among them."""
    ours = sorted(
        (item for item in items if item[key] in patch), key=lambda item: patch.index(item[key])
    )
    theirs = [item for item in items if item[key] not in patch]
    result: list[Any] = []
    while ours and theirs:
        first, other = ours[0][key], theirs[0][key]
        stays = first in before and before.index(other) < before.index(first)
        result.append((theirs if stays else ours).pop(0))
    return result + ours + theirs


def _map(obj: Object, field: str) -> Object:
    value = obj.get(field)
    return value if is_map(value) else {}


def _check_directive(field: str) -> None:
    if field not in ("$patch", "$retainKeys") and not field.startswith("$setElementOrder/"):
        raise not_done(f"the patch directive {field}")
