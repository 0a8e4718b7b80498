"""A rehearsal to type at, and a small charm that knows nothing of this project."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rehearsal.rehearsal import Rehearsal

CHARMCRAFT = """
name: small
type: charm
summary: a small charm
requires:
  db: {interface: db}
provides:
  server: {interface: db}
peers:
  replicas: {interface: small_peers}
config:
  options:
    port: {type: int, default: 80, description: a number}
    fail: {type: boolean, default: false, description: whether config-changed raises}
    mode: {type: string, description: a word without a default}
actions:
  greet:
    description: says hello
    params:
      name: {type: string, description: to whom}
      times: {type: integer, minimum: 1, maximum: 3, description: how often}
    required: [name]
    additionalProperties: false
  give-up: {description: fails}
  crash: {description: raises}
"""

CHARM = """
import enum
import os

import ops

class Word(str, enum.Enum):
    SECRET = "secret"

class Small(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.config_changed, self._on_config_changed)
        framework.observe(self.on["db"].relation_changed, self._on_db_changed)
        framework.observe(self.on["server"].relation_created, self._on_server_created)
        framework.observe(self.on.greet_action, self._on_greet)
        framework.observe(self.on.give_up_action, self._on_give_up)
        framework.observe(self.on.crash_action, self._on_crash)

    def _on_config_changed(self, _):
        if self.config.get("mode") == "die":
            os._exit(1)
        if self.config["fail"]:
            raise RuntimeError("told to fail")
        self.unit.status = ops.ActiveStatus(f"port {self.config['port']}")

    def _on_server_created(self, event):
        if self.unit.is_leader():
            event.relation.data[self.app]["password"] = Word.SECRET

    def _on_db_changed(self, event):
        self.unit.status = ops.ActiveStatus(event.relation.data[event.app].get("password", "none"))

    def _on_greet(self, event):
        event.log("about to greet")
        message = f"hello {event.params['name']}"
        event.set_results({"message": message, "by": {"unit": self.unit.name}})

    def _on_give_up(self, event):
        event.fail("no more")

    def _on_crash(self, _):
        raise RuntimeError("crashed")
"""


def write_charm(folder: Path, charmcraft: str, code: str) -> None:
    """Write a charm that has not been packed."""
    (folder / "src").mkdir(parents=True)
    (folder / "charmcraft.yaml").write_text(charmcraft)
    (folder / "src" / "charm.py").write_text(code)


Done = subprocess.CompletedProcess[str]


@dataclass
class Typist:
    """Types `juju` commands in a folder."""

    program: Path
    environment: dict[str, str]
    folder: Path

    def __call__(self, line: str, typed: str = "") -> Done:
        """Run one command line, with `typed` on its standard input."""
        return subprocess.run(
            [str(self.program), *shlex.split(line)],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            timeout=60,
            check=False,
            capture_output=True,
            text=True,
        )

    def until(self, line: str, is_so: Callable[[str], bool]) -> str:
        """Repeat a command until its output is as wanted; return it."""
        output, deadline = "", time.monotonic() + 20
        while time.monotonic() < deadline:
            output = self(line).stdout
            if is_so(output):
                return output
            time.sleep(0.05)
        raise AssertionError(f"juju {line} stays at:\n{output}")


@pytest.fixture(scope="session")
def rehearsal() -> Generator[Rehearsal]:
    with Rehearsal() as rehearsal:
        yield rehearsal


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the charm `small` and bundles of it."""
    folder = tmp_path_factory.mktemp("typed")
    write_charm(folder / "small", CHARMCRAFT, CHARM)
    (folder / "noname").mkdir()
    (folder / "noname" / "charmcraft.yaml").write_text("summary: a charm without a name")
    return folder


@pytest.fixture
def juju(rehearsal: Rehearsal, folder: Path, request: pytest.FixtureRequest) -> Generator[Typist]:
    """`juju` with a new model in focus, which is destroyed in the end."""
    program = rehearsal.directory / "bin" / "juju"
    typist = Typist(program, os.environ | rehearsal.environment, folder)
    model = "m" + "".join(c for c in request.node.name if c.isalnum()).lower()[:40]
    assert typist(f"add-model {model}").returncode == 0
    yield typist
    assert typist(f"destroy-model {model} --no-prompt --force").returncode == 0
