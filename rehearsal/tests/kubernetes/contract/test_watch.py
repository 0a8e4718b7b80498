"""The streams of changes."""

import itertools

import pytest

from tests.kubernetes.kube import ConfigMap, Kind, Kube, RefusedError
from tests.kubernetes.objects import config_map, policy

MINE = {"of": "test"}
SELECTED = "of=test"
_OLD = 100_000
"""A version that a cluster reaches long after it has discarded its first."""


def version(kube: Kube) -> str:
    return kube.request("GET", kube.path(ConfigMap))["metadata"]["resourceVersion"]


def test_begins_with_all_objects_then_sends_changes(admin: Kube) -> None:
    admin.create(config_map("a", labels=MINE, key="1"))
    events = admin.watch(ConfigMap, labelSelector=SELECTED)

    seen = [next(events)]
    admin.patch(ConfigMap, "a", {"data": {"key": "2"}})
    seen.append(next(events))
    admin.delete(ConfigMap, "a")
    seen.append(next(events))

    assert [(kind, obj["data"]) for kind, obj in seen] == [
        ("ADDED", {"key": "1"}),
        ("MODIFIED", {"key": "2"}),
        ("DELETED", {"key": "2"}),
    ]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in seen]
    assert versions == sorted(set(versions))


def test_goes_on_from_a_version(admin: Kube) -> None:
    before = admin.create(config_map("a"))["metadata"]["resourceVersion"]
    admin.create(config_map("b", labels=MINE))

    events = admin.watch(ConfigMap, resourceVersion=before, labelSelector=SELECTED)
    kind, obj = next(events)

    assert (kind, obj["metadata"]["name"]) == ("ADDED", "b")


def test_goes_on_from_a_list_without_a_gap(admin: Kube) -> None:
    admin.create(config_map("a", labels=MINE))
    listed = version(admin)
    admin.delete(ConfigMap, "a")
    admin.create(config_map("a", labels=MINE))

    events = admin.watch(ConfigMap, resourceVersion=listed, labelSelector=SELECTED)

    assert [kind for kind, _ in itertools.islice(events, 2)] == ["DELETED", "ADDED"]


def test_sees_objects_come_and_go_as_their_labels_change(admin: Kube) -> None:
    admin.create(config_map("a"))
    admin.create(config_map("b", labels={"tier": "mesh"}))
    since = version(admin)

    admin.patch(ConfigMap, "a", {"metadata": {"labels": {"tier": "mesh"}}})
    admin.patch(ConfigMap, "b", {"metadata": {"labels": None}})

    events = admin.watch(ConfigMap, labelSelector="tier=mesh", resourceVersion=since)
    seen = list(itertools.islice(events, 2))
    assert [(kind, obj["metadata"]["name"]) for kind, obj in seen] == [
        ("ADDED", "a"),
        ("DELETED", "b"),
    ]


def test_of_one_object_hears_of_no_other(admin: Kube) -> None:
    since = version(admin)
    admin.create(config_map("a"))
    admin.create(config_map("b"))

    events = admin.watch(ConfigMap, fieldSelector="metadata.name=b", resourceVersion=since)

    assert next(events)[1]["metadata"]["name"] == "b"


def test_shows_custom_resources_in_the_version_asked_for(
    admin: Kube, policies: Kind, group: str
) -> None:
    admin.create(policy("a", group=group))

    _, obj = next(admin.watch(Kind(f"{group}/v1beta1", policies.name)))

    assert obj["apiVersion"] == f"{group}/v1beta1"


def test_ends_when_its_time_is_over(admin: Kube) -> None:
    events = admin.watch(ConfigMap, timeoutSeconds="1", labelSelector=SELECTED)

    assert list(events) == []


def test_a_discarded_version_is_gone(admin: Kube) -> None:
    if int(version(admin)) < _OLD:
        pytest.skip("this cluster is too young to have forgotten anything")

    kind, status = next(admin.watch(ConfigMap, resourceVersion="1"))

    assert (kind, status["kind"]) == ("ERROR", "Status")
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")


def test_a_malformed_version_is_refused(admin: Kube) -> None:
    with pytest.raises(RefusedError) as error:
        next(admin.watch(ConfigMap, resourceVersion="x"))

    assert error.value.code >= 400
