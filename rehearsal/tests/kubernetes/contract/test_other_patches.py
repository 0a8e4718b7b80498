"""JSON merge patch and JSON patch."""

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import (
    JSON,
    MERGE,
    ConfigMap,
    Kind,
    Kube,
    RefusedError,
    StatefulSet,
)
from tests.kubernetes.objects import config_map, container, policy, stateful_set

ALL: list[Object] = [{}]
"""The rules of a policy that matches every request."""


def test_a_merge_patch_replaces_lists(admin: Kube, policies: Kind, group: str) -> None:
    rules = [{"to": ["a"]}, {"from": ["b"]}]
    admin.create(policy("a", group=group, action="ALLOW", rules=rules))

    patched = admin.patch(policies, "a", {"spec": {"action": None, "rules": ALL}}, MERGE)

    assert patched["spec"] == {"rules": ALL}
    assert patched["metadata"]["generation"] == 2


def test_a_merge_patch_replaces_lists_of_built_in_kinds_too(admin: Kube) -> None:
    admin.create(stateful_set())
    other = {"spec": {"template": {"spec": {"containers": [container("other")]}}}}

    patched = admin.patch(StatefulSet, "a", other, MERGE)

    found = patched["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in found] == ["other"]


def test_a_merge_patch_removes_with_null(admin: Kube) -> None:
    admin.create(config_map("a", labels={"tier": "mesh"}, key="1", other="2"))
    patch = {"data": {"key": None, "missing": None}, "metadata": {"labels": {"tier": None}}}

    patched = admin.patch(ConfigMap, "a", patch, MERGE)

    assert patched["data"] == {"other": "2"}
    assert not patched["metadata"].get("labels")


def test_a_merge_patch_must_be_a_map(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", [], MERGE)

    assert error.value.reason == (400, "BadRequest")


def test_a_json_patch_does_its_operations_if_its_test_holds(admin: Kube) -> None:
    admin.create(config_map("a", key="1"))
    test = {"op": "test", "path": "/data/key", "value": "1"}
    change = {"op": "replace", "path": "/data/key", "value": "2"}

    admin.patch(ConfigMap, "a", [test, change], JSON)
    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", [test, {**change, "value": "3"}], JSON)

    assert error.value.reason == (422, "Invalid")
    assert admin.get(ConfigMap, "a")["data"] == {"key": "2"}


def test_a_json_patch_finds_names_with_a_slash(admin: Kube) -> None:
    admin.create(config_map("a", labels={"istio.io/mode": "none"}))
    remove = {"op": "remove", "path": "/metadata/labels/istio.io~1mode"}

    assert not admin.patch(ConfigMap, "a", [remove], JSON)["metadata"].get("labels")


def test_a_json_patch_cannot_remove_a_missing_field(admin: Kube) -> None:
    admin.create(config_map("a", key="1"))

    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", [{"op": "remove", "path": "/data/missing"}], JSON)

    assert error.value.reason == (422, "Invalid")


@pytest.mark.parametrize("patch", [{"data": {}}, [{"op": "invent", "path": "/data"}]])
def test_a_json_patch_must_be_one(admin: Kube, patch: object) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", patch, JSON)

    assert error.value.code in (400, 422)


def test_a_patch_cannot_change_the_name(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", {"metadata": {"name": "b"}}, MERGE)

    assert error.value.code in (400, 422)


def test_a_patch_of_an_unknown_type_is_refused(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", {}, "json")

    assert error.value.reason == (415, "UnsupportedMediaType")
