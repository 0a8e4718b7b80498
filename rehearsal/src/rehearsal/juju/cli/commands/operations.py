"""`juju show-operation` and `juju show-task`: results of actions that ran in the background."""

import math
import time
from typing import Any

from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.cli.tasks import log_of, nested, plain, result, status_of, timing, waiting_time
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.state import Operation, Task


@command("show-operation", "--format=", "--wait=", "--watch", "--utc", usage="<operation ID>")
def show_operation(call: Call) -> None:
    """Shows the results of an operation."""
    number = _number(call, "operation")
    operation = call.model().operations.get(number)
    if operation is None:
        raise JujuError(f'operation "{number}" not found')
    _await(call, *operation.tasks.values())
    document = _document(operation)
    call.answer(document, to_yaml(document))


@command("show-task", "--format=", "--wait=", "--watch", "--utc", usage="<task ID>")
def show_task(call: Call) -> None:
    """Shows the results of a task."""
    number = _number(call, "task")
    operations = call.model().operations.values()
    found = ((unit, task) for each in operations for unit, task in each.tasks.items())
    unit, task = next(((unit, task) for unit, task in found if task.id == number), (None, None))
    if unit is None or task is None:
        raise JujuError(f'task with ID "{number}" not found')
    _await(call, task)
    call.answer(result(unit, task), plain({unit: task}))


def _number(call: Call, kind: str) -> int:
    if not call.args:
        raise UsageError(f"no {kind} ID specified")
    if not call.args[0].isdecimal():
        raise UsageError(f'{kind} ID "{call.args[0]}" not valid')
    return int(call.args[0])


def _await(call: Call, *tasks: Task) -> None:
    """Wait for tasks as long as the options say, which is not at all by default.

    Raises:
        JujuError: the time is over.
    """
    if call.options.has("--watch") and call.options.get("--wait"):
        raise UsageError("specify either --watch or --wait but not both")
    seconds = math.inf if call.options.has("--watch") else waiting_time(call, -1.0)
    deadline = time.monotonic() + seconds
    while seconds >= 0 and not all(task.done.is_set() for task in tasks):
        if time.monotonic() > deadline:
            raise JujuError("timeout reached")
        call.terminal.pause(0.05)


def _document(operation: Operation) -> dict[str, Any]:
    tasks = operation.tasks
    units = ",".join(f"unit-{name.replace('/', '-')}" for name in tasks)
    return {
        "summary": f"{operation.action} run on {units}",
        "status": _status([status_of(task) for task in tasks.values()]),
        "action": {"name": operation.action, "parameters": dict(operation.params)},
        "timing": _timing(list(tasks.values())),
        "tasks": {str(task.id): _task(unit, task) for unit, task in tasks.items()},
    }


def _status(statuses: list[str]) -> str:
    """Return the status of an operation: the one that the fewest of its tasks have passed."""
    order = ("running", "pending", "failed", "completed")
    return min(statuses, key=order.index, default="pending")


def _timing(tasks: list[Task]) -> dict[str, str]:
    """Return the time from the first task's start to the end of the last."""
    ordered = sorted(tasks, key=lambda task: task.completed or math.inf)
    return timing(ordered[-1]) if ordered else {}


def _task(unit: str, task: Task) -> dict[str, Any]:
    results = nested(task.results) | {"return-code": task.return_code}
    document = {
        "host": unit,
        "status": status_of(task),
        "timing": timing(task),
        "log": log_of(task) or None,
        "message": task.message or None,
        "results": results if task.completed else None,
    }
    return {key: value for key, value in document.items() if value is not None}
