"""The ports that Services need, and the other servers of this machine that hold one of them.

Linux does not let a process listen on a port of a loopback address while another process listens on
that port of all addresses.
"""

import contextlib
import errno
import pwd
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rehearsal.kubernetes.store import Change, Store
from rehearsal.machine.addresses import EGRESS_PORT
from rehearsal.machine.listeners import listeners, owners
from rehearsal.machine.namespace import Namespace
from rehearsal.mesh import topology

_KINDS = frozenset({"Namespace", "Service"})
_HOLDS = "listens on it on all addresses"


class PortError(RuntimeError):
    """A port that the run needs cannot be used; the message has the cause and the remedy."""


class Ports:
    """Checks that a port can be used as soon as a Service needs it.

    Args:
        store: the Services.
        address: a loopback address at which nothing listens.
        fail: takes the first error, while the store is locked.
        istio: whether the cluster has Istio.
        namespace: the network of the run, if it has one of its own.
    """

    def __init__(
        self,
        store: Store,
        address: str,
        fail: Callable[[PortError], None],
        *,
        istio: bool,
        namespace: Namespace | None = None,
    ) -> None:
        self._store = store
        self._address = address
        self._fail = fail
        self._istio = istio
        self._namespace = namespace
        self._seen: set[int] = set()
        self._unsubscribe = store.subscribe(self._on_change)

    def start(self) -> None:
        """Check the port of the egress proxies, which every run needs on this machine.

        Raises:
            PortError: the port cannot be used.
        """
        self._check(EGRESS_PORT, "the mesh", None)

    def close(self) -> None:
        """Stop checking."""
        self._unsubscribe()

    def _on_change(self, change: Change) -> None:
        if change.object["kind"] not in _KINDS or not _says_more(change):
            return
        try:
            for port, service in self._needed():
                if port not in self._seen:
                    self._seen.add(port)
                    self._check(port, service, self._namespace)
        except PortError as error:
            self.close()
            self._fail(error)

    def _needed(self) -> Iterator[tuple[int, str]]:
        """Yield each port that something listens on, with the Service that needs it."""
        for service in topology.read(self._store, istio=self._istio).services:
            name = f"Service {service.namespace}/{service.name}"
            of_waypoint = service.ports if service.on_mesh and service.ip else ()
            yield from ((port, name) for port in {*service.ports.values(), *of_waypoint})

    def _check(self, port: int, needed_by: str, namespace: Namespace | None) -> None:
        """Raise PortError if nothing can listen on a port, in a namespace or on this machine."""
        with namespace.make_socket() if namespace else socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._address, port))
            except OSError as error:
                reason = self._reason(error, port, namespace)
                raise PortError(
                    f"cannot listen on port {port}, which {needed_by} needs: {reason}"
                ) from error

    def _reason(self, error: OSError, port: int, namespace: Namespace | None) -> str:
        """Return the reason why a port cannot be used, with advice."""
        if error.errno == errno.EACCES:
            setting = f"sysctl net.ipv4.ip_unprivileged_port_start={port}"
            return f"it is for root alone. Run as root, or set `{setting}` as root."
        if error.errno != errno.EADDRINUSE:
            return str(error.strerror)
        holder = find_holder(port, namespace.process if namespace else "self")
        if holder.pid and self._is_workload(holder.pid):
            return f"{holder} of a pod {_HOLDS}. It has to listen on the address in $BIND_ADDRESS."
        return f"{holder} {_HOLDS}. End that process and try again."

    def _is_workload(self, pid: int) -> bool:
        """Return whether a process runs in a pod of this run, whose addresses begin alike."""
        network = ".".join(self._address.split(".")[:2])
        with contextlib.suppress(OSError):
            return f"BIND_ADDRESS={network}.".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        return False


def _says_more(change: Change) -> bool:
    """Return whether a change is about ports, or about the labels that put Services on a mesh."""
    new, old = change.object, change.previous or {}
    labels = [obj.get("metadata", {}).get("labels") for obj in (new, old)]
    return new.get("spec") != old.get("spec") or labels[0] != labels[1]


@dataclass(frozen=True)
class Holder:
    """A process that listens on a port of all addresses, as far as this user may know it."""

    pid: int | None = None
    name: str = ""
    user: str = ""

    def __str__(self) -> str:
        if self.pid:
            return f"process {self.pid} ({self.name})"
        return f"a process of user {self.user}" if self.user else "another process"


def find_holder(port: int, process: int | str = "self") -> Holder:
    """Return the holder of a port in the network of a process."""
    for each in listeners(process):
        if each.port == port and each.address.is_unspecified:
            for pid, name in owners(each.inode):
                return Holder(pid, name)
            with contextlib.suppress(KeyError):
                return Holder(user=pwd.getpwuid(each.uid).pw_name)
    return Holder()
