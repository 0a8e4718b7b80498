"""StatefulSets with pods that Kubernetes is replacing, read from an API server."""

from pathlib import Path
from typing import Any

import pytest

from demo import rollouts
from demo.cluster import UnknownError
from tests.demo.conftest import StatefulSets

COMPLETE = {"observedGeneration": 1, "currentRevision": "s-b", "updateRevision": "s-b"}


@pytest.mark.parametrize("status", [COMPLETE, {}])
def test_pods_of_one_template_are_complete(stateful_sets: StatefulSets, status: dict[str, Any]):
    stateful_sets.put("scraper", status)

    assert rollouts.unfinished("demo", {"scraper": 2}) == []


@pytest.mark.parametrize(
    "status",
    [COMPLETE | {"observedGeneration": 0}, COMPLETE | {"currentRevision": "s-a"}],
)
def test_pods_of_an_older_template_are_unfinished(
    stateful_sets: StatefulSets, status: dict[str, Any]
):
    stateful_sets.put("scraper", status | {"updatedReplicas": 1})

    expected = "pods of scraper: expected all of the newest template, observed 1 of 2"
    assert rollouts.unfinished("demo", {"scraper": 2}) == [expected]


def test_a_pod_of_a_removed_unit_is_unfinished(stateful_sets: StatefulSets):
    stateful_sets.put("scraper", COMPLETE)

    expected = "pods of scraper: expected 1, as Juju has units, observed 2"
    assert rollouts.unfinished("demo", {"scraper": 1}) == [expected]


def test_pods_of_no_juju_application_are_ignored(stateful_sets: StatefulSets):
    stateful_sets.put("scraper", COMPLETE)

    assert rollouts.unfinished("demo", {}) == []


def test_without_a_cluster_rollouts_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(UnknownError):
        rollouts.unfinished("demo", {"scraper": 2})


def test_the_number_of_pods_is_the_stateful_sets(stateful_sets: StatefulSets):
    stateful_sets.put("scraper", COMPLETE)

    assert rollouts.replicas("demo", "scraper") == 2


def test_the_number_of_pods_of_no_stateful_set_is_unknown(stateful_sets: StatefulSets):
    with pytest.raises(UnknownError, match='"producer" not found'):
        rollouts.replicas("demo", "producer")
