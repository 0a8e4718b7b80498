"""Child processes that never outlive the run, however it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from rehearsal.machine import account_files, watchdog
from rehearsal.machine.confinement import Confinement
from rehearsal.machine.namespace import Namespace

_STOP_TIMEOUT = 5.0
"""Seconds that a process has to end after SIGTERM."""


class Processes:
    """Starts children in process groups of their own, and a watchdog over them.

    A run that ends in order stops each child by its handle. A run that is killed cannot: then the
    watchdog, which holds the other end of a pipe, kills the groups and removes the run's folder.

    Args:
        directory: the run's folder.
        namespace: the network of the run, if it has one of its own.

    Attributes:
        temporary: folder for temporary files, which goes with the run.
        accounts: folder for the links by which children find the files of a service account.
        confinement: confines programs to the run's folder.
    """

    def __init__(self, directory: Path, namespace: Namespace | None = None) -> None:
        self._directory = directory
        self._namespace = namespace
        self.temporary = directory / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.accounts = directory / "accounts"
        self.accounts.mkdir(exist_ok=True)
        self.confinement = Confinement(directory)
        self._groups: set[int] = set()
        self._watchdog = subprocess.Popen(
            [sys.executable, "-IS", watchdog.__file__, str(directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._pipe = cast("IO[bytes]", self._watchdog.stdin)

    def spawn(
        self,
        command: list[str],
        *,
        confined: bool = False,
        accounts: Path | None = None,
        **options: Any,
    ) -> "subprocess.Popen[bytes]":
        """Start a child.

        Args:
            command: its words, of which the first is the path or name of a program that is there.
            confined: whether it must not change files outside of the run's folder.
            accounts: folder with a link by the child's number, which it finds as its own account.
            options: those of `subprocess.Popen`.
        """
        options["env"] = {**options.get("env", os.environ), "TMPDIR": str(self.temporary)}
        if accounts:
            command = [sys.executable, "-IS", account_files.__file__, str(accounts), *command]
        if self._namespace:
            command = self._namespace.enter(command)
            options["pass_fds"] = (*options.get("pass_fds", ()), *self._namespace.handles)
        start = partial(subprocess.Popen[bytes], command, start_new_session=True, **options)
        process = self.confinement.call(start) if confined else start()
        self._groups.add(process.pid)
        self._tell("+", process.pid)
        return process

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs a program like a confined child, for others to start."""
        confined = self.confinement.command(words)
        return self._namespace.enter_from_outside(confined) if self._namespace else confined

    def make_socket(self) -> socket.socket:
        """Return a TCP socket that reaches the children."""
        return self._namespace.make_socket() if self._namespace else socket.socket()

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """End a child and its descendants, and kill those that do not end in time."""
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
        """End the remaining children and the watchdog, and remove the folder."""
        watchdog.clean_up(self._groups, str(self._directory))
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._watchdog.wait()

    def _tell(self, what: str, group: int) -> None:
        # It was killed: the run goes on without it. Or it is closed: a command was cut off.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._pipe.write(f"{what}{group}\n".encode())
            self._pipe.flush()
