"""The programs and hooks of units: they change their own files and none of this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import older_kernel
from tests.juju.conftest import Done, Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

ROOT = Path(__file__).parents[3]

CHARMCRAFT = """
name: careless
type: charm
summary: removes what it is told to
containers:
  web: {}
actions:
  remove-in-hook: {description: removes a folder, params: {path: {type: string}}}
  remove-in-container: {description: removes a folder, params: {path: {type: string}}}
  remove-in-service: {description: removes a folder, params: {path: {type: string}}}
"""
CHARM = """
import shutil

import ops


class Careless(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_pebble_ready)
        framework.observe(self.on.remove_in_hook_action, self._on_remove)
        framework.observe(self.on.remove_in_container_action, self._on_remove_in_container)
        framework.observe(self.on.remove_in_service_action, self._on_remove_in_service)

    def _on_pebble_ready(self, event):
        event.workload.push("/srv/own/file", "of the unit", make_dirs=True)
        self.unit.status = ops.ActiveStatus()

    def _on_remove(self, event):
        shutil.rmtree(event.params["path"])

    def _on_remove_in_container(self, event):
        web = self.unit.get_container("web")
        web.exec(["rm", "-rf", event.params["path"]]).wait_output()

    def _on_remove_in_service(self, event):
        web = self.unit.get_container("web")
        command = f"sh -c 'rm -rf {event.params['path']}; touch removed; exec sleep 600'"
        service = {"override": "replace", "command": command, "startup": "enabled"}
        web.add_layer("web", {"services": {"web": service}}, combine=True)
        web.replan()
"""
COMMANDS = [
    "exec --unit careless/0 -- rm -rf {}",
    "exec --unit careless/0 'rm -rf {}'",
    "ssh careless/0 rm -rf {}",
    "ssh --container web careless/0 rm -rf {}",
    "ssh --container web careless/0 'rm -rf {}'",
]
"""Command lines by which a unit removes a folder."""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user, with a file in it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "file").write_text("precious")
    return folder


@pytest.fixture
def careless(juju: Typist) -> Typist:
    folder = juju.folder / "careless-hands"
    if not folder.exists():
        write_charm(folder, CHARMCRAFT, CHARM)
    assert juju("deploy ./careless-hands").returncode == 0
    juju.until(STATUS, is_active("careless/0"))
    return juju


@pytest.mark.parametrize("line", COMMANDS)
def test_a_typed_command_changes_none_of_the_users_files(careless: Typist, mine: Path, line: str):
    done = careless(line.format(mine))

    assert done.returncode == 1
    assert f"cannot remove '{mine}" in done.stderr
    assert (mine / "file").read_text() == "precious"


@pytest.mark.parametrize("line", COMMANDS)
def test_a_typed_command_changes_its_own_files(careless: Typist, line: str):
    assert careless("exec --unit careless/0 -- mkdir own").returncode == 0

    assert careless(line.format("srv own")).returncode == 0

    left = careless("exec --unit careless/0 ls").stdout
    left += careless("ssh --container web careless/0 ls").stdout
    assert ("own" in left.split(), "srv" in left.split()).count(False) == 1


def test_a_shell_on_a_unit_writes_temporary_files(careless: Typist):
    done = careless("ssh careless/0", typed="cat <<< word > $(mktemp) && cd && pwd\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert "/charms/" in done.stdout


@pytest.mark.parametrize("action", ["remove-in-hook", "remove-in-container", "remove-in-service"])
def test_a_charm_changes_none_of_the_users_files(careless: Typist, mine: Path, action: str):
    careless(f"run careless/0 {action} path={mine}")

    if action == "remove-in-service":
        careless.until("ssh --container web careless/0 ls", lambda output: "removed" in output)
    assert (mine / "file").read_text() == "precious"


def run_without_landlock(folder: Path, lines: str) -> Done:
    """Run lines of shell beside a unit, on a kernel that cannot confine it."""
    write_charm(folder / "charm", CHARMCRAFT, CHARM)
    script = f"""
juju add-model m && juju deploy {folder}/charm
until juju status | grep -q 'careless/0.*active'; do sleep 0.05; done
{lines}
"""
    rehearse = [sys.executable, "-m", "rehearsal", "exec", "sh", "-c", script]
    return subprocess.run(
        [sys.executable, older_kernel.__file__, "landlock", *rehearse],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_paths_outside_are_refused_if_nothing_confines_a_unit(mine: Path, tmp_path: Path):
    lines = [f"juju {line.format(mine)} || echo refused" for line in COMMANDS]
    lines.append(f"juju run careless/0 remove-in-container path={mine} || echo refused")

    done = run_without_landlock(tmp_path, "\n".join(lines))

    assert done.stdout.count("refused\n") == len(lines)
    assert done.stderr.count(f"ERROR {mine} is outside of the unit") == len(COMMANDS)
    assert (mine / "file").read_text() == "precious"


def test_paths_of_the_unit_are_allowed_if_nothing_confines_it(tmp_path: Path):
    lines = """
juju exec --unit careless/0 -- mkdir own
juju exec --unit careless/0 '/bin/sh -c "ls > /dev/null; rm -rf own"'
juju ssh --container web careless/0 rm -rf /srv/own
juju exec --unit careless/0 ls; juju ssh --container web careless/0 ls /srv
echo 'exit 4' | juju ssh careless/0
"""

    done = run_without_landlock(tmp_path, lines)

    assert done.returncode == 4, done.stderr
    assert "own" not in done.stdout
    assert "WARNING this shell can change the files of this machine" in done.stderr
