"""The store: what in-process owners of objects rely on."""

import pytest

from rehearsal.kubernetes.store import Change, Object, Store
from tests.rehearsal.kubernetes.kube import config_map, names, namespace


def network_policy(**spec: object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "demo"},
        "spec": spec,
    }


@pytest.fixture
def changes(store: Store) -> list[Change]:
    changes: list[Change] = []
    store.subscribe(changes.append)
    return changes


def test_what_goes_in_and_comes_out_is_copied(store: Store) -> None:
    given = config_map("a", key="old")
    store.put(given)["data"]["key"] = "through the result"
    given["data"]["key"] = "through the argument"

    found = store.get("ConfigMap", "demo", "a")

    assert found is not None
    assert found["data"] == {"key": "old"}


def test_equal_content_is_no_change(store: Store, changes: list[Change]) -> None:
    first = store.put(config_map("a", key="1"))

    again = store.put(config_map("a", key="1"))

    assert again == first
    assert [change.type for change in changes] == ["ADDED"]


def test_each_change_raises_the_resource_version_by_one(store: Store) -> None:
    created = store.put(config_map("a", key="1"))
    other = store.put(config_map("b"))

    changed = store.put(config_map("a", key="2"))

    versions = [int(obj["metadata"]["resourceVersion"]) for obj in (created, other, changed)]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
    assert changed["metadata"]["uid"] == created["metadata"]["uid"]
    assert changed["metadata"]["uid"] != other["metadata"]["uid"]


def test_the_generation_grows_with_the_spec_and_not_with_labels(store: Store) -> None:
    store.put(network_policy(podSelector={}))
    labelled = network_policy(podSelector={})
    labelled["metadata"]["labels"] = {"tier": "mesh"}

    generations = [
        store.put(obj)["metadata"]["generation"]
        for obj in (labelled, network_policy(podSelector={}, ingress=[]))
    ]

    assert generations == [1, 2]


def test_a_list_is_sorted_and_keeps_to_its_namespace_and_labels(store: Store) -> None:
    for name, place in (("b", "demo"), ("a", "demo"), ("a", "other")):
        store.put(config_map(name, place, labels={"name": name}, of=place))

    assert names(store.list("ConfigMap")) == ["a", "b", "a"]
    assert names(store.list("ConfigMap", "demo")) == ["a", "b"]
    found = store.list("ConfigMap", labels={"name": "a"})
    assert [obj["data"]["of"] for obj in found] == ["demo", "other"]


def test_a_namespace_takes_along_what_is_in_it_and_nothing_else(
    store: Store, changes: list[Change]
) -> None:
    store.put(namespace("other"))
    store.put(config_map("mine"))
    store.put(config_map("theirs", "other"))
    changes.clear()

    store.delete("Namespace", None, "demo")

    gone = [(change.type, change.object["metadata"]["name"]) for change in changes]
    assert gone == [("DELETED", "mine"), ("DELETED", "demo")]
    assert names(store.list("ConfigMap")) == ["theirs"]


def test_a_namespace_carries_its_name_as_a_label(store: Store) -> None:
    found = store.get("Namespace", None, "demo")

    assert found is not None
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "demo"}


def test_changes_come_in_order_until_the_subscription_ends(store: Store) -> None:
    changes: list[Change] = []
    unsubscribe = store.subscribe(changes.append)
    store.put(config_map("a", key="1"))
    store.put(config_map("a", key="2"))
    store.delete("ConfigMap", "demo", "a")
    unsubscribe()
    store.put(config_map("b"))

    assert [change.type for change in changes] == ["ADDED", "MODIFIED", "DELETED"]
    assert [change.object["data"] for change in changes] == [
        {"key": "1"},
        {"key": "2"},
        {"key": "2"},
    ]


def test_deleting_what_is_not_there_is_no_change(store: Store, changes: list[Change]) -> None:
    assert store.delete("ConfigMap", "demo", "missing") is None
    assert changes == []


def test_past_changes_can_be_read_again_from_a_version_on(store: Store) -> None:
    version = store.version
    store.put(config_map("a"))
    store.put(config_map("b"))

    past = store.changes(version + 1)

    assert past is not None
    assert names([change.object for change in past]) == ["b"]
    assert store.changes(store.version) == []
