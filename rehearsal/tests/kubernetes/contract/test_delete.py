"""Deleting one object, many, and a namespace."""

import pytest

from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import (
    ConfigMap,
    Kind,
    Kube,
    Namespace,
    RefusedError,
    ServiceAccount,
    StatefulSet,
    names,
    outcome,
)
from tests.kubernetes.objects import (
    config_map,
    namespace,
    policy,
    service_account,
    stateful_set,
)


def test_removes_one_and_returns_its_status(admin: Kube) -> None:
    uid = admin.create(config_map("a"))["metadata"]["uid"]
    admin.create(config_map("b"))

    answer = admin.delete(ConfigMap, "a")

    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    assert outcome(lambda: admin.get(ConfigMap, "a")) == 404
    assert outcome(lambda: admin.get(ConfigMap, "b")) == 200


def test_of_some_kinds_returns_the_object(admin: Kube) -> None:
    admin.create(service_account("a"))

    assert admin.delete(ServiceAccount, "a")["kind"] == "ServiceAccount"


def test_a_custom_resource_returns_its_status(admin: Kube, policies: Kind, group: str) -> None:
    uid = admin.create(policy("a", group=group))["metadata"]["uid"]

    details = admin.delete(policies, "a")["details"]

    assert details == {"name": "a", "group": group, "kind": policies.plural, "uid": uid}


def test_a_missing_object_is_not_found(admin: Kube) -> None:
    with pytest.raises(RefusedError, match='configmaps "a" not found') as error:
        admin.delete(ConfigMap, "a")

    assert error.value.reason == (404, "NotFound")


def test_keeps_to_its_preconditions(admin: Kube) -> None:
    uid = admin.create(config_map("a"))["metadata"]["uid"]

    with pytest.raises(RefusedError, match=r"UID in (the )?precondition") as error:
        admin.delete(ConfigMap, "a", preconditions={"uid": "another"})

    assert error.value.reason == (409, "Conflict")
    assert outcome(lambda: admin.delete(ConfigMap, "a", preconditions={"uid": uid})) == 200


def test_of_a_collection_is_selected_by_labels(admin: Kube) -> None:
    for name in ("a", "b", "c"):
        admin.create(config_map(name, labels={"tier": "mesh", "name": name}))

    admin.delete_all(ConfigMap, labelSelector="name in (a, b)")

    assert names(admin.list(ConfigMap, labelSelector="tier=mesh")) == ["c"]


def test_of_a_collection_empties_one_namespace(admin: Kube, place: str, run: str) -> None:
    other = f"{run}-other"
    admin.create(namespace(other))
    for where in (None, other):
        admin.create(config_map("a", where, labels={"of": place}))

    admin.delete_all(ConfigMap, labelSelector=f"of={place}")
    left = admin.list(ConfigMap, "*", labelSelector=f"of={place}")

    assert [each["metadata"]["namespace"] for each in left] == [other]
    admin.delete(Namespace, other)


def test_of_a_stateful_set_in_the_background_is_done_at_once(admin: Kube) -> None:
    admin.create(stateful_set())

    admin.delete(StatefulSet, "a", propagationPolicy="Background")

    assert outcome(lambda: admin.get(StatefulSet, "a")) == 404


def test_an_owner_is_deleted_with_its_dependents(admin: Kube) -> None:
    owner = admin.create(config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
    owned = config_map("owned")
    owned["metadata"]["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]
    admin.create(owned)
    admin.create(config_map("free"))

    admin.delete(ConfigMap, "owner", propagationPolicy="Background")

    eventually(lambda: outcome(lambda: admin.get(ConfigMap, "owned")) == 404)
    assert outcome(lambda: admin.get(ConfigMap, "free")) == 200


def test_a_namespace_is_deleted_with_its_objects(
    admin: Kube, policies: Kind, group: str, place: str
) -> None:
    admin.create(config_map("a", labels={"of": place}))
    admin.create(policy("a", {"of": place}, group))

    admin.delete(Namespace, place)

    eventually(lambda: outcome(lambda: admin.get(Namespace, place)) == 404)
    for kind in (ConfigMap, policies):
        assert admin.list(kind, "*", labelSelector=f"of={place}") == []
    with pytest.raises(RefusedError, match=f'namespaces "{place}" not found'):
        admin.create(config_map("b"))
