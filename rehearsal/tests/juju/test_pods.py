"""The pods of a unit, one after the other: their code, their state and their containers."""

import re
import shutil
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: diarist
type: charm
summary: writes each hook down
requires:
  db: {interface: db}
provides:
  server: {interface: db}
containers:
  web: {}
config:
  options:
    colour: {type: string, default: red, description: an option that a later revision renames}
    defers: {type: boolean, default: false, description: whether install is deferred}
    starts: {type: string, default: "", description: the hook that replans the workload}
"""

CHARM = """
import logging

import ops

REVISION = "first"

class Diarist(ops.CharmBase):
    stored = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self.stored.set_default(hooks=0)
        for name, event in self.on.events().items():
            if "collect" not in name and "commit" not in name:
                framework.observe(event, self._on_event)

    def _on_event(self, event):
        logging.info("%s %s", REVISION, event.handle.kind)
        self.stored.hooks += 1
        container = self.unit.get_container("web")
        if event.handle.kind == self.config["starts"]:
            container.replan()
        logging.info("Pebble runs" if container.can_connect() else "no Pebble")
        self.unit.status = ops.ActiveStatus(f"{REVISION} {event.handle.kind} {self.stored.hooks}")
        if self.config["defers"] and event.handle.kind == "install":
            event.defer()

if __name__ == "__main__":
    ops.main(Diarist)
"""

QUIET = """
import ops

class Quiet(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        if self.config["colour"] != "none":
            framework.observe(self.on.install, self._on_install)

    def _on_install(self, _):
        self.unit.status = ops.WaitingStatus(self.config["colour"])
"""


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    write_charm(folder / "diarist", CHARMCRAFT, CHARM)
    write_charm(folder / "quiet", CHARMCRAFT.replace("diarist", "quiet"), QUIET)


def diary(juju: Typist) -> list[str]:
    """Return the hooks of the model's units, in order, each with its revision of the charm."""
    return [line for line in log(juju) if "Pebble" not in line]


def pebbles(juju: Typist) -> dict[str, str]:
    """Return by hook whether Pebble ran."""
    lines = log(juju)
    return dict(zip(lines[::2], lines[1::2], strict=False))


def log(juju: Typist) -> list[str]:
    """Return the messages of the charms, without those of their agents."""
    lines = juju("debug-log --replay").stdout.splitlines()
    return [line.partition(".juju-log ")[2] for line in lines if ".juju-log " in line]


def add_second(juju: Typist, call: str = "ops.main(Diarist)") -> None:
    """Write another revision of the charm, with other options, in a folder `second`."""
    shutil.copytree(juju.folder / "diarist", juju.folder / "second", dirs_exist_ok=True)
    for file, old, new in (
        ("charmcraft.yaml", "colour", "shade"),
        ("src/charm.py", '"first"', '"second"'),
        ("src/charm.py", "ops.main(Diarist)", call),
    ):
        path = juju.folder / "second" / file
        path.write_text(path.read_text().replace(old, new))


def test_a_refreshed_charm_is_upgraded_once_in_a_new_pod(juju: Typist):
    juju("deploy ./diarist web")
    juju.until("status", lambda output: "first start" in output)
    before = len(diary(juju))
    add_second(juju)

    juju("refresh web --path ./second")

    juju.until("status", lambda output: "second web_pebble_ready" in output)
    assert diary(juju)[before:] == [
        "first stop",
        "second upgrade_charm",
        "second config_changed",
        "second start",
        "second web_pebble_ready",
    ]


@pytest.mark.parametrize(
    ("call", "hooks"),
    [("ops.main(Diarist)", 4), ("ops.main(Diarist, use_juju_for_storage=True)", 10)],
)
def test_stored_state_goes_with_its_pod_unless_juju_keeps_it(juju: Typist, call: str, hooks: int):
    add_second(juju, call)
    juju("deploy ./second web")
    juju.until("status", lambda output: "second start 5" in output)

    juju("refresh web --path ./second")

    juju.until("status", lambda output: f"second web_pebble_ready {hooks}" in output)


def test_a_deferred_event_goes_with_its_pod(juju: Typist):
    juju("deploy ./diarist web --config defers=true")
    juju.until("status", lambda output: "first start" in output)
    add_second(juju)

    juju("refresh web --path ./second")

    juju.until("status", lambda output: "second web_pebble_ready" in output)
    assert diary(juju).count("first install") > 1
    assert "second install" not in diary(juju)


def test_pebble_cannot_be_reached_before_it_is_ready(juju: Typist):
    juju("deploy ./diarist web")
    juju.until("status", lambda output: "first start" in output)
    add_second(juju)
    juju("refresh web --path ./second")
    juju.until("status", lambda output: "second web_pebble_ready" in output)

    assert pebbles(juju) == {
        "first install": "no Pebble",
        "first leader_elected": "no Pebble",
        "first web_pebble_ready": "Pebble runs",
        "first config_changed": "Pebble runs",
        "first start": "Pebble runs",
        "first stop": "Pebble runs",
        "second upgrade_charm": "no Pebble",
        "second config_changed": "no Pebble",
        "second start": "no Pebble",
        "second web_pebble_ready": "Pebble runs",
    }


@pytest.mark.parametrize("hook", ["install", "config_changed"])
def test_a_workload_is_started_once_pebble_runs(juju: Typist, hook: str):
    """A hook that asks for it too early fails, as on Juju."""
    juju(f"deploy ./diarist web --config starts={hook}")

    if hook == "install":
        juju.until("status", lambda output: 'hook failed: "install"' in output)
        assert "ops.pebble.ConnectionError" in juju("debug-log --replay").stdout
    else:
        juju.until(STATUS, is_active("web/0"))


def test_a_unit_that_has_set_no_status_is_unknown_once_started(juju: Typist):
    juju("deploy ./quiet db --config colour=blue")  # its turns come first
    juju("deploy ./quiet web --config colour=none")

    status = juju.until("status", lambda output: "web/0*  unknown   idle" in output)
    assert re.search(r"db/0\* +waiting +\w+ .* blue", status)


def test_a_stopped_unit_is_in_maintenance_until_it_sets_a_status(juju: Typist):
    juju("deploy ./quiet web --config colour=blue")
    juju.until("status", lambda output: bool(re.search(r"waiting +idle .* blue", output)))

    juju("refresh web --path ./quiet")

    juju.until("status", lambda output: bool(re.search(r"web/0\* +maintenance +idle", output)))
