"""Loopback addresses: each run has a range of its own, also beside other servers."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from rehearsal.machine.addresses import Network
from rehearsal.rehearsal import Rehearsal
from tests.kubernetes.kube import Kube, Namespace


@pytest.fixture
def network() -> Iterator[Network]:
    with contextlib.closing(Network()) as network:
        yield network


@pytest.fixture
def another_api_server() -> Iterator[None]:
    """A server that listens on port 6443 of all addresses."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # this machine already has one
            stack.enter_context(socket.create_server(("0.0.0.0", 6443)))  # noqa: S104 (as they do)
        yield


def octet(network: Network) -> int:
    return int(network.api.split(".")[1])


def test_a_range_belongs_to_one_run_until_it_ends(network: Network):
    with pytest.raises(RuntimeError, match=r"use every range from 127\..*End one"):
        Network([octet(network)])

    network.close()

    with contextlib.closing(Network([octet(network)])) as other:
        assert other.api == network.api


def test_a_range_that_is_taken_is_passed_over(network: Network):
    free = octet(network) + 256  # no run chooses it

    with contextlib.closing(Network([octet(network), free])) as other:
        assert octet(other) == free


@pytest.mark.usefixtures("another_api_server")
def test_a_rehearsal_starts_beside_an_api_server():
    with Rehearsal() as rehearsal:
        kubeconfig = (rehearsal.directory / "kubeconfig").read_text()
        with contextlib.closing(Kube(kubeconfig, "default")) as client:
            namespaces = [each["metadata"]["name"] for each in client.list(Namespace)]

    assert namespaces == ["istio-system"]
