"""What `juju run` and `juju exec` have in common: operations, tasks, what came of them."""

import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, cast

from rehearsal.juju.cli.call import Call
from rehearsal.juju.durations import seconds
from rehearsal.juju.errors import JujuError, SilentError, UsageError
from rehearsal.juju.model.state import Task, Unit


class NotScheduledError(JujuError):
    """A task that cannot be queued: Juju says so and exits with 0."""


@contextmanager
def scheduled(call: Call, operation: int) -> Generator[None]:
    """End the command as Juju does where a task cannot be queued."""
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


def result(unit: Unit, task: Task) -> dict[str, Any]:
    """Return what came of a task, as `--format json` gives it."""
    document = {
        "id": str(task.id),
        "log": [f"{_time(task.completed)} {line}" for line in task.log] or None,
        "message": task.message or None,
        "results": nested(task.results) | {"return-code": task.return_code},
        "status": task.status,
        "timing": {
            "completed": _time(task.completed),
            "enqueued": _time(task.enqueued),
            "started": _time(task.started),
        },
        "unit": unit.name,
    }
    return {key: value for key, value in document.items() if value is not None}


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
