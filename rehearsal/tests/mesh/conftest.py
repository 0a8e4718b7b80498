"""One mesh with its Envoy for all tests of a module; each test has a namespace of its own."""

from collections.abc import Iterator

import pytest

from tests.mesh.cluster import Cluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    with cluster.namespace() as name:
        yield name
