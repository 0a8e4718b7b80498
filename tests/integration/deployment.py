"""The demo in a model: deployed, waited for, called, looked at.

How long to wait is decided here alone: generous, as only a test that fails waits that long.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jubilant
import lightkube
from lightkube.resources.apps_v1 import StatefulSet

from demo import leftovers
from demo.table import Line, Row, observe, row

ROOT = Path(__file__).parents[2]
CHARMS = {
    "mesh": "stub-mesh-k8s",
    "producer": "metrics-producer-k8s",
    "scraper": "metrics-scraper-k8s",
}
"""By application, the charm that it is of."""
IMAGE = {"scraper-image": "docker.io/library/python:3.12-slim"}
"""What a scraper is deployed with beside the bundle, where no file gives it."""
LABEL_ON = "label istio.io/dataplane-mode=ambient on pods of "
"""How `in_kubernetes` says that an application's pods have the mesh's label."""
ANYTHING = row("200", "200", "201", "200", "200", "200")
"""What the producer answers: what a caller gets whom no mesh turns away."""
SETTLING = {"rehearsal": 120.0, "rehearsal-without-istio": 120.0, "real": 900.0}
"""By what the tests run on, the seconds in which Juju has to settle."""
TAKING_EFFECT = 60.0
"""Seconds in which what Juju did has to take effect."""
_BETWEEN = 0.1
"""Seconds between two looks."""

T = TypeVar("T")


def charm(app: str) -> Path:
    """Return the packed charm of an application."""
    name = CHARMS[app]
    return ROOT / "charms" / name / f"{name}.charm"


def deploy(juju: jubilant.Juju, bundle: str, overlays: Sequence[Path] = ()) -> None:
    """Deploy one of the bundles and wait for it."""
    juju.deploy(ROOT / "bundles" / bundle, trust=True, overlays=overlays)
    settle(juju)


def settle(juju: jubilant.Juju) -> None:
    """Wait until every application has its units, all are active, and no agent is busy."""

    def settled(status: jubilant.Status) -> bool:
        complete = [len(app.units) == app.scale for app in status.apps.values()]
        return (
            all(complete)
            and jubilant.all_active(status, *status.apps)
            and jubilant.all_agents_idle(status)
        )

    juju.wait(settled, error=jubilant.any_error, delay=_BETWEEN)


def blocked(juju: jubilant.Juju, app: str) -> str:
    """Wait until an application is blocked, and return its message."""

    def is_so(status: jubilant.Status) -> bool:
        return jubilant.all_blocked(status, app) and jubilant.all_agents_idle(status)

    status = juju.wait(is_so, error=jubilant.any_error, delay=_BETWEEN)
    return status.apps[app].app_status.message


def remove(juju: jubilant.Juju, app: str) -> None:
    """Remove an application and wait until it is gone."""
    juju.remove_application(app)
    juju.wait(lambda status: app not in status.apps, delay=_BETWEEN)


def model(juju: jubilant.Juju) -> str:
    """Return the name of a model, which is that of its namespace in Kubernetes."""
    return juju.show_model().short_name


def assert_gets(
    juju: jubilant.Juju, caller: str, expected: Row, *, offering: jubilant.Juju | None = None
) -> None:
    """Fail and name each call of which something else came; the arguments as for `differences`."""
    found = differences(juju, caller, expected, offering=offering)
    assert not found, "; ".join(found)


def differences(
    juju: jubilant.Juju, caller: str, expected: Row, *, offering: jubilant.Juju | None = None
) -> list[str]:
    """Have a unit call the producer until it gets what it should, or there was time enough.

    Args:
        juju: the caller's model.
        caller: the unit.
        expected: what it should get.
        offering: the producer's model, if that is another one.

    Returns:
        A sentence for each call of which something else came.
    """
    namespace = model(offering or juju)

    def look() -> list[str]:
        return Line(caller, expected, observe(juju, caller, "producer", namespace)).differences()

    return eventually(look, lambda found: not found)


def in_kubernetes(juju: jubilant.Juju, about: str, *, wanted: bool) -> list[str]:
    """Return what the mesh has in Kubernetes, once there is something or is nothing.

    Args:
        juju: the model.
        about: what a line has to contain, such as the name of an application.
        wanted: whether there should be something.
    """
    namespace = model(juju)

    def look() -> list[str]:
        return [line for line in leftovers.look(namespace) if about in line]

    return eventually(look, lambda found: bool(found) is wanted)


def label_pods(juju: jubilant.Juju, app: str, value: str | None) -> None:
    """Put the mesh's label on an application's pods by hand, or take it off."""
    labels = {"istio.io/dataplane-mode": value}
    client: Any  # what lightkube does not type in full
    with lightkube.Client(namespace=model(juju)) as client:
        client.patch(StatefulSet, app, {"spec": {"template": {"metadata": {"labels": labels}}}})


def eventually(look: Callable[[], T], is_so: Callable[[T], bool]) -> T:
    """Look until it is so, or there was time enough for that; return what was found last."""
    deadline = time.monotonic() + TAKING_EFFECT
    while not is_so(found := look()) and time.monotonic() < deadline:
        time.sleep(_BETWEEN)
    return found
