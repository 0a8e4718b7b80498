"""The network in which the processes of a run listen: one of their own, if the kernel grants it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

from rehearsal.machine import own_network


class Namespace:
    """A network of its own, which ends with the processes in it.

    Attributes:
        process: number of a process that is in it.
        handles: descriptors that a process has to inherit to enter it by `enter`.

    Raises:
        OSError: the kernel or this machine's programs do not make it possible.
    """

    def __init__(self) -> None:
        if not (nsenter := shutil.which("nsenter")):
            raise OSError("nsenter, of util-linux, is not on PATH")
        self._nsenter = nsenter
        self._lock = threading.Lock()
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._holder = subprocess.Popen(
                [sys.executable, "-IS", own_network.__file__],
                stdin=theirs.fileno(),
                start_new_session=True,
            )
        self.process = self._holder.pid
        self._names = self._enter()
        self._descriptors = {name: os.open(self._path(name), os.O_RDONLY) for name in self._names}
        self.handles = tuple(self._descriptors.values())

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()
        self._holder.wait()
        for descriptor in self.handles:
            os.close(descriptor)

    def make_socket(self) -> socket.socket:
        """Return a TCP socket that listens or connects in it."""
        with self._lock:
            self._connection.sendall(b"s")
            _, [descriptor], *_ = socket.recv_fds(self._connection, 1, 1)
        return socket.socket(fileno=descriptor)

    def listen(self, address: tuple[str, int], backlog: int) -> socket.socket:
        """Return a TCP socket that listens at an address in it."""
        listener = self.make_socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
        return listener

    def enter(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs a program in it; the command inherits `handles`."""
        paths = {name: f"/proc/self/fd/{each}" for name, each in self._descriptors.items()}
        return self._command(paths, words)

    def enter_from_outside(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs a program in it; any process of the user may start it."""
        return self._command({name: self._path(name) for name in self._names}, words)

    def _command(self, paths: dict[str, str], words: Sequence[str]) -> list[str]:
        options = [f"--{name}={path}" for name, path in paths.items()]
        kept = ["--preserve-credentials"] if "user" in paths else []
        return [self._nsenter, *options, *kept, "--", *words]

    def _enter(self) -> list[str]:
        answer = self._connection.recv(256).decode().strip()
        if not answer or answer.startswith("refused"):
            self._connection.close()
            self._holder.wait()
            raise OSError(answer)
        return answer.split()

    def _path(self, name: str) -> str:
        return f"/proc/{self.process}/ns/{name}"


def create() -> Namespace | None:
    """Return a network of its own, or None if this machine does not make one possible."""
    try:
        return Namespace()
    except OSError:
        return None
