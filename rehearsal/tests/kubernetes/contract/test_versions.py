"""The growth of resourceVersion and generation."""

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import (
    MERGE,
    STRATEGIC,
    ConfigMap,
    Kind,
    Kube,
    NetworkPolicy,
    StatefulSet,
)
from tests.kubernetes.objects import config_map, network_policy, policy, stateful_set


def generation(obj: Object) -> int | None:
    return obj["metadata"].get("generation")


@pytest.mark.parametrize("how", [STRATEGIC, MERGE])
def test_a_patch_that_changes_nothing_writes_nothing(admin: Kube, how: str) -> None:
    before = admin.create(config_map("a", key="1"))

    after = admin.patch(ConfigMap, "a", {"data": {"key": "1", "missing": None}}, how)

    assert after == before


def test_an_update_that_changes_nothing_writes_nothing(admin: Kube) -> None:
    before = admin.create(config_map("a", key="1"))

    assert admin.replace(before) == before


def test_an_update_without_status_or_generation_changes_neither(admin: Kube) -> None:
    before = admin.create(stateful_set())

    after = admin.replace({**stateful_set(), "status": {"replicas": 7}})

    assert (generation(before), generation(after)) == (1, 1)
    assert after["status"].get("replicas", 0) == 0


def test_each_change_has_a_version_of_its_own(admin: Kube) -> None:
    first = admin.create(config_map("a"))
    second = admin.patch(ConfigMap, "a", {"data": {"key": "1"}})
    other = admin.create(config_map("b"))

    versions = [int(obj["metadata"]["resourceVersion"]) for obj in (first, second, other)]

    assert versions == sorted(set(versions))


def test_only_the_spec_changes_the_generation_of_a_stateful_set(admin: Kube) -> None:
    admin.create(stateful_set())

    labelled = admin.patch(StatefulSet, "a", {"metadata": {"labels": {"tier": "mesh"}}})
    changed = admin.patch(StatefulSet, "a", {"spec": {"minReadySeconds": 3}})
    unchanged = admin.patch(StatefulSet, "a", {"spec": {"minReadySeconds": 3}})

    assert [generation(obj) for obj in (labelled, changed, unchanged)] == [1, 2, 2]


def test_only_the_spec_changes_the_generation_of_a_policy(admin: Kube) -> None:
    created = admin.create(network_policy(podSelector={}))

    labelled = admin.patch(NetworkPolicy, "deny", {"metadata": {"labels": {"tier": "mesh"}}})
    changed = admin.patch(NetworkPolicy, "deny", {"spec": {"ingress": [{}]}})

    assert [generation(obj) for obj in (created, labelled, changed)] == [1, 1, 2]


def test_only_the_spec_changes_a_custom_generation(admin: Kube, policies: Kind, group: str) -> None:
    created = admin.create(policy("a", group=group))

    labelled = admin.patch(policies, "a", {"metadata": {"labels": {"tier": "mesh"}}}, MERGE)
    changed = admin.patch(policies, "a", {"spec": {"action": "DENY"}}, MERGE)

    assert [generation(obj) for obj in (created, labelled, changed)] == [1, 1, 2]


def test_a_config_map_has_no_generation(admin: Kube) -> None:
    admin.create(config_map("a"))

    assert generation(admin.patch(ConfigMap, "a", {"data": {"key": "1"}})) is None


def test_an_object_created_again_has_another_uid(admin: Kube) -> None:
    first = admin.create(config_map("a"))
    admin.delete(ConfigMap, "a")

    second = admin.create(config_map("a"))

    assert first["metadata"]["uid"] != second["metadata"]["uid"]
