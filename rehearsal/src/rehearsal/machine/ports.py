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

from rehearsal.kubernetes.store import Change, Store
from rehearsal.machine.addresses import EGRESS_PORT
from rehearsal.machine.listeners import listeners, owners
from rehearsal.mesh import topology

_KINDS = frozenset({"Namespace", "Service"})
_LISTENS = "listens on it on all addresses."
_END_IT = "End that process and try again."


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
            raise PortError(f"{start}: {_reason(error, address, port)}") from error


def _reason(error: OSError, address: str, port: int) -> str:
    """Return the reason why a port cannot be used, with advice."""
    if error.errno == errno.EADDRINUSE:
        return _held(port, address)
    if error.errno == errno.EACCES:
        setting = f"sysctl net.ipv4.ip_unprivileged_port_start={port}"
        return f"it is for root alone. Run as root, or set `{setting}` as root."
    return str(error.strerror)


def _held(port: int, address: str) -> str:
    """Return the process that listens on a port of all addresses, with advice."""
    for each in listeners():
        if each.port == port and each.address.is_unspecified:
            for pid, name in owners(each.inode):
                if _is_workload(pid, address):
                    advice = "It has to listen on the address in $BIND_ADDRESS."
                    return f"a workload, process {pid} ({name}), {_LISTENS} {advice}"
                return f"process {pid} ({name}) {_LISTENS} {_END_IT}"
            with contextlib.suppress(KeyError):
                return f"a process of user {pwd.getpwuid(each.uid).pw_name} {_LISTENS} {_END_IT}"
    return f"another process {_LISTENS} {_END_IT}"


def _is_workload(pid: int, address: str) -> bool:
    """Return whether a process runs in a pod of this run, whose addresses begin alike."""
    network = ".".join(address.split(".")[:2])
    with contextlib.suppress(OSError):
        return f"BIND_ADDRESS={network}.".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False
