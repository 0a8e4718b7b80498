"""How a Juju controller behaves over time, and how to tell that a command has taken effect.

A command returns before Juju acts on it. For seconds `juju status` still shows the old state, in
which every application is active and every agent is idle. So nothing here waits for a fixed time or
for calm: each function waits for an effect, as long as the `wait_timeout` of its Juju.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jubilant

from demo import differences, rollouts
from demo.cluster import UnknownError

SECONDS = 300.0
"""How long a call may get another result than the expected one, on a real controller."""
SETTLING = 900.0
"""Seconds in which a model has to settle; deploying a bundle may include pulling images."""
_SHORTEST, _LONGEST, _GROWTH = 0.05, 2.0, 1.3
"""Seconds between two looks: the first pause, the longest one, and the factor from one to the next.

A `juju status` costs a real client 0.1 to 0.3 s of CPU.
"""
_SCALING = 15.0
"""Seconds after the end of a unit in which Juju removes its pod, or never."""
_SCALINGS = 4
"""Times that an application is scaled up and down to have its pod removed."""
_BETWEEN_SCALINGS = 10.0
"""Seconds in which Juju begins to act on a changed scale."""
_RETRYING = 30.0
"""Seconds in which Juju runs an interrupted hook again, or even twice."""
_INTERRUPTED = -1
"""Return code of an action whose pod went down."""

T = TypeVar("T")
Show = Callable[[str], None]


def until(
    look: Callable[[], T],
    is_so: Callable[[T], bool],
    seconds: float,
    show: Callable[[T], None] | None = None,
) -> T:
    """Look until the state is the expected one or the time is over, and return the last state.

    Args:
        look: returns the present state.
        is_so: whether that state is the expected one.
        seconds: how long to go on.
        show: is called with each state that is not yet the expected one.
    """
    deadline, pause = time.monotonic() + seconds, _SHORTEST
    while not is_so(found := look()) and time.monotonic() < deadline:
        if show:
            show(found)
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST)
    return found


def settle(juju: jubilant.Juju, seconds: float | None = None, show: Show | None = None) -> None:
    """Wait until the last commands have taken effect on all units of a model.

    That is: every application has the units of its scale, each unit is active and idle, runs the
    application's charm and is in the scope of each relation, and no pod is about to be replaced or
    removed.

    Raises:
        jubilant.WaitError: a unit stays in error.
        TimeoutError: the model has not settled in time.
    """
    _expect_of_status(juju, lambda status: _unsettled(juju, status), seconds, show)


def remove_units(juju: jubilant.Juju, *apps: str) -> None:
    """Remove a unit of each application, and wait until their pods are gone.

    Juju 4.0.15 scales the StatefulSet down only if it sees the dead unit before it removes it
    from its database. If it does not, the pod stays until the scale of the application changes.

    Raises:
        jubilant.WaitError: a unit stays in error.
        TimeoutError: the model has not settled in time.
    """
    for app in apps:
        juju.remove_unit(app, num_units=1)
    _expect_of_status(juju, lambda status: list(differences.of_other_scale(status)))
    for app in apps:
        _remove_pod_that_stays(juju, app)
    settle(juju)


def _remove_pod_that_stays(juju: jubilant.Juju, app: str) -> None:
    """Wait for the scale of a StatefulSet, and have Juju change it if it has forgotten to."""
    scale = juju.status().apps[app].scale

    def is_scaled_down() -> bool:
        try:
            return rollouts.replicas(namespace(juju), app) <= scale
        except UnknownError:
            return True

    for _ in range(_SCALINGS):
        seconds = min(_SCALING, juju.wait_timeout / _SCALINGS)
        if until(is_scaled_down, bool, seconds):
            return
        _scale_up_and_down(juju, app, scale, is_scaled_down)


def _scale_up_and_down(
    juju: jubilant.Juju, app: str, scale: int, is_scaled_down: Callable[[], bool]
) -> None:
    """Have Juju 4.0.15 scale a StatefulSet down that it has left with too many pods.

    Before Juju scales up, it completes the scaling down. The scale returns to its value between
    these two steps, which are 3 s apart, so that no unit is added and removed again.
    """
    juju.cli("scale-application", app, str(scale + 1))
    until(is_scaled_down, bool, min(_BETWEEN_SCALINGS, juju.wait_timeout))
    juju.cli("scale-application", app, str(scale))


def wait_until_unrelated(juju: jubilant.Juju, first: str, second: str) -> None:
    """Wait until a removed relation is gone.

    It is dying until each of its units has run its hooks, and Juju refuses to add it again before.

    Raises:
        TimeoutError: the relation is still there.
    """
    _expect_nothing(lambda: list(differences.still_related(juju, first, second)), juju.wait_timeout)


def wait_until_removed(juju: jubilant.Juju, app: str) -> None:
    """Wait until a removed application is gone.

    Raises:
        TimeoutError: the application is still there.
    """

    def look() -> list[str]:
        there = app in juju.status().apps
        return [f"{app}: expected no such application, observed that it is there"] * there

    _expect_nothing(look, juju.wait_timeout)


def wait_for_status(juju: jubilant.Juju, app: str, status: str, message: str) -> str:
    """Wait until an application has a status whose message contains a text; return the message.

    Raises:
        TimeoutError: the application has another status or message.
    """
    found = until(
        lambda: juju.status().apps[app].app_status,
        lambda found: found.current == status and message in found.message,
        juju.wait_timeout,
    )
    if found.current != status or message not in found.message:
        raise TimeoutError(
            f"after {juju.wait_timeout:g} s: {app}: expected {status} with '{message}', "
            f"observed {found.current} with '{found.message}'"
        )
    return found.message


def run(
    juju: jubilant.Juju, unit: str, action: str, params: Mapping[str, Any] | None = None
) -> jubilant.Task:
    """Run an action on a unit, again if the unit's pod was replaced before the action was done.

    Raises:
        jubilant.TaskError: the action failed by itself, or never got a pod that stayed.
        jubilant.CLIError: Juju refused to run the action, to the end.
    """

    def attempt() -> jubilant.Task | jubilant.TaskError | jubilant.CLIError:
        try:
            return juju.run(unit, action, params, wait=juju.wait_timeout)
        except jubilant.CLIError as error:
            return error
        except jubilant.TaskError as error:
            if error.task.return_code != _INTERRUPTED:
                raise
            return error

    outcome = until(attempt, lambda found: isinstance(found, jubilant.Task), juju.wait_timeout)
    if not isinstance(outcome, jubilant.Task):
        raise outcome
    return outcome


def namespace(juju: jubilant.Juju) -> str:
    """Return the namespace of a model, which has the model's name without controller and user."""
    return (juju.model or "").rpartition(":")[2].rpartition("/")[2]


def _expect_nothing(
    look: Callable[[], list[str]], seconds: float, show: Show | None = None
) -> None:
    """Look until there is no difference from the expected state.

    Raises:
        TimeoutError: says what differs and how long this has waited.
    """
    left = until(
        look, lambda found: not found, seconds, lambda found: show(found[0]) if show else None
    )
    if left:
        raise TimeoutError(f"after {seconds:g} s: {'; '.join(left)}")


def _expect_of_status(
    juju: jubilant.Juju,
    find: Callable[[jubilant.Status], list[str]],
    seconds: float | None = None,
    show: Show | None = None,
) -> None:
    """Look at the status until nothing differs from the expected state, and no unit is in error.

    Raises:
        jubilant.WaitError: a unit stays in error.
        TimeoutError: says what differs and how long this has waited.
    """
    seconds = seconds or juju.wait_timeout
    errors = _Errors(min(_RETRYING, seconds / 10))

    def look() -> list[str]:
        status = juju.status()
        errors.check(status)
        return find(status)

    _expect_nothing(look, seconds, show)


class _Errors:
    """Tells an error that lasts from one that Juju resolves.

    A hook that is interrupted because its pod goes down leaves its unit in error in the new pod,
    until Juju runs the hook again 5 s later.

    Args:
        seconds: how long an error may last.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def check(self, status: jubilant.Status) -> None:
        """Raise `jubilant.WaitError` if a unit has been in error too long."""
        units = {name: unit for app in status.apps.values() for name, unit in app.units.items()}
        now = time.monotonic()
        self._since = {n: self._since.get(n, now) for n, unit in units.items() if unit.is_error}
        lasting = [name for name, start in self._since.items() if now - start > self._seconds]
        if lasting:
            messages = [f"{name}: {units[name].workload_status.message}" for name in lasting]
            raise jubilant.WaitError("; ".join(messages))


def _unsettled(juju: jubilant.Juju, status: jubilant.Status) -> list[str]:
    """Return a sentence for each effect that is still missing, the cheapest to find first."""
    with contextlib.suppress(UnknownError):
        return (
            list(differences.of_other_scale(status))
            or list(differences.incomplete(status))
            or list(differences.unrelated(juju, status))
            or rollouts.unfinished(
                namespace(juju), {n: app.scale for n, app in status.apps.items()}
            )
        )
    return []
