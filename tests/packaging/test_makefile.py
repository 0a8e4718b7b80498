"""The commands of the README, with programs that only show how make starts them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWS_PYTHON = "#!/bin/sh\ncommand -v python3\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout whose `.venv` is ready, in a folder with a space in its name."""
    checkout = tmp_path / "a checkout"
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", checkout)
    for name in ("uv.lock", "pyproject.toml", "map/pyproject.toml", "rehearsal/pyproject.toml"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).touch()
    (programs / "juju-rehearsal").write_text(SHOWS_PYTHON)
    (programs / "juju-rehearsal").chmod(0o755)
    (programs / "python3").symlink_to(sys.executable)
    (checkout / ".venv" / "ready").touch()
    return checkout


@pytest.mark.parametrize("target", ["demo", "shell"])
def test_workloads_run_on_the_python_of_the_checkout(checkout: Path, target: str):
    others = checkout / "others"
    others.mkdir()
    (others / "python3").write_text("#!/bin/sh\nexit 1\n")
    (others / "python3").chmod(0o755)

    done = subprocess.run(
        [str(shutil.which("make")), target],
        cwd=checkout,
        env={**os.environ, "PATH": f"{others}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == f"{checkout}/.venv/bin/python3\n"
