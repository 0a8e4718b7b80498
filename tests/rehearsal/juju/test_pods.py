"""A unit's pods, one after the other: what survives, which code runs, and what it finds."""

import shutil
from pathlib import Path

import pytest

from tests.rehearsal.juju.conftest import Typist, write_charm
from tests.rehearsal.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: diarist
type: charm
summary: writes each hook down
requires:
  db: {interface: db}
provides:
  server: {interface: db}
config:
  options:
    colour: {type: string, default: red, description: an option that a later revision renames}
"""

CHARM = """
import logging

import ops

REVISION = "first"

class Diarist(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        for name, event in self.on.events().items():
            if "collect" not in name and "commit" not in name:
                framework.observe(event, self._on_event)

    def _on_event(self, event):
        logging.info("%s %s", REVISION, event.handle.kind)
        self.unit.status = ops.ActiveStatus(f"{REVISION} {event.handle.kind}")

if __name__ == "__main__":
    ops.main(Diarist)
"""


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    write_charm(folder / "diarist", CHARMCRAFT, CHARM)


def diary(juju: Typist) -> list[str]:
    """Return what the units of the model wrote in their hooks, in order."""
    lines = juju("debug-log").stdout.splitlines()
    return [line.partition(".juju-log ")[2] for line in lines]


def add_revision(juju: Typist, name: str, **replaced: str) -> None:
    """Write another revision of the charm in a folder of that name."""
    shutil.copytree(juju.folder / "diarist", juju.folder / name)
    for file in ("charmcraft.yaml", "src/charm.py"):
        path = juju.folder / name / file
        text = path.read_text()
        for old, new in replaced.items():
            text = text.replace(old, new)
        path.write_text(text)


def test_a_refreshed_charm_is_upgraded_once_in_a_new_pod(juju: Typist):
    juju("deploy ./diarist web")
    juju.until(STATUS, is_active("web/0"))
    before = len(diary(juju))
    add_revision(juju, "second", first="second", colour="shade")

    juju("refresh web --path ./second")

    juju.until("status", lambda output: "second start" in output)
    assert diary(juju)[before:] == [
        "first stop",
        "second upgrade_charm",
        "second config_changed",
        "second start",
    ]
