"""`juju debug-log`: the messages of charms, and of the agents that run their hooks."""

import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.errors import UsageError
from rehearsal.juju.model.state import AgentMessage, Model

_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_LINES = 10
"""The number of messages that are shown at first unless an option says otherwise."""
_POLL = 0.1
"""Seconds between two looks for new messages."""
_AGENT = "juju.worker.uniter.operation"
_REQUEST = "HTTP Request: "
"""The start of a message of httpx, one for each request of lightkube."""
_EXCLUSIVE = (
    ("--tail", "--no-tail"),
    ("--no-tail", "--lines"),
    ("--tail", "--limit"),
    ("--limit", "--lines"),
    ("--replay", "--lines"),
)

Entry = tuple[float, str, str, str]
"""A message: its time, its unit, its level and its text."""


@command(
    *("debug-log", "--limit=", "-n,--lines=", "-l,--level=", "--replay", "--no-tail", "--tail"),
    *("-i,--include=", "-x,--exclude=", "--include-module=", "--exclude-module="),
    *("--date", "--ms", "--utc", "--color"),
)
def debug_log(call: Call) -> None:
    """Shows the messages of charms and of the agents that run their hooks."""
    _check(call)
    with call.controller.lock:
        model = call.model()
        position = len(model.log)
        entries = [entry for entry in model.log if _is_wanted(call, entry)]
    _print(call, _first(call, entries))
    while _follows(call) and call.controller.models.get(model.name) is model:
        call.terminal.pause(_POLL)
        with call.controller.lock:
            new = model.log[position:]
        position += len(new)
        _print(call, (entry for entry in new if _is_wanted(call, entry)))


def agent_log(model: Model, pod: str) -> str:
    """Return the messages of the unit in a pod, as the agent in its charm container writes them."""
    units = {unit.name for unit in model.units() if unit.pod_name == pod}
    return "".join(map(_agent_line, (entry for entry in model.log if entry[1] in units)))


def _agent_line(entry: Entry) -> str:
    parts = time.gmtime(entry[0])
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", parts) + f".{int(entry[0] % 1 * 1000):03}Z"
    clock = time.strftime("%Y-%m-%d %H:%M:%S", parts)
    return f"{stamp} [container-agent] {clock} {entry[2]} {_module(entry)} {entry[3]}\n"


def _check(call: Call) -> None:
    level = call.options.get("--level")
    if level is not None and level.upper() not in _LEVELS:
        names = ", ".join(f'"{name}"' for name in _LEVELS[:-1])
        raise UsageError(f'level value "{level.upper()}" is not one of {names}')
    for first, second in _EXCLUSIVE:
        if first in call.options.given and second in call.options.given:
            raise UsageError(f"setting {first} and {second} not valid")


def _first(call: Call, entries: list[Entry]) -> list[Entry]:
    """Return the messages that are shown at first: the latest, or the oldest with `--replay`."""
    limit = call.options.number("--limit", call.options.number("--lines", 0))
    if call.options.has("--replay"):
        return entries[:limit] if limit else entries
    is_given = "--limit" in call.options.given or "--lines" in call.options.given
    return entries[-(limit if is_given else _LINES) :]


def _follows(call: Call) -> bool:
    """Return whether new messages are awaited: by default on a terminal alone."""
    if call.options.has("--no-tail") or "--limit" in call.options.given:
        return False
    return call.options.has("--tail") or call.terminal.is_interactive


def _is_wanted(call: Call, entry: Entry) -> bool:
    lowest = _LEVELS.index((call.options.get("--level") or "INFO").upper())
    return (
        _LEVELS.index(_level(entry)) >= lowest
        and _is_selected(call, "", _entity(entry[1]), fnmatchcase)
        and _is_selected(call, "-module", _module(entry), str.startswith)
    )


def _is_selected(call: Call, kind: str, name: str, matches: Callable[[str, str], bool]) -> bool:
    """Return whether the options `--include` and `--exclude` of a kind leave a name."""

    def any_of(option: str) -> bool:
        return any(matches(name, wanted) for wanted in _wanted(call, option))

    included, excluded = f"--include{kind}", f"--exclude{kind}"
    return (included not in call.options.given or any_of(included)) and not any_of(excluded)


def _wanted(call: Call, option: str) -> Iterator[str]:
    """Yield the values of an option; names of applications and units become those of the log."""
    for value in call.options.all(option):
        if option.endswith("-module") or "*" in value or value.startswith("unit-"):
            yield value
        else:
            yield _entity(value) if "/" in value else f"unit-{value}-*"


def _entity(unit: str) -> str:
    return "unit-" + unit.replace("/", "-")


def _module(entry: Entry) -> str:
    return _AGENT if isinstance(entry[3], AgentMessage) else f"unit.{entry[1]}.juju-log"


def _level(entry: Entry) -> str:
    """Return the level. Requests of lightkube count as DEBUG, or they would hide all else."""
    return "DEBUG" if entry[3].startswith(_REQUEST) and entry[2] == "INFO" else entry[2]


def _print(call: Call, entries: Iterable[Entry]) -> None:
    for entry in entries:
        clock = _clock(call, entry[0])
        call.out(f"{_entity(entry[1])}: {clock} {_level(entry)} {_module(entry)} {entry[3]}")


def _clock(call: Call, moment: float) -> str:
    parts = time.gmtime(moment) if call.options.has("--utc") else time.localtime(moment)
    form = "%Y-%m-%d %H:%M:%S" if call.options.has("--date") else "%H:%M:%S"
    fraction = f".{int(moment % 1 * 1000):03}" if call.options.has("--ms") else ""
    return time.strftime(form, parts) + fraction
