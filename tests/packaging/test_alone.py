"""A charm's folder is complete: it can be copied out, tested and packed alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli

CHARMS = sorted(path.parent for path in Path(__file__).parents[2].glob("charms/*/charmcraft.yaml"))
REHEARSED = (str(Path(sys.executable).with_name("juju-rehearsal")), "exec")
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.charm")
NOT_PASSED = ("VIRTUAL_ENV", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "PYTEST_ADDOPTS")

pytestmark = pytest.mark.parametrize("charm", CHARMS, ids=lambda charm: charm.name)


def copied(charm: Path, folder: Path) -> Path:
    """Copy the charm without environments, caches and packed files."""
    return Path(shutil.copytree(charm, folder / "alone", symlinks=True, ignore=NOT_COPIED))


def run(folder: Path, environment: str, *prefix: str) -> "subprocess.CompletedProcess[str]":
    """Run an environment of tox as the README of the charm says, on this Python."""
    return run_module(folder, "tox", "-e", environment, "--", "-q", prefix=prefix)


def run_module(
    folder: Path, *words: str, prefix: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a module of this Python, without the variables of the tox that runs these tests."""
    passed = {
        key: value
        for key, value in os.environ.items()
        if key not in NOT_PASSED and not key.startswith("TOX_")
    }
    return subprocess.run(
        [*prefix, sys.executable, "-m", *words],
        cwd=folder,
        env=passed,
        check=False,
        capture_output=True,
        text=True,
    )


def tables(charm: Path, file: str) -> dict[str, Any]:
    return tomli.loads((charm / file).read_text())


def test_its_unit_tests_pass_elsewhere(charm: Path, tmp_path: Path):
    folder = copied(charm, tmp_path)

    done = run(folder, "unit")

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    bytecode = [path for path in folder.rglob("__pycache__") if ".tox" not in path.parts]
    assert bytecode == [], "it would be packed"


def test_its_unit_tests_fail_without_its_library(charm: Path, tmp_path: Path):
    folder = copied(charm, tmp_path)
    shutil.rmtree(folder / "lib")

    done = run_module(folder, "pytest", "tests/unit")

    assert done.returncode != 0
    assert "No module named 'charms'" in done.stdout + done.stderr


def test_its_integration_tests_pass_on_a_rehearsal(charm: Path, tmp_path: Path):
    done = run(copied(charm, tmp_path), "integration", *REHEARSED)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_it_contains_no_links(charm: Path, tmp_path: Path):
    links = [path for path in copied(charm, tmp_path).rglob("*") if path.is_symlink()]

    assert links == []


def test_its_dependencies_are_locked_and_from_pypi(charm: Path):
    packages = tables(charm, "uv.lock")["package"]
    sources = {package["name"]: package["source"] for package in packages}

    assert sources.pop(charm.name) == {"virtual": "."}
    assert all(source == {"registry": "https://pypi.org/simple"} for source in sources.values())
    assert "sources" not in tables(charm, "pyproject.toml").get("tool", {}).get("uv", {})


def test_its_style_is_that_of_the_repository(charm: Path):
    own, common = (
        tables(folder, "pyproject.toml")["tool"]["ruff"] for folder in (charm, charm.parents[1])
    )

    assert own["line-length"] == common["line-length"]
    assert own["lint"]["select"] == common["lint"]["select"]
    assert set(own["lint"]["ignore"]) <= set(common["lint"]["ignore"])
