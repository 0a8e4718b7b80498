"""`juju run`: an action on a unit."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.cli.tasks import (
    NotScheduledError,
    find_unit,
    nested,
    put,
    refuse_failed,
    result,
    scheduled,
    waiting_time,
)
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.state import Task, Unit

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


@command(
    "run",
    "--format=",
    "--wait=",
    "--params=",
    "--string-args",
    usage="<unit> [<unit> ...] <action> [<key>=<value> ...]",
)
def run(call: Call) -> None:
    """Runs an action on a unit."""
    name, action, params = _arguments(call)
    wait = waiting_time(call, _WAIT)
    with call.controller.lock:
        operation = call.model().take_task_id()
        with scheduled(call, operation):
            unit = find_unit(call, name)
            _check(unit, action, params)
        task = call.controller.run_action(unit, action, params)
    if call.options.get("--format", "plain") == "plain":
        tag = "unit-" + unit.name.replace("/", "-")
        call.info(f"Running operation {operation} with 1 task\n  - task {task.id} on {tag}\n")
        call.info(f"Waiting for task {task.id}...")
    if not task.done.wait(wait):
        raise JujuError(f"timed out waiting for results from: unit {unit.name}")
    call.answer({unit.name: result(unit, task)}, _plain(task))
    refuse_failed([task])


def _arguments(call: Call) -> tuple[str, str, dict[str, Any]]:
    if not call.args:
        raise UsageError("no unit specified")
    if len(call.args) < 2:
        raise UsageError("no action specified")
    name, action, *pairs = call.args
    if "/" not in name:
        raise UsageError(f'invalid unit or action name "{name}"')
    params: dict[str, Any] = {}
    if file := call.options.get("--params"):
        params = _read_params(call, file)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f'argument "{pair}" must be of the form key.key.key...=value')
        try:
            text = call.options.has("--string-args")
            put(params, key.split("."), value if text else yaml.safe_load(value))
        except (yaml.YAMLError, TypeError) as error:
            raise UsageError(f'argument "{pair}" cannot be read: {error}') from error
    return name, action, params


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
    """Yield what is too small or too large."""
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


def _plain(task: Task) -> str:
    if task.status == "failed":
        return f"Action id {task.id} failed: {task.message}\n" + _yaml(task)
    return _yaml(task) or f"Task {task.id} completed\n"


def _yaml(task: Task) -> str:
    return to_yaml(nested(task.results)) if task.results else ""
