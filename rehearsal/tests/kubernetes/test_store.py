"""The store: the guarantees for its users in the same process."""

import pytest

from rehearsal.kubernetes.store import Change, Store
from tests.kubernetes.kube import Kube, StatefulSet, names
from tests.kubernetes.objects import (
    config_map,
    namespace,
    network_policy,
    stateful_set,
)


@pytest.fixture
def changes(store: Store) -> list[Change]:
    changes: list[Change] = []
    store.subscribe(changes.append)
    return changes


def test_objects_are_copied_in_and_out(store: Store) -> None:
    given = config_map("a", "demo", key="old")
    store.put(given)["data"]["key"] = "through the result"
    given["data"]["key"] = "through the argument"

    found = store.get("ConfigMap", "demo", "a")

    assert found is not None
    assert found["data"] == {"key": "old"}


def test_equal_content_is_no_change(store: Store, changes: list[Change]) -> None:
    first = store.put(config_map("a", "demo", key="1"))

    again = store.put(config_map("a", "demo", key="1"))

    assert again == first
    assert [change.type for change in changes] == ["ADDED"]


def test_each_change_raises_the_resource_version_by_one(store: Store) -> None:
    created = store.put(config_map("a", "demo", key="1"))
    other = store.put(config_map("b", "demo"))

    changed = store.put(config_map("a", "demo", key="2"))

    versions = [int(obj["metadata"]["resourceVersion"]) for obj in (created, other, changed)]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
    assert changed["metadata"]["uid"] == created["metadata"]["uid"]
    assert changed["metadata"]["uid"] != other["metadata"]["uid"]


def test_the_generation_grows_with_the_spec_and_not_with_labels(store: Store) -> None:
    store.put(network_policy("demo", podSelector={}))
    labelled = network_policy("demo", podSelector={})
    labelled["metadata"]["labels"] = {"tier": "mesh"}

    generations = [
        store.put(obj)["metadata"]["generation"]
        for obj in (labelled, network_policy("demo", podSelector={}, ingress=[]))
    ]

    assert generations == [1, 2]


def test_a_list_is_sorted_and_keeps_to_its_namespace_and_labels(store: Store) -> None:
    for name, place in (("b", "demo"), ("a", "demo"), ("a", "other")):
        store.put(config_map(name, place, labels={"name": name}, of=place))

    assert names(store.list("ConfigMap")) == ["a", "b", "a"]
    assert names(store.list("ConfigMap", "demo")) == ["a", "b"]
    found = store.list("ConfigMap", labels={"name": "a"})
    assert [obj["data"]["of"] for obj in found] == ["demo", "other"]


def test_a_namespace_is_deleted_with_its_objects_only(store: Store, changes: list[Change]) -> None:
    store.put(namespace("other"))
    store.put(config_map("mine", "demo"))
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
    store.put(config_map("a", "demo", key="1"))
    store.put(config_map("a", "demo", key="2"))
    store.delete("ConfigMap", "demo", "a")
    unsubscribe()
    store.put(config_map("b", "demo"))

    assert [change.type for change in changes] == ["ADDED", "MODIFIED", "DELETED"]
    assert [change.object["data"] for change in changes] == [
        {"key": "1"},
        {"key": "2"},
        {"key": "2"},
    ]


def test_deleting_a_missing_object_is_no_change(store: Store, changes: list[Change]) -> None:
    assert store.delete("ConfigMap", "demo", "missing") is None
    assert changes == []


def test_changes_after_a_version_can_be_read_again(store: Store) -> None:
    version = store.version
    store.put(config_map("a", "demo"))
    store.put(config_map("b", "demo"))

    past = store.changes(version + 1)

    assert past is not None
    assert names([change.object for change in past]) == ["b"]
    assert store.changes(store.version) == []


def test_an_object_without_defaults_is_patched_unchanged(store: Store, admin: Kube) -> None:
    given = stateful_set()
    given["metadata"]["namespace"] = "demo"
    before = store.put(given)

    admin.patch(StatefulSet, "a", {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}})
    admin.patch(StatefulSet, "a", {"spec": {"template": {"metadata": {"labels": {"a": None}}}}})

    after = store.get("StatefulSet", "demo", "a")
    assert after
    assert after["spec"] == before["spec"]
