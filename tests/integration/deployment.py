"""The demo, deployed in two models, and functions to change and inspect it."""

import contextlib
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jubilant
import lightkube
from lightkube.resources.apps_v1 import StatefulSet

from demo import leftovers, patience
from demo.table import EXPECTED, Expected, Line, Row, observe, row

ROOT = Path(__file__).parents[2]
CHARMS = {
    "mesh": "stub-mesh-k8s",
    "producer": "metrics-producer-k8s",
    "scraper": "metrics-scraper-k8s",
}
"""The charm of each application."""
IMAGE = {"scraper-image": "docker.io/library/python:3.12-slim"}
"""The resource of a scraper that is deployed without a bundle."""
LABEL_ON = "label istio.io/dataplane-mode=ambient on pods of "
"""The line of `in_kubernetes` for the mesh's label on the pods of an application."""
ANYTHING = row("200", "200", "201", "200", "200", "200")
"""The producer's own answers, which a caller gets if no mesh denies its calls."""


class Deployment:
    """`demo.yaml` in one model, and `demo-remote.yaml` in another.

    Args:
        name: name of the first model, with which the name of the second one begins.
        seconds: how long a command may take to take effect.
        folder: the folder for the overlay of the second bundle.
    """

    def __init__(self, name: str, seconds: float, folder: Path) -> None:
        self._name = name
        self._seconds = seconds
        self._folder = folder
        self._models: list[jubilant.Juju] = []

    @property
    def juju(self) -> jubilant.Juju:
        """The model with the producer."""
        return self._both[0]

    @property
    def remote(self) -> jubilant.Juju:
        """The other model, whose scraper consumes the offer of the first one."""
        return self._both[1]

    @functools.cached_property
    def _both(self) -> tuple[jubilant.Juju, jubilant.Juju]:
        """Both models, which settle at the same time."""
        juju = self._deploy(self._name, "demo.yaml")
        overlay = self._folder / f"{self._name}.yaml"
        offer = f"admin/{patience.namespace(juju)}.producer"
        overlay.write_text(f"saas: {{producer: {{url: {offer}}}}}\n")
        remote = self._deploy(f"{self._name}-remote", "demo-remote.yaml", [overlay])
        for each in (juju, remote):
            patience.settle(each)
        return juju, remote

    @functools.cached_property
    def expected(self) -> Expected:
        """The results that callers should get under the mesh's kind of policies."""
        results = patience.run(self.juju, "mesh/leader", "policies").results
        return EXPECTED[results["enforcement"]]

    def _deploy(self, name: str, bundle: str, overlays: Sequence[Path] = ()) -> jubilant.Juju:
        juju = jubilant.Juju(wait_timeout=self._seconds)
        juju.add_model(name)
        self._models.append(juju)
        juju.deploy(ROOT / "bundles" / bundle, trust=True, overlays=overlays)
        return juju

    def destroy(self) -> None:
        """Destroy both models at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(_destroy, self._models))
        self._models.clear()

    def report(self) -> str:
        """Return status and log of the models, which may show the cause of a failure."""
        parts: list[str] = []
        with contextlib.suppress(jubilant.CLIError):
            for juju in self._models:
                parts += [juju.cli("status", "--relations"), juju.debug_log(limit=100)]
        return "\n".join(parts)

    def assert_gets(
        self, caller: str, expected: Row, *, model: jubilant.Juju | None = None
    ) -> None:
        """Have a unit call the producer until it gets the expected results, or time out.

        Args:
            caller: the unit.
            expected: its results.
            model: the caller's model, if it differs from the producer's.
        """
        seconds = min(self._seconds, patience.SECONDS)
        differences = patience.until(
            lambda: Line(caller, expected, self.observe(caller, model)).differences(),
            lambda found: not found,
            seconds,
        )
        assert not differences, f"after {seconds:.0f} s: {'; '.join(differences)}"

    def observe(self, caller: str, model: jubilant.Juju | None = None) -> Row:
        """Have a unit call the producer once; the arguments as for `assert_gets`."""
        producer = "producer", patience.namespace(self.juju)
        return observe(model or self.juju, caller, *producer, self.expected.denials)

    def in_kubernetes(self, about: str, *, wanted: bool) -> list[str]:
        """Return the mesh's objects in the first model, once there are some or none, as wanted.

        Args:
            about: text that a line has to contain, such as the name of an application.
            wanted: whether there should be any.
        """
        namespace = patience.namespace(self.juju)
        return patience.until(
            lambda: [line for line in leftovers.look(namespace) if about in line],
            lambda found: bool(found) is wanted,
            min(self._seconds, patience.SECONDS),
        )


def _destroy(juju: jubilant.Juju) -> None:
    juju.destroy_model(str(juju.model), destroy_storage=True, force=True, no_wait=True)


def charm(app: str) -> Path:
    """Return the packed charm of an application."""
    name = CHARMS[app]
    return ROOT / "charms" / name / f"{name}.charm"


def relate(juju: jubilant.Juju, *relations: tuple[str, str]) -> None:
    """Add relations and wait until all units have joined."""
    for ends in relations:
        juju.integrate(*ends)
    patience.settle(juju)


def unrelate(juju: jubilant.Juju, *relations: tuple[str, str]) -> None:
    """Remove relations and wait until they are gone."""
    for ends in relations:
        juju.remove_relation(*ends)
    for ends in relations:
        patience.wait_until_unrelated(juju, *ends)
    patience.settle(juju)


def remove(juju: jubilant.Juju, app: str) -> None:
    """Remove an application and wait until it is gone."""
    juju.remove_application(app)
    patience.wait_until_removed(juju, app)


def label_pods(juju: jubilant.Juju, app: str) -> None:
    """Put the mesh's label on an application's pods by hand."""
    labels = {"istio.io/dataplane-mode": "ambient"}
    client: Any  # lightkube does not type it in full
    with lightkube.Client(namespace=patience.namespace(juju)) as client:
        client.patch(StatefulSet, app, {"spec": {"template": {"metadata": {"labels": labels}}}})
