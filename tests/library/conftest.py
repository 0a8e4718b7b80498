"""Puts the library on the import path, and gives each test a Kubernetes API of its own."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "charms/stub-mesh-k8s/lib"), str(Path(__file__).parent)]

from small_cluster import SmallCluster  # noqa: E402 - found by the path above


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallCluster]:
    """Run a Kubernetes API with the application `producer`, and point KUBECONFIG to it."""
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with SmallCluster(kubeconfig).running() as small_cluster:
        yield small_cluster


@pytest.fixture
def istio(cluster: SmallCluster) -> SmallCluster:
    """Return a cluster that has AuthorizationPolicies."""
    cluster.install_istio()
    return cluster


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect garbage after a test, so that its warnings do not fail the next test."""
    yield
    gc.collect()
