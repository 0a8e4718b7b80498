"""Fixtures: an API server with one namespace, and its clients."""

from collections.abc import Iterator

import pytest

from rehearsal.kubernetes.server import Server
from rehearsal.kubernetes.store import Store
from tests.kubernetes.kube import Connect, Kube
from tests.kubernetes.objects import namespace


@pytest.fixture
def store() -> Store:
    store = Store()
    store.put(namespace("demo"))
    return store


@pytest.fixture
def server(store: Store) -> Iterator[Server]:
    server = Server(store, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connect(server: Server) -> Iterator[Connect]:
    clients: list[Kube] = []

    def connect(service_account: str | None) -> Kube:
        clients.append(Kube(server.kubeconfig("demo", service_account), "demo"))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def admin(connect: Connect) -> Kube:
    return connect(None)
