"""A program that somebody has run where a unit's charm or workload runs."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.processes import Processes


@dataclass(frozen=True)
class Program:
    """A program with its arguments, its variables and the folder in which it starts."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class Place:
    """Where the programs of a container run.

    Attributes:
        root: folder with its files.
        environment: variables that all of them get.
    """

    root: Path
    environment: Mapping[str, str]

    def program(self, words: Sequence[str], config: Mapping[str, Any] | None = None) -> Program:
        """Return a program with the container's files where they are.

        Args:
            words: the program and its arguments.
            config: its `environment` and `working-dir`, as a Pebble service has them.
        """
        config = config or {}
        own = {key: self.inside(str(value)) for key, value in config.get("environment", {}).items()}
        folder = self.inside(str(config.get("working-dir") or self.root))
        return Program(
            [self.inside(word) for word in words], {**self.environment, **own}, Path(folder)
        )

    def inside(self, word: str) -> str:
        """Return where a path of the container is, if it names something there or a new file."""
        inside = self.root / word.lstrip("/")
        is_new = inside.parent.is_dir() and inside.parent != self.root and not Path(word).exists()
        return str(inside) if word.startswith("/") and (inside.exists() or is_new) else word


def run(
    program: Program, processes: Processes, timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end and return what it printed.

    Raises:
        TimeoutError: it has not ended in so many seconds, and was stopped.
    """
    with processes.spawn(
        list(program.words),
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
