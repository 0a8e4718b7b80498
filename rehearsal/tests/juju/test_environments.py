"""Each charm runs on the packages that it locks, requires or brings along."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = "name: {}\ntype: charm\nsummary: tells its packages\n"
CHARM = """
import importlib.util

import ops

class Telling(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._on_start)

    def _on_start(self, _):
        more = " and lightkube" if importlib.util.find_spec("lightkube") else ""
        self.unit.status = ops.ActiveStatus(f"ops {ops.__version__}{more}")

ops.main(Telling)
"""
PROJECT = """
[project]
name = "telling"
version = "1"
requires-python = ">=3.10"
dependencies = [{}]
"""
OWN = ("ops", "opentelemetry-api", "pyyaml", "typing-extensions", "websocket-client")


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no environment at first, but the packages that uv has downloaded."""
    cache = subprocess.run([*UV, "cache", "dir"], check=True, capture_output=True, text=True)
    monkeypatch.setenv("UV_CACHE_DIR", cache.stdout.strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


UV = [sys.executable, "-m", "uv"]


@pytest.fixture
def charm(tmp_path: Path) -> Path:
    """A charm in a folder, which tells the version of its ops."""
    write_charm(tmp_path / "telling", CHARMCRAFT.format("telling"), CHARM)
    return tmp_path / "telling"


def lock(charm: Path, *dependencies: str) -> None:
    listed = ", ".join(f'"{each}"' for each in dependencies)
    (charm / "pyproject.toml").write_text(PROJECT.format(listed))
    subprocess.run([*UV, "lock", "--quiet"], cwd=charm, check=True)


def require(charm: Path, *requirements: str) -> None:
    (charm / "requirements.txt").write_text("\n".join(requirements))


def pack(charm: Path, ops: str) -> Path:
    """Pack a charm with an ops of its own, as charmcraft's uv plugin does."""
    number = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = charm / "venv" / "lib" / f"python{number}" / "site-packages"
    words = ["pip", "install", "--quiet", "--target", str(packages), f"ops=={ops}"]
    subprocess.run([*UV, *words, "--python", sys.executable], check=True)
    file = charm.with_suffix(".charm")
    with zipfile.ZipFile(file, "w") as archive:
        for each in charm.rglob("*"):
            archive.write(each, each.relative_to(charm))
    return file


def is_told(juju: Typist, message: str) -> bool:
    output = juju.until(STATUS, is_active("telling/0"))
    return f'"message":"{message}"' in output


def test_a_charm_runs_on_the_packages_of_its_lock(juju: Typist, charm: Path):
    lock(charm, "ops==3.8.0")

    done = juju(f"deploy {charm}")

    assert "preparing the environment of telling (ops 3.8.0)\n" in done.stderr
    assert "WARNING" not in done.stderr
    assert is_told(juju, "ops 3.8.0")


def test_a_charm_for_an_absent_python_runs_on_the_own_one(juju: Typist, charm: Path):
    lock(charm, "ops==3.8.0")
    for name in ("pyproject.toml", "uv.lock"):
        text = (charm / name).read_text()
        (charm / name).write_text(text.replace(">=3.10", ">=3.99"))

    warnings = [juju(f"deploy {charm} {name}").stderr for name in ("telling", "again")]

    told = "WARNING telling requires Python >=3.99, which is not on this machine"
    assert [told in each for each in warnings] == [True, True], warnings
    assert is_told(juju, "ops 3.8.0")


BACKEND = """
import pathlib, time

def build_wheel(*_, **__):
    pathlib.Path({folder!r}, "building").touch()
    while not pathlib.Path({folder!r}, "enough").exists():
        time.sleep(0.05)
    raise SystemExit("no wheel")
"""


def test_commands_are_answered_while_an_environment_is_made(
    juju: Typist, charm: Path, tmp_path: Path
):
    slow = tmp_path / "slow"
    slow.mkdir()
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (slow / "pyproject.toml").write_text(build + '[project]\nname = "slow"\nversion = "1"\n')
    (slow / "backend.py").write_text(BACKEND.format(folder=str(tmp_path)))
    require(charm, f"slow @ {slow.as_uri()}")

    with ThreadPoolExecutor() as pool:
        deploying = pool.submit(juju, f"deploy {charm}")
        while not (tmp_path / "building").exists() and not deploying.done():
            time.sleep(0.05)
        try:
            answered = pool.submit(juju, "status").result(20)
        finally:
            (tmp_path / "enough").touch()

    assert (answered.returncode, deploying.result().returncode) == (0, 1)


def test_packages_are_compiled_before_a_hook_imports_them(
    juju: Typist, charm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("UV_COMPILE_BYTECODE", raising=False)
    lock(charm, "ops==3.8.0", "lightkube==1.0.1")

    juju(f"deploy {charm}")

    assert is_told(juju, "ops 3.8.0 and lightkube")
    assert list((tmp_path / "cache").rglob("lightkube/__pycache__/*.pyc"))


def test_an_environment_is_made_once(juju: Typist, charm: Path):
    require(charm, "ops==3.8.0")
    juju(f"deploy {charm}")

    again = juju(f"deploy {charm} again")

    assert (again.returncode, "preparing" in again.stderr) == (0, False)


def test_no_environment_is_made_of_packages_that_are_there(juju: Typist, charm: Path):
    lock(charm, *(f"{name}=={importlib.metadata.version(name)}" for name in OWN))

    done = juju(f"deploy {charm}")

    assert "preparing" not in done.stderr
    assert is_told(juju, f"ops {importlib.metadata.version('ops')} and lightkube")


def test_a_charm_without_requirements_runs_on_the_own_packages(juju: Typist, charm: Path):
    done = juju(f"deploy {charm}")

    assert "preparing" not in done.stderr
    assert is_told(juju, f"ops {importlib.metadata.version('ops')} and lightkube")


@pytest.mark.parametrize("version", ["2.15.0", "2.23.1", "3.7.0"])
def test_a_charm_runs_on_another_ops(juju: Typist, charm: Path, version: str):
    require(charm, f"ops=={version}")

    juju(f"deploy {charm}")

    assert is_told(juju, f"ops {version}")


def test_the_packages_that_libraries_need_are_there(juju: Typist, charm: Path):
    require(charm, "ops==3.8.0")
    library = charm / "lib" / "charms" / "any" / "v0" / "any.py"
    library.parent.mkdir(parents=True)
    library.write_text('PYDEPS = ["lightkube"]\n')

    juju(f"deploy {charm}")

    assert is_told(juju, "ops 3.8.0 and lightkube")


@pytest.mark.parametrize("key", ["charm-binary-python-packages", "python-packages"])
def test_the_packages_that_a_part_names_are_there(juju: Typist, charm: Path, key: str):
    with (charm / "charmcraft.yaml").open("a") as file:
        file.write(f"parts: {{charm: {{{key}: [ops==3.8.0, lightkube]}}}}\n")

    juju(f"deploy {charm}")

    assert is_told(juju, "ops 3.8.0 and lightkube")


def test_a_packed_charm_runs_on_its_own_packages(juju: Typist, charm: Path):
    file = pack(charm, "3.8.0")

    juju(f"deploy {file}")

    assert is_told(juju, "ops 3.8.0")


def test_pip_makes_an_environment_without_uv(
    juju: Typist, charm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    require(charm, "ops==3.8.0")
    code = tmp_path / "without_uv.py"
    code.write_text(WITHOUT_UV)
    site = tmp_path / "none"
    site.mkdir()
    for name in ("rehearsal", "yaml", "_yaml"):
        spec = importlib.util.find_spec(name)
        assert spec
        assert spec.submodule_search_locations
        (site / name).symlink_to(spec.submodule_search_locations[0])
    metadata = importlib.metadata.distribution("juju-rehearsal")
    shutil.copytree(str(getattr(metadata, "_path")), site / "juju_rehearsal-0.dist-info")  # noqa: B009
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    done = subprocess.run(
        [os.path.realpath(sys.executable), str(code), str(charm)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "preparing the environment of telling (ops 3.8.0)\n3.8.0\n", done.stderr


WITHOUT_UV = """
import sys
from pathlib import Path

from rehearsal.juju.hooks import environment

print(environment.prepare(Path(sys.argv[1]), "telling", print).ops)
"""


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("ops==2.9.0", "telling depends on ops 2.9.0, which is too old to be rehearsed"),
        ("ops<2.10", "which is too old to be rehearsed: require ops 2.15 or newer"),
        ("pyyaml", "telling does not depend on ops: add ops to its dependencies"),
        ("ops==3.8.0\nno-such==1", "cannot install the dependencies of telling:\n"),
    ],
)
def test_a_charm_that_cannot_run_is_refused(
    juju: Typist, charm: Path, requirement: str, message: str
):
    require(charm, requirement)

    done = juju(f"deploy {charm}")

    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
