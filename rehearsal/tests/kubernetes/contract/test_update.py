"""Replacing an object by PUT."""

import pytest

from tests.kubernetes.kube import ConfigMap, Kind, Kube, RefusedError
from tests.kubernetes.objects import config_map, policy


def test_replaces_the_whole_object(admin: Kube) -> None:
    seen = admin.create(config_map("a", old="1"))

    admin.replace({**seen, "data": {"new": "1"}})

    found = admin.get(ConfigMap, "a")
    assert found["data"] == {"new": "1"}
    assert found["metadata"]["uid"] == seen["metadata"]["uid"]


def test_of_an_older_version_is_a_conflict(admin: Kube) -> None:
    seen = admin.create(config_map("a", old="1"))
    admin.replace(config_map("a", new="1"))

    with pytest.raises(RefusedError) as error:
        admin.replace(seen)

    assert str(error.value) == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified;'
        " please apply your changes to the latest version and try again"
    )
    assert error.value.reason == (409, "Conflict")
    assert error.value.details == {"name": "a", "kind": "configmaps"}
    assert admin.get(ConfigMap, "a")["data"] == {"new": "1"}


def test_of_another_object_of_that_name_is_a_conflict(admin: Kube) -> None:
    admin.create(config_map("a"))
    other = config_map("a", new="1")
    other["metadata"]["uid"] = "another"

    with pytest.raises(RefusedError, match="Precondition failed: UID in precondition") as error:
        admin.replace(other)

    assert error.value.reason == (409, "Conflict")


def test_a_missing_object_is_not_found(admin: Kube, place: str) -> None:
    seen = config_map("a", place)
    seen["metadata"]["resourceVersion"] = "1"

    with pytest.raises(RefusedError) as error:
        admin.replace(seen)

    assert error.value.reason[0] in (404, 409)


def test_cannot_change_the_name(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError, match="the name of the object") as error:
        admin.request("PUT", admin.path(ConfigMap, "a"), json=config_map("b"))

    assert error.value.reason == (400, "BadRequest")


def test_of_a_custom_resource_needs_a_version(admin: Kube, policies: Kind, group: str) -> None:
    seen = admin.create(policy("a", group=group))

    with pytest.raises(RefusedError, match="must be specified for an update") as error:
        admin.replace(policy("a", group=group, action="DENY"))

    assert error.value.reason == (422, "Invalid")
    assert error.value.causes == [("metadata.resourceVersion", "FieldValueInvalid")]
    assert admin.replace({**seen, "spec": {"action": "DENY"}})["spec"] == {"action": "DENY"}
