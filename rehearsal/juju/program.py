"""A program that somebody has run where a unit's charm or workload runs."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.processes import Processes


@dataclass(frozen=True)
class Program:
    """A program with its arguments, its variables and the folder in which it starts."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path


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
