"""One mesh with its Envoy for all tests of a module; each test has a namespace of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.kubernetes.store import Store
from rehearsal.mesh.mesh import Mesh
from tests.rehearsal.mesh.cluster import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    store = Store()
    with tempfile.TemporaryDirectory() as directory:  # shorter than tmp_path: it holds a socket
        mesh = Mesh(store, Path(directory))
        mesh.start()
        cluster = Cluster(store, mesh)
        yield cluster
        mesh.stop()
        cluster.close()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace() as name:
        yield name
