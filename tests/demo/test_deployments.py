"""The deployment that integration tests share, after one of them has failed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.integration.conftest import *"
TESTS = """
import pytest

from tests.integration import deployment

def test_breaks_the_demo(demo):
    deployment.remove(demo.juju, "mesh")
    raise AssertionError("and fails")

def test_gets_a_new_one(demo):
    assert demo.juju.model == "again-2"
    assert "mesh" in demo.juju.status().apps

def test_shares_that_one(demo):
    assert demo.juju.model == "again-2"
"""


def test_a_failed_test_does_not_fail_the_next_ones(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_demo.py").write_text(TESTS)
    options = [
        "-c",
        ROOT / "pyproject.toml",
        "--juju=rehearsal",
        "--model=again",
        "-p",
        "no:cacheprovider",
    ]

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert "1 failed, 2 passed" in tested.stdout, tested.stdout + tested.stderr
    assert "Model    Controller" in tested.stdout
