"""Fixtures: the charm in a simulated Juju, and a cluster that it finds through KUBECONFIG."""

import json
import pathlib
from collections.abc import Iterator

import pytest
from cluster import Cluster, served
from ops import testing

from charm import StubMeshCharm


@pytest.fixture
def context() -> testing.Context[StubMeshCharm]:
    return testing.Context(StubMeshCharm, app_name="mesh")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Cluster]:
    cluster = Cluster()
    with served(cluster) as kubeconfig:
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(kubeconfig))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield cluster
