"""StatefulSets with pods that Kubernetes is replacing, read from an API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import rollouts
from demo.cluster import UnknownError
from rehearsal.kubernetes.server import Server
from rehearsal.kubernetes.store import Store

COMPLETE = {"observedGeneration": 1, "currentRevision": "s-b", "updateRevision": "s-b"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    store = Store()
    store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})
    server = Server(store, "127.0.0.1", 0)
    server.start()
    (tmp_path / "kubeconfig").write_text(server.kubeconfig("demo"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield store
    server.stop()


def put(store: Store, status: dict[str, Any]) -> None:
    labels = {"app.kubernetes.io/name": "scraper"}
    template: dict[str, Any] = {"metadata": {"labels": labels}, "spec": {"containers": []}}
    store.put(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"namespace": "demo", "name": "scraper"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
            "status": {"replicas": 2, "updatedReplicas": 2} | status,
        }
    )


@pytest.mark.parametrize("status", [COMPLETE, {}])
def test_pods_of_one_template_are_complete(store: Store, status: dict[str, Any]):
    put(store, status)

    assert rollouts.unfinished("demo", {"scraper": 2}) == []


@pytest.mark.parametrize(
    "status",
    [COMPLETE | {"observedGeneration": 0}, COMPLETE | {"currentRevision": "s-a"}],
)
def test_pods_of_an_older_template_are_unfinished(store: Store, status: dict[str, Any]):
    put(store, status | {"updatedReplicas": 1})

    expected = "pods of scraper: expected all of the newest template, observed 1 of 2"
    assert rollouts.unfinished("demo", {"scraper": 2}) == [expected]


def test_a_pod_of_a_removed_unit_is_unfinished(store: Store):
    put(store, COMPLETE)

    expected = "pods of scraper: expected 1, as Juju has units, observed 2"
    assert rollouts.unfinished("demo", {"scraper": 1}) == [expected]


def test_pods_of_no_juju_application_are_ignored(store: Store):
    put(store, COMPLETE)

    assert rollouts.unfinished("demo", {}) == []


def test_without_a_cluster_rollouts_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(UnknownError):
        rollouts.unfinished("demo", {"scraper": 2})


def test_the_number_of_pods_is_the_stateful_sets(store: Store):
    put(store, COMPLETE)

    assert rollouts.replicas("demo", "scraper") == 2


def test_the_number_of_pods_of_no_stateful_set_is_unknown(store: Store):
    with pytest.raises(UnknownError, match='"producer" not found'):
        rollouts.replicas("demo", "producer")
