"""Field managers: `metadata.managedFields`, and server-side apply.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rehearsal.kubernetes.patches import at, is_keyed_list, is_map
from rehearsal.kubernetes.status import Cause, StatusError, not_done
from rehearsal.kubernetes.store import Object

Manager = tuple[str, str, str]
"""A field manager: its name, its operation (`Apply` or `Update`), and an apiVersion."""

_Path = tuple[str, ...]
_Owners = dict[Manager, set[_Path]]


def written(old: Object | None, new: Object, manager: Manager) -> Object:
    """Return a written object whose managedFields assign the changed fields to the manager."""
    changed = _changed(_leaves(old or {}), _leaves(new))
    owners = {other: paths - changed for other, paths in _owners(old).items()}
    return _signed(new, {**owners, manager: owners.get(manager, set[_Path]()) | changed})


def applied(live: Object | None, wanted: Object, manager: Manager, force: bool) -> Object:
    """Return the result of a server-side apply on a live object, or on none if it is to be created.

    `wanted` holds all fields that the manager applies. Fields that it applied earlier and now omits
    are removed.

    Raises:
        StatusError: 409 if others manage a field with another value, and `force` is not given.
    """
    want, have, owners = _leaves(wanted), _leaves(live or {}), _owners(live)
    if live and not owners:
        owners = {("before-first-apply", "Update", live["apiVersion"]): set(have)}
    mine = owners.pop(manager, set[_Path]())
    taken = _changed(have, want) & want.keys()
    if not force:
        _refuse_conflicts({other: paths & taken for other, paths in owners.items()})
    result: Any = live or wanted
    for path in (mine & have.keys()) - want.keys() - set[_Path]().union(*owners.values()):
        result = _without(result, path)
    for path, value in want.items():
        # As in Kubernetes, a map that the removal has emptied becomes null, and not an empty map.
        emptied = value == {} and at(live, *path) and not at(result, *path)
        result = _with(result, path, None if emptied else value)
    owners = {other: paths - taken for other, paths in owners.items()}
    return _signed(result, {**owners, manager: set(want)})


def refuse_keyed_lists(wanted: Any) -> None:
    """Refuse, with 501, lists whose items may have different managers in Kubernetes."""
    for field, value in wanted.items() if is_map(wanted) else ():
        if is_keyed_list(value, field):
            raise not_done(f"server-side apply of {field}")
        refuse_keyed_lists(value)


def _leaves(value: Any, path: _Path = ()) -> dict[_Path, Any]:
    """Return the paths that can have a manager, the leaves of all maps, with their values."""
    if path in (("apiVersion",), ("kind",)):
        return {}
    if path and not (is_map(value) and value):
        return {path: value}
    names = ("annotations", "labels") if path == ("metadata",) else tuple(value)
    below = (_leaves(value[name], (*path, name)) for name in names if name in value)
    return {leaf: end for leaves in below for leaf, end in leaves.items()}


def _changed(old: dict[_Path, Any], new: dict[_Path, Any]) -> set[_Path]:
    either = old.keys() | new.keys()
    return {path for path in either if old.get(path, either) != new.get(path, either)}


def _with(node: Any, path: _Path, value: Any) -> Any:
    """Return a map with a value set at a path below it."""
    fields = node if is_map(node) else {}
    if not path:
        return fields if value == {} else value
    return {**fields, path[0]: _with(fields.get(path[0]), path[1:], value)}


def _without(node: Any, path: _Path) -> Any:
    """Return a map without the value at a path below it, or None if nothing is left."""
    if not path or not is_map(node):
        return None
    left = {**node, path[0]: _without(node.get(path[0]), path[1:])}
    return {name: value for name, value in left.items() if value is not None} or None


def _refuse_conflicts(conflicts: _Owners) -> None:
    causes = [
        Cause(f".{'.'.join(path)}", f"conflict with {_named(other)}", "FieldManagerConflict")
        for other, paths in conflicts.items()
        for path in sorted(paths)
    ]
    if causes:
        details = {"causes": [vars(cause) for cause in causes]}
        raise StatusError(409, "Conflict", _conflict_message(causes), details)


def _conflict_message(causes: Sequence[Cause]) -> str:
    if len(causes) == 1:
        return f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    lines: list[str] = []
    for message, same in itertools.groupby(causes, key=lambda cause: cause.message):
        lines += [f"{message.replace('conflict', 'conflicts', 1)}:"]
        lines += [f"- {cause.field}" for cause in same]
    return f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)


def _named(manager: Manager) -> str:
    name, operation, api_version = manager
    return f'"{name}"' + (f" using {api_version}" if operation == "Update" else "")


def _owners(obj: Object | None) -> _Owners:
    entries = obj["metadata"].get("managedFields", ()) if obj else ()
    return {
        (entry["manager"], entry["operation"], entry["apiVersion"]): set(
            _decoded(entry["fieldsV1"])
        )
        for entry in entries
    }


def _signed(obj: Object, owners: _Owners) -> Object:
    entries = [
        {
            "manager": name,
            "operation": operation,
            "apiVersion": api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": _encoded(paths),
        }
        for (name, operation, api_version), paths in sorted(owners.items())
        if paths
    ]
    metadata = {**obj["metadata"], "managedFields": entries}
    if not entries:
        del metadata["managedFields"]
    return {**obj, "metadata": metadata}


def _encoded(paths: Iterable[_Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for name in path:
            node = node.setdefault(f"f:{name}", {})
    return tree


def _decoded(tree: Object, path: _Path = ()) -> Iterator[_Path]:
    if not tree:
        yield path
    for element, below in tree.items():
        yield from _decoded(below, (*path, element.removeprefix("f:")))
