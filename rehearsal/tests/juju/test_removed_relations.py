"""A relation that Juju has removed while a unit still lists it, and one that is only dying."""

from collections.abc import Generator
from pathlib import Path

import pytest

from rehearsal.juju.version import JUJU_3_6, JUJU_4
from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: writer
type: charm
summary: writes to its relations
requires:
  db: {interface: db}
provides:
  server: {interface: db}
config:
  options:
    fail: {type: boolean, default: false, description: whether config-changed raises}
    writes: {type: string, default: "", description: the hook that writes to all relations}
"""

CHARM = """
import logging

import ops

class Writer(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        for name, event in self.on.events().items():
            if "collect" not in name and "commit" not in name:
                framework.observe(event, self._on_event)

    def _on_event(self, event):
        kind = event.handle.kind
        if kind == "config_changed" and self.config["fail"]:
            raise RuntimeError("told to fail")
        self.unit.status = ops.ActiveStatus(kind)
        if kind == self.config["writes"]:
            for relation in self.model.relations["db"]:
                there = (relation.active, len(relation.units), relation.data[relation.app].get("a"))
                logging.info("%s in %s", there, kind)
                relation.data[self.app]["a"] = kind

if __name__ == "__main__":
    ops.main(Writer)
"""


@pytest.fixture(scope="module")
def rehearsal(request: pytest.FixtureRequest) -> Generator[Rehearsal]:
    """Replace the rehearsal of other modules by one of Juju 4, unless a test has another."""
    with Rehearsal(juju=getattr(request, "param", JUJU_4)) as rehearsal:
        yield rehearsal


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    write_charm(folder / "writer", CHARMCRAFT, CHARM)


def relate(juju: Typist, writes: str) -> None:
    """Deploy two related applications, of which web writes in a hook."""
    juju(f"deploy ./writer web --config writes={writes}")
    juju("deploy ./writer db")
    juju("integrate web:db db:server")
    juju.until("status", lambda output: output.count("_relation_changed") == 4)
    juju.until(STATUS, is_active("web/0", "db/0"))


def test_a_relation_that_juju_has_removed_cannot_be_written(juju: Typist):
    relate(juju, writes="stop")
    juju("config web fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)
    juju("remove-application web --no-prompt")
    juju.until("status --relations", lambda output: "web:db" not in output)

    juju("resolved web/0 --no-retry")

    juju.until("status", lambda output: 'hook failed: "stop"' in output)
    log = juju("debug-log --replay").stdout
    assert "(True, 1, None) in stop" in log
    assert "ops.model.RelationNotFoundError" in log


def test_a_unit_in_error_stays_so_when_its_relation_is_removed(juju: Typist):
    relate(juju, writes="stop")
    juju("config web fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    juju("remove-application web --no-prompt")

    juju.until("status --relations", lambda output: "web:db" not in output)
    assert 'hook failed: "config-changed"' in juju("status").stdout


def test_a_dying_relation_takes_what_a_unit_in_it_writes(juju: Typist):
    relate(juju, writes="db_relation_departed")

    juju("remove-application web --no-prompt")

    juju.until("status", lambda output: "web/0" not in output)
    assert "in db_relation_departed" in juju("debug-log --replay").stdout


@pytest.mark.parametrize("rehearsal", [JUJU_3_6], indirect=True, ids=["3.6"])
def test_on_juju_3_6_a_unit_in_error_keeps_its_dying_relation(juju: Typist):
    relate(juju, writes="db_relation_departed")
    juju("config web fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)
    juju("remove-application web --no-prompt")

    juju("resolved web/0 --no-retry")

    juju.until("status", lambda output: "web/0" not in output)
    assert "in db_relation_departed" in juju("debug-log --replay").stdout


@pytest.mark.parametrize(
    ("rehearsal", "words"),
    [
        (JUJU_3_6, "relation web:db db:server is dying, but not yet removed"),
        (JUJU_4, "relation web:db db:server: already exists"),
    ],
    indirect=["rehearsal"],
    ids=["3.6", "4"],
)
def test_a_dying_relation_is_not_added_again(juju: Typist, words: str):
    relate(juju, writes="")
    juju("config web fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)
    juju("remove-relation web db")

    refused = juju("integrate web:db db:server")

    assert words in refused.stderr
    assert refused.returncode == 1
