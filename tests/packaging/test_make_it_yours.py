"""Every command, diff and output in docs/make-it-yours.md, in the order of the guide."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "make-it-yours.md"
_BLOCK = re.compile(r"^```(sh|diff|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMES = ("bundles", "charms", "rehearsal")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the repository as `make demo` leaves it."""
    ignored = shutil.ignore_patterns(".venv", ".tox", "*.charm", "__pycache__", ".*_cache")
    for name in _NAMES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def run(folder: Path, command: list[str], text: str = "") -> str:
    # Another environment, or another tox, must not decide where tox and uv work in the copy.
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT") and not key.startswith("TOX_")
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=text,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command} {text}\n{done.stdout}{done.stderr}"
    return done.stdout


def missing(expected: str, printed: str) -> Iterator[str]:
    """Yield each expected line that was not printed, regardless of the spaces between its words."""
    lines = [line.split() for line in printed.splitlines()]
    yield from (line for line in expected.splitlines() if line.split() not in lines)


def test_every_step_of_the_guide_works(copy: Path):
    printed = ""
    for kind, text in _BLOCK.findall(GUIDE.read_text()):
        if kind == "sh":
            printed = run(copy, ["/bin/bash", "-euc", text])
        elif kind == "diff":
            run(copy, ["git", "apply", "-"], text)
        else:
            assert not list(missing(text, printed)), printed
