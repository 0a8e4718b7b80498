"""`juju run` and `juju actions`."""

import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.cli.status import table
from rehearsal.juju.cli.tasks import (
    NotScheduledError,
    find_unit,
    plain,
    put,
    refuse_failed,
    result,
    waiting_time,
)
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.state import Operation, Unit

_ACTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_WAIT = 60.0
"""Seconds for which `juju run` waits unless told otherwise."""
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


@command("actions", "--format=", "--schema", usage="<application>", aliases=("list-actions",))
def actions(call: Call) -> None:
    """Lists the actions of an application."""
    if not call.args:
        raise UsageError("no application name specified")
    with call.controller.lock:
        charm = call.app(call.args[0]).charm
    if call.options.has("--schema"):
        schemas = {name: _schema(name, spec) for name, spec in sorted(charm.actions.items())}
        call.answer(schemas, to_yaml(schemas))
        return
    described = {
        name: str(spec.get("description") or "No description").strip()
        for name, spec in sorted(charm.actions.items())
    }
    rows = [("Action", "Description"), *described.items()]
    if charm.actions or call.options.get("--format") in ("json", "yaml"):
        call.answer(described, table(rows), "default")
    else:
        call.info(f"No actions defined for {call.args[0]}.")


def _schema(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an action, as Juju makes it of the charm's own words."""
    schema: dict[str, Any] = {"additionalProperties": False, "title": name, "type": "object"}
    schema |= {key: value for key, value in spec.items() if key != "params"}
    schema["properties"] = spec.get("params") or {}
    return dict(sorted(schema.items()))


@command(
    *("run", "--format=", "--wait=", "--params=", "--string-args", "--background", "--utc"),
    usage="<unit> [<unit> ...] <action> [<key>=<value> ...]",
)
def run(call: Call) -> None:
    """Runs an action on units."""
    names, action, params = _arguments(call)
    if call.options.has("--background") and call.options.get("--wait"):
        raise UsageError("cannot specify both --wait and --background")
    deadline = time.monotonic() + waiting_time(call, _WAIT)
    with call.controller.lock:
        operation = Operation(call.model().take_task_id(), action, params)
        faults = list(_schedule(call, operation, names))
    if not operation.tasks:
        call.info(f"Operation {operation.id} failed to schedule any tasks:\n" + "\n".join(faults))
        return
    if faults:
        call.info("Some actions could not be scheduled:\n" + "\n".join(faults) + "\n\n")
    if call.options.has("--background"):
        _scheduled(call, operation)
    else:
        _wait_for(call, operation, deadline)


def _schedule(call: Call, operation: Operation, names: list[str]) -> Iterator[str]:
    """Queue the tasks of an operation, and yield the faults of units that cannot take part."""
    call.model().operations[operation.id] = operation
    for name in names:
        try:
            unit = find_unit(call, name)
            params = dict(operation.params)
            _check(unit, operation.action, params)
        except NotScheduledError as error:
            yield str(error)
        else:
            task = call.controller.run_action(unit, operation.action, params)
            operation.tasks[unit.name] = task


def _scheduled(call: Call, operation: Operation) -> None:
    """Say how to ask for the results of an operation."""
    numbers = {name: {"id": str(task.id)} for name, task in operation.tasks.items()}
    first = next(iter(operation.tasks.values())).id
    if len(numbers) == 1:
        call.info(f"Scheduled operation {operation.id} with task {first}")
    else:
        call.info(f"Scheduled operation {operation.id} with {len(numbers)} tasks")
        call.terminal.write("stdout", to_yaml(numbers))
    shown = str(first) if len(numbers) == 1 else "<id>"
    call.info(f"Check operation status with 'juju show-operation {operation.id}'")
    call.info(f"Check task status with 'juju show-task {shown}'")


def _wait_for(call: Call, operation: Operation, deadline: float) -> None:
    """Wait for the tasks of an operation and write their results.

    Raises:
        JujuError: a task has not ended in time, or its process has failed.
    """
    _announce(call, operation)
    for task in operation.tasks.values():
        if not task.done.wait(max(0.0, deadline - time.monotonic())):
            late = [name for name, each in operation.tasks.items() if not each.completed]
            raise JujuError(f"timed out waiting for results from: {_units(late)}")
    results = {name: result(name, task) for name, task in operation.tasks.items()}
    call.answer(results, plain(operation.tasks))
    refuse_failed(operation.tasks.values())


def _announce(call: Call, operation: Operation) -> None:
    if call.options.get("--format", "plain") != "plain":
        return
    number = len(operation.tasks)
    call.info(f"Running operation {operation.id} with {number} task{'s' if number > 1 else ''}")
    for name, task in operation.tasks.items():
        call.info(f"  - task {task.id} on unit-{name.replace('/', '-')}")
    call.info("")
    for task in operation.tasks.values():
        call.info(f"Waiting for task {task.id}...")


def _units(names: list[str]) -> str:
    return ", ".join(f"unit {name}" for name in names)


def _arguments(call: Call) -> tuple[list[str], str, dict[str, Any]]:
    """Return the units, the action and its parameters."""
    names = list(itertools.takewhile(lambda word: "/" in word, call.args))
    action, *pairs = call.args[len(names) :] or [""]
    if action and not _ACTION.fullmatch(action):
        raise UsageError(f'invalid unit or action name "{action}"')
    if not names:
        raise UsageError("no unit specified")
    if not action:
        raise UsageError("no action specified")
    if len({name.partition("/")[0] for name in names}) > 1:
        raise UsageError("all units must be of the same application")
    return names, action, _params(call, pairs)


def _params(call: Call, pairs: list[str]) -> dict[str, Any]:
    file = call.options.get("--params")
    params = _read_params(call, file) if file else {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f'argument "{pair}" must be of the form key.key.key...=value')
        try:
            text = call.options.has("--string-args")
            put(params, key.split("."), value if text else yaml.safe_load(value))
        except (yaml.YAMLError, TypeError) as error:
            raise UsageError(f'argument "{pair}" cannot be read: {error}') from error
    return params


def _read_params(call: Call, file: str) -> dict[str, Any]:
    try:
        params = yaml.safe_load(call.path(file).read_text())
    except FileNotFoundError as error:
        raise JujuError(f"open {file}: no such file or directory") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JujuError(f"cannot read {file}: {error}") from error
    if not isinstance(params or {}, dict):
        raise JujuError(f"params must be a mapping, got {params}")
    return params or {}


def _check(unit: Unit, action: str, params: dict[str, Any]) -> None:
    charm = unit.app.charm
    if not charm.actions:
        raise NotScheduledError(f'no actions defined on charm "{charm.url}"')
    if action not in charm.actions:
        raise NotScheduledError(f'action "{action}" not defined on unit "{unit.name}"')
    schema = charm.actions[action]
    faults = list(_faults(schema, params))
    if faults:
        raise NotScheduledError(f"validation failed: {'; '.join(faults)}")
    known: dict[str, Any] = schema.get("params") or {}
    for name, spec in known.items():
        if "default" in spec:
            params.setdefault(name, spec["default"])


def _faults(schema: Any, params: dict[str, Any]) -> list[str]:
    known: dict[str, Any] = schema.get("params") or {}
    missing = [
        f'(root) : "{name}" property is missing and required, given {params}'
        for name in schema.get("required") or ()
        if name not in params
    ]
    extra = [
        f'additional property "{name}" is not allowed'
        for name in params
        if name not in known and schema.get("additionalProperties") is False
    ]
    wrong = [
        f"(root).{name} : must be of type {known[name]['type']}, given {value}"
        for name, value in params.items()
        if name in known and not _is_of(known[name].get("type"), value)
    ]
    outside = [
        f"(root).{name} : must match one of the enum values {json.dumps(known[name]['enum'])}"
        for name, value in params.items()
        if name in known and value not in known[name].get("enum", [value])
    ]
    far = [fault for name, value in params.items() for fault in _far(known, name, value)]
    return [*missing, *extra, *wrong, *outside, *far]


def _far(known: dict[str, Any], name: str, value: Any) -> Iterator[str]:
    """Yield the fault of a number that is too small or too large."""
    spec: dict[str, Any] = known.get(name) or {}
    if not isinstance(value, int | float):
        return
    if value < spec.get("minimum", value):
        yield f"(root).{name} : must be greater than or equal to {spec['minimum']}, given {value}"
    if value > spec.get("maximum", value):
        yield f"(root).{name} : must be less than or equal to {spec['maximum']}, given {value}"


def _is_of(kind: str | None, value: Any) -> bool:
    if kind not in _TYPES or (isinstance(value, bool) and kind != "boolean"):
        return kind not in _TYPES
    return isinstance(value, _TYPES[kind])
