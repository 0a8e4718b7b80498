"""docs/make-it-yours.md as it is written: its commands run, its changes made, its output seen."""

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
    """The repository as `make demo` leaves it."""
    ignored = shutil.ignore_patterns(".venv", "*.charm", "__pycache__", ".pytest_cache")
    for name in _NAMES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def run(folder: Path, script: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run(
        ["/bin/bash", "-euc", script],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def change(folder: Path, diff: str) -> None:
    """Make the change that a diff without line numbers describes."""
    head, _, hunk = diff.partition("@@\n")
    file = folder / head.partition("+++ b/")[2].strip()
    before, after = (
        "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[:1] in (" ", sign))
        for sign in "-+"
    )
    text = file.read_text()
    assert text.count(before) == 1, diff
    file.write_text(text.replace(before, after))


def missing(expected: str, printed: str) -> Iterator[str]:
    """Yield the lines that ought to have been printed, and were not, by their words."""
    lines = [line.split() for line in printed.splitlines()]
    yield from (line for line in expected.splitlines() if line.split() not in lines)


def test_every_step_does_what_is_written(copy: Path):
    printed = ""
    for kind, text in _BLOCK.findall(GUIDE.read_text()):
        if kind == "sh":
            printed = run(copy, text)
        elif kind == "diff":
            change(copy, text)
        else:
            assert not list(missing(text, printed)), printed
