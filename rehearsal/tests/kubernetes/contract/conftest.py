"""Fixtures: the API server under the contract, which is the rehearsal's or a real one.

    KUBECONFIG=... pytest rehearsal/tests/kubernetes/contract --cluster=real

A real one needs the controllers that every cluster has, and a kubeconfig with all rights and a
token or a certificate. The tests create namespaces of their own, and remove them.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.kubernetes.server import Server
from rehearsal.kubernetes.store import Store
from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import Connect, Definition, Kind, Kube, Namespace, outcome
from tests.kubernetes.objects import definition, namespace


@pytest.fixture(scope="session")
def kubeconfig(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.config.getoption("cluster") == "real":
        yield Path(os.environ["KUBECONFIG"]).read_text()
        return
    store = Store()
    store.version = 1_000_000  # as in a cluster that has been up for a while
    server = Server(store, "127.0.0.1", 0)
    server.start()
    yield server.kubeconfig("default")
    server.stop()


@pytest.fixture(scope="session")
def run() -> str:
    """A word that is in the name of every object outside of a namespace."""
    return f"contract-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def place(request: pytest.FixtureRequest, kubeconfig: str, run: str) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"{run}-{uuid.uuid4().hex[:6]}"
    client = Kube(kubeconfig, name)
    client.create(namespace(name))
    yield name
    if outcome(lambda: client.get(Namespace, name)) == 200:
        client.delete(Namespace, name)
    client.close()


@pytest.fixture
def connect(kubeconfig: str, place: str) -> Iterator[Connect]:
    clients: list[Kube] = []

    def connect(service_account: str | None) -> Kube:
        clients.append(Kube(kubeconfig, place, service_account))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def admin(connect: Connect) -> Kube:
    return connect(None)


@pytest.fixture(scope="session")
def group(kubeconfig: str, run: str) -> Iterator[str]:
    """The API group of an AuthorizationPolicy that the server has in v1 and v1beta1."""
    group = f"{run}.example.com"
    client = Kube(kubeconfig, "default")
    made = client.create(definition(group))
    kind = Kind(f"{group}/v1", "AuthorizationPolicy")
    eventually(lambda: outcome(lambda: client.list(kind)) == 200)
    yield group
    client.delete(Definition, made["metadata"]["name"])
    client.close()


@pytest.fixture
def policies(group: str) -> Kind:
    return Kind(f"{group}/v1", "AuthorizationPolicy")
