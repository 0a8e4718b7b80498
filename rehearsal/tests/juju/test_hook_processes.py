"""A hook begins with nothing that another hook has left in memory, in the folder of its unit."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: keeping
type: charm
summary: keeps state in memory
config:
  options:
    end: {type: string, default: "", description: how config-changed ends}
actions:
  tell: {description: tells what it knows}
  load: {description: imports a package and a module of the charm}
  process: {description: tells the number of the process that has imported the charm}
  mark: {description: tells the globals of two packages and changes them}
"""
CHARM = """
import functools
import os
import sys
from pathlib import Path

import ops
import state
from opentelemetry import trace

class Base(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.unit.status = ops.BlockedStatus("the wrong class runs")

class Keeping(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.config_changed, self._on_config_changed)
        framework.observe(self.on.tell_action, self._on_tell)
        framework.observe(self.on.load_action, self._on_load)
        framework.observe(self.on.process_action, self._on_process)
        framework.observe(self.on.mark_action, self._on_mark)

    @functools.cache
    def _first_name(self=None):
        return os.environ["JUJU_UNIT_NAME"]

    def _on_config_changed(self, event):
        state.count += 1
        state.seen.append(1)
        Path("made-by").write_text(self.unit.name)
        self.unit.status = ops.ActiveStatus("configured")
        if self.config["end"]:
            sys.exit(int(self.config["end"]))

    def _on_tell(self, event):
        state.count += 1
        state.seen.append(1)
        event.set_results({
            "name": Keeping._first_name(),
            "count": state.count,
            "seen": len(state.seen),
            "made-by": (self.charm_dir / "made-by").read_text(),
            "folder": os.getcwd() == str(self.charm_dir),
        })

    def _on_load(self, event):
        event.set_results({name: name in sys.modules for name in ("wave", "late")})
        import wave
        import late

    def _on_process(self, event):
        event.set_results({"number": os.getppid()})

    def _on_mark(self, event):
        import jsonpatch
        event.set_results({"provider": trace._TRACER_PROVIDER, "license": jsonpatch.__license__})
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        jsonpatch.__license__ = "changed"

if __name__ == "__main__":
    sys.exit(ops.main(Keeping))
"""


@pytest.fixture
def keeping(juju: Typist) -> None:
    folder = juju.folder / "keeping"
    if not folder.exists():
        write_charm(folder, CHARMCRAFT, CHARM)
        (folder / "src" / "state.py").write_text("count = 0\nseen = []\n")
        (folder / "src" / "late.py").touch()


def tell(juju: Typist, unit: str, action: str = "tell") -> dict[str, str]:
    done = juju(f"run {unit} {action} --format json")
    results = json.loads(done.stdout)[unit]["results"]
    return {key: str(value) for key, value in results.items() if key != "return-code"}


@pytest.mark.usefixtures("keeping")
def test_nothing_in_memory_outlives_a_hook(juju: Typist):
    juju("deploy ./keeping web --num-units 2")
    juju.until(STATUS, is_active("web/0", "web/1"))

    told = [tell(juju, unit) for unit in ("web/0", "web/1", "web/1")]

    fresh = {"count": "1", "seen": "1", "folder": "True"}
    assert told == [
        {"name": unit, "made-by": unit, **fresh} for unit in ("web/0", "web/1", "web/1")
    ]


@pytest.mark.usefixtures("keeping")
def test_no_global_of_a_package_outlives_a_hook(juju: Typist):
    juju("deploy ./keeping web")
    juju.until(STATUS, is_active("web/0"))

    told = [tell(juju, "web/0", "mark") for _ in range(3)]

    assert told == [{"provider": "None", "license": told[0]["license"]}] * 3
    assert told[0]["license"] != "changed"


@pytest.mark.usefixtures("keeping")
def test_a_new_unit_has_what_others_imported_of_packages(juju: Typist):
    (juju.folder / "keeping" / "src" / "new.py").touch()  # so that its process is a new one
    juju("deploy ./keeping web")
    juju.until(STATUS, is_active("web/0"))
    first = tell(juju, "web/0", "load")

    juju("add-unit web")
    juju.until(STATUS, is_active("web/0", "web/1"))

    assert first == {"wave": "False", "late": "False"}
    assert tell(juju, "web/1", "load") == {"wave": "True", "late": "False"}


@pytest.mark.usefixtures("keeping")
def test_a_hook_that_exits_with_status_0_succeeds(juju: Typist):
    juju("deploy ./keeping web --config end=0")

    status = json.loads(juju.until(STATUS, is_active("web/0")))

    unit = status["applications"]["web"]["units"]["web/0"]
    assert unit["workload-status"]["message"] == "configured"


@pytest.mark.usefixtures("keeping")
def test_a_hook_that_exits_with_another_status_fails(juju: Typist):
    juju("deploy ./keeping web --config end=3")

    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    assert "the charm called sys.exit(3)" in juju("debug-log --level ERROR").stdout


def processes(juju: Typist, charms: Sequence[str]) -> list[str]:
    """Deploy and remove one charm after the other; return the process that imported each."""
    numbers: list[str] = []
    for charm in charms:
        juju(f"deploy ./{charm} web")
        juju.until(STATUS, is_active("web/0"))
        numbers.append(tell(juju, "web/0", "process")["number"])
        juju("remove-application web --no-prompt")
        juju.until(STATUS, lambda status: not json.loads(status)["applications"])
    return numbers


@pytest.mark.usefixtures("keeping")
@pytest.mark.parametrize("charm", ["keeping", "keeping.charm"])
def test_a_charm_that_is_deployed_again_is_not_imported_again(juju: Typist, charm: str):
    folder = juju.folder / "keeping"
    Path(shutil.make_archive(f"{folder}", "zip", folder)).rename(f"{folder}.charm")

    numbers = processes(juju, [charm] * 3)

    assert len(set(numbers)) < len(numbers)


def others(juju: Typist, number: int) -> list[str]:
    """Make charms that differ in one file."""
    charms = [f"other-{each}" for each in range(number)]
    for charm in charms:
        shutil.copytree(juju.folder / "keeping", juju.folder / charm, dirs_exist_ok=True)
        (juju.folder / charm / "src" / "late.py").write_text(f"name = '{charm}'\n")
    return charms


@pytest.mark.usefixtures("keeping")
def test_a_charm_with_another_file_is_imported_anew(juju: Typist):
    numbers = processes(juju, others(juju, 3))

    assert len(set(numbers)) == len(numbers)


@pytest.mark.usefixtures("keeping")
def test_the_process_that_was_kept_for_longest_ends(juju: Typist):
    first, *_, last = processes(juju, others(juju, 6))

    assert not Path(f"/proc/{first}").exists()
    assert Path(f"/proc/{last}").exists()
