"""Commands in the containers of a unit's charm or workload."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.machine.processes import Processes

BIND_ADDRESS = "BIND_ADDRESS"
"""Variable of workloads: the address at which they listen."""
_BETWEEN_PATHS = re.compile(r"[\s\"'=;|&<>()`]+")
"""The separators of paths in a command line."""
_OF_THE_KERNEL = ("/dev/", "/proc/", "/sys/")
"""Folders that hold no files of the user."""
_REFUSAL = (
    "{} is outside of the unit: it belongs to this machine, whose kernel cannot keep the files of "
    "others from a unit's commands. Name files in the unit by paths relative to its folder."
)


@dataclass(frozen=True)
class UnitCommand:
    """A program with its arguments, its variables and the folder in which it starts."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class Place:
    """Describes the container in which programs run.

    Attributes:
        root: folder with its files.
        environment: variables that all of them get.
        confined: whether they cannot change files of this machine.
    """

    root: Path
    environment: Mapping[str, str]
    confined: bool = True

    def program(self, words: Sequence[str], config: Mapping[str, Any] | None = None) -> UnitCommand:
        """Return a command whose paths lead to the container's files.

        Args:
            words: the program and its arguments.
            config: its `environment` and `working-dir`, as a Pebble service has them.
        """
        config = config or {}
        own = {key: self.inside(str(value)) for key, value in config.get("environment", {}).items()}
        folder = self.inside(str(config.get("working-dir") or self.root))
        return UnitCommand(
            [self.inside(word) for word in words], {**self.environment, **own}, Path(folder)
        )

    def inside(self, word: str) -> str:
        """Return the real path of a container's file, if the word names one that may exist."""
        inside = self.root / word.lstrip("/")
        is_new = inside.parent.is_dir() and inside.parent != self.root and not Path(word).exists()
        return str(inside) if word.startswith("/") and (inside.exists() or is_new) else word

    def refusal(self, program: UnitCommand) -> str | None:
        """Return the reason to refuse a command that is not confined and names a path outside.

        It finds the paths in the command, but not the ones that the program finds by itself.
        """
        if self.confined:
            return None
        named = [path for word in program.words for path in _BETWEEN_PATHS.split(word)]
        paths = [str(program.folder), *(path for path in named if "/" in path)]
        outside = next((path for path in paths if _is_at_risk(path, self.root)), None)
        return outside and _REFUSAL.format(outside)


def _is_at_risk(text: str, root: Path) -> bool:
    """Return whether a path leads out of a folder to a file that this user can change."""
    path = Path(os.path.normpath(root / text))
    if path.is_relative_to(root) or str(path).startswith(_OF_THE_KERNEL):
        return False
    if path.is_file() and os.access(path, os.X_OK):
        return False  # a program, such as /bin/sh
    return path.is_dir() or any(os.access(each, os.W_OK) for each in (path, path.parent))


def run(
    program: UnitCommand, processes: Processes, timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return its output.

    Raises:
        TimeoutError: the command has not ended in this time, and was stopped.
    """
    with processes.spawn(
        list(program.words),
        confined=True,
        env=dict(program.environment),
        cwd=program.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        finally:
            processes.stop(process)
    texts = [text.decode(errors="replace") for text in (out, err)]
    return subprocess.CompletedProcess(process.args, process.returncode, *texts)
