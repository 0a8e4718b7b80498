"""A slow controller and an impatient user."""

import json
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import CHARM, CHARMCRAFT, Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

DELAY = 1.0
NAP = """
    def _on_give_up(self, _):
        import time
        self.unit.status = ops.ActiveStatus("asleep")
        time.sleep(2)
"""


@pytest.fixture(scope="module")
def rehearsal() -> Generator[Rehearsal]:
    """Replace the rehearsal of other modules, which delays nothing."""
    with Rehearsal(delay=DELAY) as rehearsal:
        yield rehearsal


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    code = CHARM.partition("    def _on_give_up")[0] + NAP + "    def _on_crash(self, _): pass\n"
    write_charm(folder / "napper", CHARMCRAFT.replace("name: small", "name: napper"), code)


def settle(juju: Typist, *units: str) -> None:
    juju.until(STATUS, is_active(*units))
    time.sleep(DELAY)
    juju.until(STATUS, is_active(*units))


def task_of(output: str) -> tuple[Any, ...]:
    task = json.loads(output)["web/0"]
    return task["status"], task.get("message"), task["results"]["return-code"]


TERMINATED = ("failed", "terminated", -1)


def test_status_shows_the_state_before_a_command_at_first(juju: Typist):
    juju("deploy ./small web")
    settle(juju, "web/0")

    juju("config web port=81")
    at_once = juju("status").stdout

    assert "web/0*  active    idle" in at_once
    assert "port 80" in at_once
    juju.until("status", lambda output: "port 81" in output)


def test_a_removed_relation_is_dying_for_a_while(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")
    juju("integrate web:db db:server")
    juju.until(STATUS, lambda output: '"message":"secret"' in output)

    juju("remove-relation web db")
    refused = juju("integrate web:db db:server")

    assert "is dying, but not yet removed" in refused.stderr
    juju.until("status --relations", lambda output: "web:db" not in output)
    assert juju("integrate web:db db:server").returncode == 0


def test_a_unit_whose_pod_is_replaced_is_lost_for_a_while(juju: Typist):
    juju("deploy ./small web")
    settle(juju, "web/0")

    juju("refresh web --path ./small")

    juju.until("status", lambda output: "web/0*  unknown   lost" in output)
    assert task_of(juju("run web/0 greet name=you --format json").stdout) == TERMINATED
    settle(juju, "web/0")
    assert task_of(juju("run web/0 greet name=you --format json").stdout)[0] == "completed"


def test_an_action_ends_with_its_pod(juju: Typist):
    juju("deploy ./napper web")
    settle(juju, "web/0")
    running = subprocess.Popen(
        [str(juju.program), "run", "web/0", "give-up", "--format", "json"],
        env=juju.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    juju.until("status", lambda output: "executing" in output)

    juju("refresh web --path ./napper")

    out, _ = running.communicate(timeout=20)
    assert task_of(out) == TERMINATED
    assert running.returncode == 1
    assert "asleep" not in juju("status").stdout
