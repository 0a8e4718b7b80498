"""Child processes that never outlive the run, however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, cast

from rehearsal import watchdog

_STOP_TIMEOUT = 5.0
"""Seconds that a process has to end after SIGTERM."""


class Processes:
    """Starts children in process groups of their own, and a watchdog over them.

    A run that ends in order stops each child by its handle. A run that is killed cannot: then the
    watchdog, which holds the other end of a pipe, kills the groups and removes the run's folder.

    Args:
        directory: the run's folder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._groups: set[int] = set()
        self._temporary = directory / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-IS", watchdog.__file__, str(directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._pipe = cast("IO[bytes]", self._watchdog.stdin)

    def spawn(self, command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a child; the options are those of `subprocess.Popen`.

        What it puts into its temporary folder goes with the run.
        """
        options["env"] = {**options.get("env", os.environ), "TMPDIR": str(self._temporary)}
        process = subprocess.Popen[bytes](command, start_new_session=True, **options)
        self._groups.add(process.pid)
        self._tell("+", process.pid)
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """End a child and all that it started; what has not ended in time is killed."""
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._groups.discard(process.pid)
        self._tell("-", process.pid)

    def close(self) -> None:
        """End what has not been stopped, and the watchdog, and remove the folder."""
        watchdog.clean_up(self._groups, str(self._directory))
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._watchdog.wait()

    def _tell(self, what: str, group: int) -> None:
        # It was killed: the run goes on without it. Or it is closed: a command was cut off.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._pipe.write(f"{what}{group}\n".encode())
            self._pipe.flush()
