"""Operations, tasks and their results, which `juju run` and `juju exec` have in common."""

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, cast

from rehearsal.juju.cli.call import Call, to_yaml
from rehearsal.juju.durations import seconds
from rehearsal.juju.errors import JujuError, SilentError, UsageError
from rehearsal.juju.model.state import Task, Unit


class NotScheduledError(JujuError):
    """A task that cannot be queued: Juju says so and exits with 0."""


@contextmanager
def scheduled(call: Call, operation: int) -> Generator[None]:
    """End the command as Juju does if a task cannot be queued."""
    try:
        yield
    except NotScheduledError as error:
        call.info(f"Operation {operation} failed to schedule any tasks:\n{error}")
        raise SilentError(status=0) from error


def find_unit(call: Call, name: str) -> Unit:
    """Return a unit of the model by its name, such as `web/0` or `web/leader`.

    Raises:
        NotScheduledError: if it is not there.
    """
    app_name, _, number = name.partition("/")
    app = call.model().apps.get(app_name)
    if number == "leader":
        if app is None or app.leader is None:
            raise NotScheduledError(f'could not determine leader for "{app_name}"')
        return app.leader
    unit = app.units.get(int(number)) if app and number.isdecimal() else None
    if unit is None:
        tag = name.replace("/", "-")
        raise NotScheduledError(f'"unit-{tag}" not found')
    return unit


def waiting_time(call: Call, default: float) -> float:
    """Return the seconds for which a command waits."""
    text = call.options.get("--wait")
    try:
        return seconds(text) if text else default
    except ValueError as error:
        raise UsageError(f'invalid value "{text}" for option --wait: {error}') from error


def refuse_failed(tasks: Iterable[Task]) -> None:
    """Raise JujuError for tasks whose process has failed."""
    failed = [task for task in tasks if task.return_code]
    if failed:
        one = len(failed) == 1
        codes = "".join(f' - id "{t.id}" with return code {t.return_code}\n' for t in failed)
        raise JujuError(
            f"the following {'task' if one else 'tasks'} failed:\n{codes}\n"
            f"use 'juju show-task' to inspect the {'failure' if one else 'failures'}\n"
        )


def result(unit: str, task: Task) -> dict[str, Any]:
    """Return the result of a task, or its state until it has one, as `--format json` gives it."""
    results = nested(task.results) | {"return-code": task.return_code}
    document = {
        "id": str(task.id),
        "log": log_of(task) or None,
        "message": task.message or None,
        "results": results if task.completed else None,
        "status": status_of(task),
        "timing": timing(task),
        "unit": unit,
    }
    return {key: value for key, value in document.items() if value is not None}


def status_of(task: Task) -> str:
    """Return the status of a task; one that has started runs until it has a result."""
    return "running" if task.started and not task.completed else task.status


def log_of(task: Task) -> list[str]:
    """Return the messages that an action has logged, with their time."""
    return [f"{_time(task.completed)} {line}" for line in task.log]


def timing(task: Task) -> dict[str, str]:
    """Return when a task was queued, began and ended, as far as that has come."""
    moments = {"completed": task.completed, "enqueued": task.enqueued, "started": task.started}
    return {name: _time(moment) for name, moment in moments.items() if moment}


def plain(tasks: Mapping[str, Task]) -> str:
    """Return the results of tasks by unit, as `juju run` writes them by default."""
    if len(tasks) > 1:
        return to_yaml({name: _summary(task) for name, task in tasks.items()})
    [task] = tasks.values()
    output = _output(task)
    return f"Action id {task.id} failed: {task.message}\n{output}" if _is_failed(task) else output


def _summary(task: Task) -> dict[str, str]:
    """Return a task as `juju run` writes one of several."""
    message = {"message": task.message} if task.message else {}
    about = {"id": str(task.id), **message, "output": _output(task)}
    return {**about, "status": status_of(task)}


def _output(task: Task) -> str:
    if task.results:
        return to_yaml(nested(task.results))
    return "" if _is_failed(task) else f"Task {task.id} {status_of(task)}\n"


def _is_failed(task: Task) -> bool:
    return task.status == "failed"


def nested(results: dict[str, Any]) -> dict[str, Any]:
    """Return an action's results as Juju keeps them: text, nested where a key has dots."""
    tree: dict[str, Any] = {}
    for key, value in results.items():
        inner = nested(cast("dict[str, Any]", value)) if isinstance(value, dict) else str(value)
        put(tree, key.split("."), inner)
    return tree


def put(params: dict[str, Any], keys: list[str], value: Any) -> None:
    """Put a value below keys, one in the other."""
    *parents, last = keys
    for key in parents:
        params = params.setdefault(key, {})
    params[last] = value


def _time(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(moment))
