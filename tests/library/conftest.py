"""Where the library and the rehearsal's Kubernetes API are, and a cluster for one test."""

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
    """A Kubernetes API that has the application `producer`, with KUBECONFIG pointing to it."""
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with SmallCluster(kubeconfig).running() as small_cluster:
        yield small_cluster


@pytest.fixture
def istio(cluster: SmallCluster) -> SmallCluster:
    """A cluster that knows AuthorizationPolicies."""
    cluster.install_istio()
    return cluster


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what a test leaves, before the next one is blamed for it."""
    yield
    gc.collect()
