"""Server-side apply and the managers of fields."""

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import MERGE, ConfigMap, Kind, Kube, RefusedError
from tests.kubernetes.objects import config_map, policy

ALL: list[Object] = [{}]
"""The rules of a policy that matches every request."""


def managers(obj: Object) -> list[tuple[str, str]]:
    return sorted((each["manager"], each["operation"]) for each in obj["metadata"]["managedFields"])


def test_creates_changes_and_removes_applied_fields(
    admin: Kube, policies: Kind, group: str
) -> None:
    first = policy("a", {"tier": "mesh"}, group, action="ALLOW", rules=[{"from": ["a"]}])
    admin.apply(first, "producer")
    admin.apply(policy("a", group=group, rules=ALL), "producer")

    found = admin.get(policies, "a")

    assert found["spec"] == {"rules": ALL}
    assert not found["metadata"].get("labels")
    assert found["metadata"]["generation"] == 2
    assert managers(found) == [("producer", "Apply")]


def test_keeps_the_fields_of_other_managers(admin: Kube, policies: Kind, group: str) -> None:
    admin.apply(policy("a", {"mine": "1"}, group, action="ALLOW"), "producer")
    admin.patch(policies, "a", {"metadata": {"labels": {"theirs": "1"}}}, MERGE)

    applied = admin.apply(policy("a", group=group, action="ALLOW"), "producer")

    assert applied["metadata"]["labels"] == {"theirs": "1"}


def test_again_changes_nothing(admin: Kube, group: str) -> None:
    wanted = policy("a", {"tier": "mesh"}, group, rules=ALL)
    admin.apply(wanted, "other")
    first = admin.apply(wanted, "producer")

    assert admin.apply(wanted, "producer") == first
    assert admin.apply(wanted, "other") == first


def test_of_an_empty_spec_is_kept(admin: Kube, group: str) -> None:
    assert admin.apply(policy("a", group=group), "producer")["spec"] == {}
    assert admin.apply(policy("a", group=group), "producer")["spec"] == {}


def test_of_an_empty_spec_over_a_full_one_leaves_null(admin: Kube, group: str) -> None:
    admin.apply(policy("a", group=group, rules=ALL), "producer")

    assert admin.apply(policy("a", group=group), "producer")["spec"] is None
    assert admin.apply(policy("a", group=group), "producer")["spec"] == {}


def test_another_value_for_a_managed_field_is_a_conflict(
    admin: Kube, policies: Kind, group: str
) -> None:
    admin.apply(policy("a", group=group, action="ALLOW"), "producer")

    with pytest.raises(RefusedError) as error:
        admin.apply(policy("a", group=group, action="DENY"), "other")

    message = 'Apply failed with 1 conflict: conflict with "producer": .spec.action'
    assert str(error.value) == message
    assert error.value.reason == (409, "Conflict")
    assert error.value.causes == [(".spec.action", "FieldManagerConflict")]
    assert admin.get(policies, "a")["spec"] == {"action": "ALLOW"}


def test_the_same_value_shares_the_field(admin: Kube, group: str) -> None:
    admin.apply(policy("a", group=group, action="ALLOW"), "producer")
    admin.apply(policy("a", group=group, action="ALLOW"), "other")

    assert admin.apply(policy("a", group=group), "other")["spec"] == {"action": "ALLOW"}


def test_with_force_takes_the_field_over(admin: Kube, group: str) -> None:
    admin.apply(policy("a", group=group, action="ALLOW"), "producer")

    forced = admin.apply(policy("a", group=group, action="DENY"), "other", force=True)

    assert forced["spec"] == {"action": "DENY"}
    with pytest.raises(RefusedError, match='conflict with "other"'):
        admin.apply(policy("a", group=group, action="ALLOW"), "producer")


def test_a_field_that_an_update_set_is_a_conflict(admin: Kube) -> None:
    admin.create(config_map("a", key="1"), fieldManager="creator")

    with pytest.raises(
        RefusedError, match=r'conflict with "creator" using v1: \.data\.key'
    ) as error:
        admin.apply(config_map("a", key="2"), "other")

    assert error.value.reason == (409, "Conflict")


def test_the_same_value_as_an_update_shares_the_field(admin: Kube) -> None:
    admin.create(config_map("a", key="1"), fieldManager="creator")

    applied = admin.apply(config_map("a", key="1"), "other")

    assert managers(applied) == [("creator", "Update"), ("other", "Apply")]


def test_an_update_without_a_manager_is_by_the_user_agent(admin: Kube) -> None:
    admin.http.headers["User-Agent"] = "lightkube/0.17 (linux)"

    created = admin.create(config_map("a", key="1"))

    assert managers(created) == [("lightkube", "Update")]


def test_names_each_conflict(admin: Kube) -> None:
    admin.apply(config_map("a", one="1", two="1"), "producer")

    with pytest.raises(RefusedError) as error:
        admin.apply(config_map("a", one="2", two="2"), "other")

    message = 'Apply failed with 2 conflicts: conflicts with "producer":\n- .data.one\n- .data.two'
    assert str(error.value) == message
    assert sorted(error.value.causes) == [
        (".data.one", "FieldManagerConflict"),
        (".data.two", "FieldManagerConflict"),
    ]


def test_needs_a_field_manager(admin: Kube) -> None:
    with pytest.raises(RefusedError, match="fieldManager: Required value") as error:
        admin.apply(config_map("a"), "")

    assert error.value.reason == (422, "Invalid")
    assert error.value.causes == [("fieldManager", "FieldValueRequired")]


def test_does_not_take_managed_fields(admin: Kube) -> None:
    given = admin.create(config_map("a", key="1"))

    with pytest.raises(RefusedError, match=r"metadata.managedFields must be nil") as error:
        admin.apply(given, "producer")

    assert error.value.reason == (400, "BadRequest")


def test_with_an_older_version_is_a_conflict(admin: Kube) -> None:
    version = admin.create(config_map("a"))["metadata"]["resourceVersion"]
    admin.patch(ConfigMap, "a", {"data": {"key": "1"}})
    late = config_map("a", other="1")
    late["metadata"]["resourceVersion"] = version

    with pytest.raises(RefusedError, match="the object has been modified") as error:
        admin.apply(late, "producer")

    assert error.value.reason == (409, "Conflict")
