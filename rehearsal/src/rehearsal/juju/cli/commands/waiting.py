"""`juju wait-for`: until an application, a unit or a model is as wanted."""

import re
import time
from collections.abc import Callable, Mapping

from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.cli.status import application_status
from rehearsal.juju.durations import seconds
from rehearsal.juju.errors import JujuError, UsageError

Facts = Mapping[str, str]
"""The properties that a query may ask for, by name."""
_POLL = 0.05
"""Seconds between two looks."""
_TERM = re.compile(r'\s*([a-z-]+)\s*(==|!=)\s*["\']([^"\']*)["\']\s*')
_QUERIES = {
    "application": 'life=="alive" && status=="active"',
    "unit": 'life=="alive" && workload-status=="active"',
    "model": 'life=="alive" && status=="available"',
}


@command(
    "wait-for", "--query=", "--timeout=", "--summary=", usage="<application|unit|model> <name>"
)
def wait_for(call: Call) -> None:
    """Waits until an application, a unit or a model is as wanted."""
    kind, name = _target(call)
    is_met = _query(call.options.get("--query") or _QUERIES[kind])
    text = call.options.get("--timeout") or "10m"
    try:
        deadline = time.monotonic() + seconds(text)
    except ValueError as error:
        raise UsageError(f'invalid value "{text}" for option --timeout: {error}') from error
    while not is_met(_facts(call, kind, name)):
        if time.monotonic() > deadline:
            raise JujuError(f'timed out waiting for "{name}" to reach goal state')
        time.sleep(_POLL)
    shown = "Application" if kind == "application" else kind
    call.info(f'{shown} "{name}" is running')


def _target(call: Call) -> tuple[str, str]:
    kind = call.args[0] if call.args else ""
    if kind not in _QUERIES:
        raise UsageError(f"wait for one of: {', '.join(_QUERIES)}")
    if len(call.args) < 2:
        article = "a" if kind != "application" else "an"
        raise UsageError(f"{kind} name must be supplied when waiting for {article} {kind}")
    return kind, call.args[1]


def _query(text: str) -> Callable[[Facts], bool]:
    """Return the check of a query, which compares with texts and joins by `&&`."""
    terms = [_TERM.fullmatch(term) for term in text.split("&&")]
    if not all(terms):
        raise UsageError(f"only comparisons with text, joined by &&, are rehearsed: {text}")
    wanted = [term.groups() for term in terms if term]

    def is_met(facts: Facts) -> bool:
        return bool(facts) and all(
            (facts.get(name) == value) is (operator == "==") for name, operator, value in wanted
        )

    return is_met


def _facts(call: Call, kind: str, name: str) -> Facts:
    """Return the facts about an entity; none if it is not there."""
    with call.controller.lock:
        if kind == "model":
            model = call.controller.models.get(name)
            return {"life": "alive", "status": "available", "name": name} if model else {}
        app = call.model().apps.get(name.partition("/")[0])
        if app is None or kind == "application":
            return _of(name, app.dying, application_status(app).current) if app else {}
        unit = next((unit for unit in app.units.values() if unit.name == name), None)
        if unit is None:
            return {}
        own = {"workload-status": unit.status.current, "agent-status": unit.agent.current}
        return {**_of(name, unit.dying, unit.status.current), **own}


def _of(name: str, dying: bool, status: str) -> dict[str, str]:
    return {"name": name, "life": "dying" if dying else "alive", "status": status}
