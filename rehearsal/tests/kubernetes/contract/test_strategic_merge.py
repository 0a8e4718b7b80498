"""Strategic merge patches, with which charms set the labels of the mesh."""

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import (
    ConfigMap,
    Kind,
    Kube,
    RefusedError,
    Service,
    StatefulSet,
)
from tests.kubernetes.objects import (
    NAME,
    config_map,
    container,
    policy,
    service,
    stateful_set,
)


def of_template(labels: Object | None) -> Object:
    return {"spec": {"template": {"metadata": {"labels": labels}}}}


def of_containers(*containers: Object) -> Object:
    return {"spec": {"template": {"spec": {"containers": [*containers]}}}}


def containers(stateful_set: Object) -> list[tuple[str, str, list[Object]]]:
    found = stateful_set["spec"]["template"]["spec"]["containers"]
    return [(each["name"], each["image"], each.get("env", [])) for each in found]


A, B = ({"name": name, "value": value} for name, value in (("A", "1"), ("B", "2")))


def test_adds_and_removes_labels_of_the_pod_template_alone(admin: Kube) -> None:
    before = admin.create(stateful_set())

    admin.patch(StatefulSet, "a", of_template({"mesh": "on", "gone": None}))

    joined = admin.get(StatefulSet, "a")
    labels = joined["spec"]["template"]["metadata"].pop("labels")
    assert labels == before["spec"]["template"]["metadata"].pop("labels") | {"mesh": "on"}
    assert joined["spec"] == before["spec"]
    assert joined["metadata"]["generation"] == 2

    admin.patch(StatefulSet, "a", of_template({"mesh": None}))

    left = admin.get(StatefulSet, "a")["spec"]["template"]["metadata"]["labels"]
    assert left == {NAME: "a"}


def test_merges_containers_and_their_variables_by_name(admin: Kube) -> None:
    admin.create(stateful_set())
    sidecar = {"name": "sidecar", "image": "image:2"}

    patched = admin.patch(
        StatefulSet, "a", of_containers({"name": "workload", "env": [B]}, sidecar)
    )

    # What the patch names comes first, in its order, and before what it does not name.
    assert containers(patched) == [("workload", "image:1", [B, A]), ("sidecar", "image:2", [])]


def test_adds_new_items_before_unnamed_ones(admin: Kube) -> None:
    admin.create(stateful_set())

    patched = admin.patch(StatefulSet, "a", of_containers(container("sidecar")))

    assert [name for name, _, _ in containers(patched)] == ["sidecar", "workload"]


def test_keeps_the_place_of_named_items(admin: Kube) -> None:
    given = stateful_set()
    given["spec"]["template"]["spec"]["containers"] = [container(name) for name in "abc"]
    admin.create(given)

    patched = admin.patch(StatefulSet, "a", of_containers(container("b", image="image:2")))

    assert [name for name, _, _ in containers(patched)] == ["a", "b", "c"]


def test_removes_an_item_when_told_to(admin: Kube) -> None:
    admin.create(stateful_set())
    removed = {"name": "A", "$patch": "delete"}

    patched = admin.patch(
        StatefulSet, "a", of_containers({"name": "workload", "env": [removed, B]})
    )

    assert containers(patched) == [("workload", "image:1", [B])]


def test_replaces_a_list_when_told_to(admin: Kube) -> None:
    admin.create(stateful_set())
    replaced = [{"$patch": "replace"}, B]

    patched = admin.patch(StatefulSet, "a", of_containers({"name": "workload", "env": replaced}))

    assert containers(patched) == [("workload", "image:1", [B])]


def test_keeps_the_order_of_the_directive(admin: Kube) -> None:
    admin.create(stateful_set())
    spec = of_containers({"name": "sidecar", "image": "image:2"})
    order = {"$setElementOrder/containers": [{"name": "sidecar"}, {"name": "workload"}]}
    spec["spec"]["template"]["spec"] |= order

    patched = admin.patch(StatefulSet, "a", spec)

    assert [name for name, _, _ in containers(patched)] == ["sidecar", "workload"]


def test_replaces_a_map_when_told_to(admin: Kube) -> None:
    admin.create(config_map("a", labels={"old": "1"}, key="1"))

    patched = admin.patch(ConfigMap, "a", {"data": {"$patch": "replace", "new": "1"}})

    assert patched["data"] == {"new": "1"}


def test_needs_the_key_of_an_item(admin: Kube) -> None:
    admin.create(stateful_set())

    with pytest.raises(RefusedError, match="does not contain declared merge key: name") as error:
        admin.patch(StatefulSet, "a", of_containers({"image": "image:2"}))

    assert error.value.code >= 400


def test_merges_the_ports_of_a_service(admin: Kube) -> None:
    placeholder, metrics = ({"name": f"p{port}", "port": port} for port in (65535, 9090))
    admin.create(service(clusterIP="None", ports=[placeholder]))

    patched = admin.patch(Service, "a", {"spec": {"ports": [metrics]}})

    assert [port["port"] for port in patched["spec"]["ports"]] == [9090, 65535]


def test_treats_directives_in_data_as_data(admin: Kube) -> None:
    admin.create(config_map("a", env="1"))

    patched = admin.patch(ConfigMap, "a", {"data": {"env": "2", "ports": "3"}})

    assert patched["data"] == {"env": "2", "ports": "3"}


def test_with_null_removes_a_whole_map(admin: Kube) -> None:
    admin.create(config_map("a", labels={"tier": "mesh"}, key="1"))

    patched = admin.patch(ConfigMap, "a", {"metadata": {"labels": None}})

    assert "labels" not in patched["metadata"]
    assert patched["data"] == {"key": "1"}


def test_with_an_older_version_is_a_conflict(admin: Kube) -> None:
    version = admin.create(config_map("a", key="1"))["metadata"]["resourceVersion"]
    admin.patch(ConfigMap, "a", {"data": {"key": "2"}})
    late = {"metadata": {"resourceVersion": version}, "data": {"key": "3"}}

    with pytest.raises(RefusedError, match="the object has been modified") as error:
        admin.patch(ConfigMap, "a", late)

    assert error.value.reason == (409, "Conflict")


def test_must_be_a_map(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError) as error:
        admin.patch(ConfigMap, "a", [])

    assert error.value.reason == (400, "BadRequest")


def test_is_refused_for_custom_resources(admin: Kube, policies: Kind, group: str) -> None:
    admin.create(policy("a", group=group))

    with pytest.raises(RefusedError) as error:
        admin.patch(policies, "a", {"spec": {}})

    assert error.value.reason == (415, "UnsupportedMediaType")


def test_a_missing_object_is_not_found(admin: Kube) -> None:
    with pytest.raises(RefusedError, match='configmaps "a" not found') as error:
        admin.patch(ConfigMap, "a", {"data": {"key": "1"}})

    assert error.value.reason == (404, "NotFound")


def test_keeps_other_containers_as_they_are(admin: Kube) -> None:
    admin.create(stateful_set())

    patched = admin.patch(StatefulSet, "a", of_containers(container("workload", image="image:3")))

    assert containers(patched) == [("workload", "image:3", [A])]
