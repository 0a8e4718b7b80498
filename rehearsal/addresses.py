"""The loopback addresses of one run.

Everything that a run serves is below 127.R.0.0/16, R being free at its start.
"""

import itertools
import random
import socket
from ipaddress import IPv4Address

API_PORT = 6443
EGRESS_PORT = 15001
"""Where a pod's egress proxy listens on the pod's address; Istio's ztunnel uses the same port."""

_SERVICES, _PODS = 16, 64
"""Third octets at which the two ranges start."""
_BEHIND = 64
"""How far the third octet of a workload's own address is from that of its pod."""


class Network:
    """A range of loopback addresses that no other run on this machine uses.

    Attributes:
        api: address of the Kubernetes API. Holding its port is what reserves the range.
    """

    def __init__(self) -> None:
        octets = random.sample(range(16, 255), k=239)
        self._octet = next(octet for octet in octets if _is_free(octet))
        self.api = f"127.{self._octet}.0.1"
        self._services = itertools.count(1)
        self._pods = itertools.count(1)

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


def _is_free(octet: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((f"127.{octet}.0.1", API_PORT)) != 0
