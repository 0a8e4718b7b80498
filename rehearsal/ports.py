"""The ports that Services need, and the other servers of this machine that hold one of them.

Linux does not let a process listen on a port of a loopback address while another process listens on
that port of all addresses.
"""

import contextlib
import errno
import pwd
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from rehearsal.addresses import EGRESS_PORT
from rehearsal.kubernetes.store import Change, Store
from rehearsal.mesh import topology

_KINDS = frozenset({"Namespace", "Service"})
_ALL_ADDRESSES = frozenset({"0" * 8, "0" * 32, f"{'0' * 16}FFFF{'0' * 12}"})
"""How /proc/net/tcp and /proc/net/tcp6 spell all addresses."""
_LISTENING = "0A"


class PortError(RuntimeError):
    """A port that the run needs cannot be used; the message has the cause and the remedy."""


class Ports:
    """Checks that a port can be used as soon as a Service needs it.

    Args:
        store: the Services.
        address: a loopback address at which nothing listens.
        istio: whether the cluster has Istio.
        fail: takes the first error, while the store is locked.
    """

    def __init__(
        self, store: Store, address: str, fail: Callable[[PortError], None], *, istio: bool
    ) -> None:
        self._store = store
        self._address = address
        self._fail = fail
        self._istio = istio
        self._seen: set[int] = set()
        self._unsubscribe = store.subscribe(self._on_change)

    def start(self) -> None:
        """Check the port of the egress proxies, which every run needs.

        Raises:
            PortError: the port cannot be used.
        """
        self._check(EGRESS_PORT, "the mesh")

    def close(self) -> None:
        """Stop checking."""
        self._unsubscribe()

    def _on_change(self, change: Change) -> None:
        if change.object["kind"] not in _KINDS:
            return
        try:
            for port, service in self._needed():
                self._check(port, service)
        except PortError as error:
            self.close()
            self._fail(error)

    def _needed(self) -> Iterator[tuple[int, str]]:
        """Yield each port that something listens on, with the Service that needs it."""
        for service in topology.read(self._store, istio=self._istio).services:
            name = f"Service {service.namespace}/{service.name}"
            of_waypoint = service.ports if service.on_mesh and service.ip else ()
            yield from ((port, name) for port in {*service.ports.values(), *of_waypoint})

    def _check(self, port: int, needed_by: str) -> None:
        if port not in self._seen:
            self._seen.add(port)
            refuse_taken(self._address, port, needed_by)


def refuse_taken(address: str, port: int, needed_by: str) -> None:
    """Raise PortError if nothing can listen on a port of a loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            start = f"cannot listen on port {port}, which {needed_by} needs"
            raise PortError(f"{start}: {_reason(error, port)}") from error


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{_holder(port)} listens on it on all addresses. End that process and try again."
    if error.errno == errno.EACCES:
        setting = f"sysctl net.ipv4.ip_unprivileged_port_start={port}"
        return f"it is for root alone. Run as root, or set `{setting}` as root."
    return str(error.strerror)


def _holder(port: int) -> str:
    """Return a description of the process that listens on a port of all addresses."""
    for uid, inode in _listeners(port):
        for pid, name in _owners(inode):
            return f"process {pid} ({name})"
        with contextlib.suppress(KeyError):
            return f"a process of user {pwd.getpwuid(uid).pw_name}"
    return "another process"


def _listeners(port: int) -> Iterator[tuple[int, str]]:
    """Yield user and inode of each socket that listens on a port of all addresses."""
    for file in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            fields = line.split()
            address, _, number = fields[1].partition(":")
            is_meant = address in _ALL_ADDRESSES and int(number, 16) == port
            if is_meant and fields[3] == _LISTENING:
                yield int(fields[7]), fields[9]


def _owners(inode: str) -> Iterator[tuple[int, str]]:
    """Yield number and name of each process that has a socket open, if this user may know."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            links = {str(file.readlink()) for file in (process / "fd").iterdir()}
            if f"socket:[{inode}]" in links:
                yield int(process.name), (process / "comm").read_text().strip()
