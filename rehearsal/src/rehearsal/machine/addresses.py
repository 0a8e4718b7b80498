"""The loopback addresses of one run.

Everything that a run serves is in 127.R.0.0/16. A run reserves R when it starts.
"""

import errno
import itertools
import random
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address

EGRESS_PORT = 15001
"""The port of a pod's egress proxy on the pod's address; Istio's ztunnel uses the same port."""

_SERVICES, _PODS = 16, 64
"""Third octets at which the two ranges start."""
_BEHIND = 64
"""How far the third octet of a workload's own address is from that of its pod."""


class Network:
    """A range of loopback addresses that no other run on this machine uses.

    Args:
        octets: the numbers R to choose from.

    Attributes:
        api: address of the Kubernetes API.

    Raises:
        RuntimeError: other runs use all of the ranges.
    """

    def __init__(self, octets: Sequence[int] = range(16, 255)) -> None:
        self._octet, self._reservation = _reserve(octets)
        self.api = f"127.{self._octet}.0.1"
        self._services = itertools.count(1)
        self._pods = itertools.count(1)

    def close(self) -> None:
        """Leave the range to other runs."""
        self._reservation.close()

    def next_service(self) -> str:
        """Return an address for a Service."""
        return self._address(_SERVICES, next(self._services))

    def next_pod(self) -> str:
        """Return an address for a pod."""
        return self._address(_PODS, next(self._pods))

    def _address(self, start: int, number: int) -> str:
        third, fourth = divmod(number - 1, 250)
        return f"127.{self._octet}.{start + third}.{fourth + 1}"


def workload_address(pod_ip: str) -> str:
    """Return where the processes of a pod listen, behind the listener on the pod's own address."""
    return str(IPv4Address(pod_ip) + _BEHIND * 256)


def _reserve(octets: Sequence[int]) -> tuple[int, socket.socket]:
    """Reserve a range, and return its number with the socket that holds it."""
    for octet in random.sample(octets, k=len(octets)):
        if reservation := _hold(f"rehearsal-127.{octet}.0.0"):
            return octet, reservation
    raise RuntimeError(
        "cannot reserve loopback addresses: other rehearsals on this machine use every range "
        f"from 127.{min(octets)}.0.0/16 to 127.{max(octets)}.0.0/16. End one and try again."
    )


def _hold(name: str) -> socket.socket | None:
    """Return a socket that holds a name until it is closed, or None if another one holds it.

    The name is abstract, as Linux calls it: unlike a port, no wildcard listener takes it, and it is
    free again when the process ends in any way.
    """
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0{name}")
    except OSError as error:
        holder.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return holder
