"""What a client may rely on, seen through lightkube: the same from a real API server."""

from typing import Any

import httpx2
import pytest
from lightkube import ApiError
from lightkube.operators import exists, in_, not_equal, not_exists, not_in
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod, Service
from lightkube.types import PatchType

from rehearsal.kubernetes.store import Object, Store
from tests.rehearsal.kubernetes.kube import (
    AuthorizationPolicy,
    Kube,
    OldAuthorizationPolicy,
    config_map,
    definition,
    names,
    namespace,
    policy,
)

NAME = "app.kubernetes.io/name"
ALL: list[Object] = [{}]
"""The rules of a policy that matches every request."""
CRD = "authorizationpolicies.security.istio.io"


def stateful_set(**spec: Any) -> Object:
    container = {"name": "workload", "image": "image:1", "env": [{"name": "A", "value": "1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "a", "namespace": "demo"},
        "spec": {
            "serviceName": "a-endpoints",
            "selector": {"matchLabels": {NAME: "a"}},
            "template": {"metadata": {"labels": {NAME: "a"}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def service(**spec: Any) -> Object:
    metadata = {"name": "a", "namespace": "demo"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def of_template(labels: Object) -> Object:
    return {"spec": {"template": {"metadata": {"labels": labels}}}}


def of_containers(*containers: Object) -> Object:
    return {"spec": {"template": {"spec": {"containers": [*containers]}}}}


def refused(error: pytest.ExceptionInfo[ApiError]) -> tuple[int | None, str | None]:
    return error.value.status.code, error.value.status.reason


@pytest.fixture
def crd(store: Store) -> Object:
    return store.put(definition())


class TestCreate:
    def test_gives_the_object_what_is_not_the_clients_to_give(self, admin: Kube) -> None:
        created = admin.create(config_map("a", key="1"))

        assert created["data"] == {"key": "1"}
        assert created["metadata"].keys() >= {"uid", "resourceVersion", "creationTimestamp"}
        assert admin.get(ConfigMap, "a") == created

    def test_makes_a_name_from_a_prefix(self, admin: Kube) -> None:
        given = config_map("", labels={})
        given["metadata"] = {"generateName": "a-", "namespace": "demo"}

        made = names([admin.create(given), admin.create(given)])

        assert len(set(made)) == 2
        assert all(name.startswith("a-") and len(name) > 2 for name in made)

    def test_what_exists_is_a_conflict(self, admin: Kube) -> None:
        admin.create(config_map("a"))

        with pytest.raises(ApiError, match='configmaps "a" already exists') as error:
            admin.create(config_map("a"))

        assert refused(error) == (409, "AlreadyExists")

    def test_needs_its_namespace(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match='namespaces "nowhere" not found') as error:
            admin.create(config_map("a", "nowhere"))

        assert refused(error) == (404, "NotFound")

    def test_of_a_stateful_set_asks_for_a_selector_of_its_own_pods(self, admin: Kube) -> None:
        stranger = stateful_set(selector={"matchLabels": {NAME: "b"}})

        with pytest.raises(ApiError, match="`selector` does not match template `labels`") as error:
            admin.create(stranger)

        assert refused(error) == (422, "Invalid")

    def test_of_a_service_without_an_address_is_not_done(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match="the choice of an address") as error:
            admin.create(service(ports=[{"port": 80}]))

        assert refused(error) == (501, "NotImplemented")

    @pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254, "*"])
    def test_refuses_what_is_no_name(self, admin: Kube, name: str) -> None:
        with pytest.raises(ApiError, match=r"metadata\.name: Invalid value") as error:
            admin.create(config_map(name))

        assert refused(error) == (422, "Invalid")

    @pytest.mark.parametrize(
        ("key", "value"),
        [("tier", "a b"), ("tier", "x" * 64), ("a b", "x"), ("Upper/tier", "x"), ("/tier", "x")],
    )
    def test_refuses_what_is_no_label(self, admin: Kube, key: str, value: str) -> None:
        with pytest.raises(ApiError, match=r"metadata\.labels: Invalid value") as error:
            admin.create(config_map("a", labels={key: value}))

        assert refused(error) == (422, "Invalid")

    @pytest.mark.parametrize(("key", "value"), [("tier", ""), ("istio.io/mode", "x" * 63)])
    def test_takes_every_legal_label(self, admin: Kube, key: str, value: str) -> None:
        created = admin.create(config_map("a", labels={key: value}))

        assert created["metadata"]["labels"] == {key: value}


class TestGet:
    def test_of_what_is_not_there_says_so(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match=r'^statefulsets\.apps "missing" not found$') as error:
            admin.get(StatefulSet, "missing")

        assert refused(error) == (404, "NotFound")

    def test_of_a_kind_that_is_not_served_is_answered_by_no_status(self, admin: Kube) -> None:
        with pytest.raises(httpx2.HTTPStatusError) as error:
            admin.get(AuthorizationPolicy, "a")

        assert not isinstance(error.value, ApiError)
        assert error.value.response.text == "404 page not found\n"

    def test_shows_a_definition(self, admin: Kube, crd: Object) -> None:
        assert admin.get(CustomResourceDefinition, CRD)["spec"]["group"] == crd["spec"]["group"]


class TestList:
    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ({"tier": "mesh"}, ["b"]),
            ({"tier": "none"}, []),
            ({"tier": in_(["mesh", "other"])}, ["b", "c"]),
            ({"tier": not_in(["mesh"])}, ["a", "c"]),
            ({"tier": not_equal("mesh")}, ["a", "c"]),
            ({"tier": exists()}, ["b", "c"]),
            ({"tier": not_exists()}, ["a"]),
            ({"tier": in_(["mesh", "other"]), "side": exists()}, ["c"]),
        ],
    )
    def test_selects_by_labels(self, admin: Kube, labels: Object, expected: list[str]) -> None:
        admin.create(config_map("a"))
        admin.create(config_map("b", labels={"tier": "mesh"}))
        admin.create(config_map("c", labels={"tier": "other", "side": ""}))

        assert names(admin.list(ConfigMap, labels=labels)) == expected

    def test_selects_by_name(self, admin: Kube) -> None:
        admin.create(config_map("a"))
        admin.create(config_map("b"))

        assert names(admin.list(ConfigMap, fields={"metadata.name": "b"})) == ["b"]

    def test_refuses_other_fields(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match="field label not supported") as error:
            admin.list(ConfigMap, fields={"data.key": "1"})

        assert refused(error) == (400, "BadRequest")

    def test_shows_one_namespace_or_all(self, admin: Kube) -> None:
        admin.create(namespace("other"))
        admin.create(config_map("a"))
        admin.create(config_map("b", "other"))

        assert names(admin.list(ConfigMap)) == ["a"]
        assert names(admin.list(ConfigMap, namespace="*")) == ["a", "b"]


class TestReplace:
    def test_makes_the_object_what_was_sent(self, admin: Kube) -> None:
        seen = admin.create(config_map("a", old="1"))

        admin.replace({**seen, "data": {"new": "1"}})

        assert admin.get(ConfigMap, "a")["data"] == {"new": "1"}

    def test_of_an_older_version_is_a_conflict(self, admin: Kube) -> None:
        seen = admin.create(config_map("a", old="1"))
        admin.replace(config_map("a", new="1"))

        with pytest.raises(ApiError, match="the object has been modified") as error:
            admin.replace(seen)

        assert refused(error) == (409, "Conflict")
        assert admin.get(ConfigMap, "a")["data"] == {"new": "1"}

    @pytest.mark.usefixtures("crd")
    def test_of_a_custom_resource_needs_a_version(self, admin: Kube) -> None:
        seen = admin.create(policy("a"))

        with pytest.raises(ApiError, match="must be specified for an update") as error:
            admin.replace(policy("a", action="DENY"))

        assert refused(error) == (422, "Invalid")
        assert admin.replace({**seen, "spec": {"action": "DENY"}})["spec"] == {"action": "DENY"}


class TestStrategicMerge:
    """What the labels of the mesh are set with."""

    def test_adds_and_removes_labels_of_the_pod_template_alone(self, admin: Kube) -> None:
        before = admin.create(stateful_set())

        admin.patch(StatefulSet, "a", of_template({"mesh": "on", "gone": None}))

        joined = admin.get(StatefulSet, "a")
        template = before["spec"]["template"]
        labels = {"labels": {NAME: "a", "mesh": "on"}}
        assert joined["spec"] == before["spec"] | {"template": {**template, "metadata": labels}}
        assert joined["metadata"]["generation"] == 2

        admin.patch(StatefulSet, "a", of_template({"mesh": None}))

        assert admin.get(StatefulSet, "a")["spec"] == before["spec"]

    def test_merges_containers_and_their_variables_by_name(self, admin: Kube) -> None:
        admin.create(stateful_set())
        changed = {"name": "workload", "env": [{"name": "B", "value": "2"}]}
        sidecar = {"name": "sidecar", "image": "image:2"}

        patched = admin.patch(StatefulSet, "a", of_containers(changed, sidecar))

        variables = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
        workload = {"name": "workload", "image": "image:1", "env": variables}
        assert patched["spec"]["template"]["spec"]["containers"] == [workload, sidecar]

    def test_removes_an_item_when_told_to(self, admin: Kube) -> None:
        admin.create(stateful_set())
        removed, added = {"name": "A", "$patch": "delete"}, {"name": "B", "value": "2"}

        patched = admin.patch(
            StatefulSet, "a", of_containers({"name": "workload", "env": [removed, added]})
        )

        assert patched["spec"]["template"]["spec"]["containers"][0]["env"] == [added]

    def test_needs_the_key_of_an_item(self, admin: Kube) -> None:
        admin.create(stateful_set())

        with pytest.raises(ApiError, match="does not contain declared merge key: name") as error:
            admin.patch(StatefulSet, "a", of_containers({"image": "image:2"}))

        assert refused(error) == (400, "BadRequest")

    def test_merges_the_ports_of_a_service(self, admin: Kube) -> None:
        placeholder = {"name": "placeholder", "port": 65535}
        metrics = {"name": "metrics", "port": 9090}
        admin.create(service(clusterIP="None", ports=[placeholder]))

        patched = admin.patch(Service, "a", {"spec": {"ports": [metrics]}})

        assert patched["spec"]["ports"] == [placeholder, metrics]

    def test_takes_data_for_what_it_is(self, admin: Kube) -> None:
        admin.create(config_map("a", env="1"))

        patched = admin.patch(ConfigMap, "a", {"data": {"env": "2", "ports": "3"}})

        assert patched["data"] == {"env": "2", "ports": "3"}

    def test_that_changes_nothing_writes_nothing(self, admin: Kube) -> None:
        before = admin.create(config_map("a", key="1"))

        after = admin.patch(ConfigMap, "a", {"data": {"key": "1", "missing": None}})

        assert after == before

    def test_that_changes_nothing_leaves_alone_what_others_own(
        self, admin: Kube, store: Store
    ) -> None:
        before = store.put(config_map("a", key="1"))

        admin.patch(ConfigMap, "a", {"data": {"key": "1"}})

        assert store.get("ConfigMap", "demo", "a") == before

    def test_with_an_older_version_is_a_conflict(self, admin: Kube) -> None:
        version = admin.create(config_map("a", key="1"))["metadata"]["resourceVersion"]
        admin.patch(ConfigMap, "a", {"data": {"key": "2"}})
        late = {"metadata": {"resourceVersion": version}, "data": {"key": "3"}}

        with pytest.raises(ApiError, match="the object has been modified") as error:
            admin.patch(ConfigMap, "a", late)

        assert refused(error) == (409, "Conflict")

    @pytest.mark.parametrize(
        "spec", [{"serviceName": "b"}, {"selector": {"matchLabels": {"other": "a"}}}]
    )
    def test_cannot_change_what_is_fixed_in_a_stateful_set(self, admin: Kube, spec: Object) -> None:
        admin.create(stateful_set())

        with pytest.raises(ApiError, match="updates to statefulset spec for fields") as error:
            admin.patch(StatefulSet, "a", {"spec": spec})

        assert refused(error) == (422, "Invalid")

    def test_can_change_the_scale_of_a_stateful_set(self, admin: Kube) -> None:
        admin.create(stateful_set())

        assert admin.patch(StatefulSet, "a", {"spec": {"replicas": 3}})["spec"]["replicas"] == 3

    @pytest.mark.usefixtures("crd")
    def test_is_not_known_to_custom_resources(self, admin: Kube) -> None:
        admin.create(policy("a"))

        with pytest.raises(ApiError) as error:
            admin.patch(AuthorizationPolicy, "a", {"spec": {}})

        assert refused(error) == (415, "UnsupportedMediaType")

    def test_of_what_is_not_there_says_so(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match='configmaps "a" not found') as error:
            admin.patch(ConfigMap, "a", {"data": {"key": "1"}})

        assert refused(error) == (404, "NotFound")


class TestOtherPatches:
    @pytest.mark.usefixtures("crd")
    def test_a_merge_patch_replaces_lists(self, admin: Kube) -> None:
        admin.create(policy("a", action="ALLOW", rules=[{"to": ["a"]}, {"from": ["b"]}]))
        patch = {"spec": {"action": None, "rules": ALL}}

        patched = admin.patch(AuthorizationPolicy, "a", patch, PatchType.MERGE)

        assert patched["spec"] == {"rules": ALL}
        assert patched["metadata"]["generation"] == 2

    def test_a_json_patch_does_its_operations_if_its_test_holds(self, admin: Kube) -> None:
        admin.create(config_map("a", key="1"))
        test = {"op": "test", "path": "/data/key", "value": "1"}
        change = {"op": "replace", "path": "/data/key", "value": "2"}

        admin.patch(ConfigMap, "a", [test, change], PatchType.JSON)
        with pytest.raises(ApiError) as error:
            admin.patch(ConfigMap, "a", [test, {**change, "value": "3"}], PatchType.JSON)

        assert refused(error) == (422, "Invalid")
        assert admin.get(ConfigMap, "a")["data"] == {"key": "2"}

    def test_a_json_patch_must_be_one(self, admin: Kube) -> None:
        admin.create(config_map("a"))

        with pytest.raises(ApiError) as error:
            admin.patch(ConfigMap, "a", [{"op": "invent", "path": "/data"}], PatchType.JSON)

        assert refused(error) == (400, "BadRequest")


@pytest.mark.usefixtures("crd")
class TestApply:
    def test_creates_then_changes_then_removes_what_is_no_longer_applied(self, admin: Kube) -> None:
        first = policy("a", {"tier": "mesh"}, action="ALLOW", rules=[{"from": ["a"]}])
        admin.apply(first, "producer")
        admin.apply(policy("a", rules=ALL), "producer")

        found = admin.get(AuthorizationPolicy, "a")

        assert found["spec"] == {"rules": ALL}
        assert not found["metadata"].get("labels")
        assert found["metadata"]["generation"] == 2

    def test_leaves_what_others_set(self, admin: Kube) -> None:
        admin.apply(policy("a", {"mine": "1"}, action="ALLOW"), "producer")
        theirs = {"metadata": {"labels": {"theirs": "1"}}}
        admin.patch(AuthorizationPolicy, "a", theirs, PatchType.MERGE)

        applied = admin.apply(policy("a", action="ALLOW"), "producer")

        assert applied["metadata"]["labels"] == {"theirs": "1"}

    def test_again_changes_nothing(self, admin: Kube) -> None:
        wanted = policy("a", {"tier": "mesh"}, rules=ALL)
        admin.apply(wanted, "other")
        first = admin.apply(wanted, "producer")

        assert admin.apply(wanted, "producer") == first
        assert admin.apply(wanted, "other") == first

    def test_of_an_empty_spec_keeps_it(self, admin: Kube) -> None:
        admin.apply(policy("a", rules=ALL), "producer")

        assert admin.apply(policy("a"), "producer")["spec"] == {}

    def test_of_another_value_than_another_managers_is_a_conflict(self, admin: Kube) -> None:
        admin.apply(policy("a", action="ALLOW"), "producer")

        with pytest.raises(ApiError, match=r'conflict with "producer": \.spec\.action') as error:
            admin.apply(policy("a", action="DENY"), "other")

        assert refused(error) == (409, "Conflict")
        assert admin.get(AuthorizationPolicy, "a")["spec"] == {"action": "ALLOW"}

    def test_of_the_same_value_is_shared(self, admin: Kube) -> None:
        admin.apply(policy("a", action="ALLOW"), "producer")
        admin.apply(policy("a", action="ALLOW"), "other")

        assert admin.apply(policy("a"), "other")["spec"] == {"action": "ALLOW"}

    def test_with_force_takes_the_field_over(self, admin: Kube) -> None:
        admin.apply(policy("a", action="ALLOW"), "producer")

        forced = admin.apply(policy("a", action="DENY"), "other", force=True)

        assert forced["spec"] == {"action": "DENY"}
        with pytest.raises(ApiError, match='conflict with "other"'):
            admin.apply(policy("a", action="ALLOW"), "producer")

    def test_of_what_an_update_set_is_a_conflict(self, admin: Kube) -> None:
        admin.create(config_map("a", key="1"))

        with pytest.raises(ApiError, match=r"using v1: \.data\.key") as error:
            admin.apply(config_map("a", key="2"), "other")

        assert refused(error) == (409, "Conflict")

    def test_of_what_nobody_manages_yet_is_a_conflict(self, admin: Kube, store: Store) -> None:
        store.put(config_map("a", key="1"))

        with pytest.raises(ApiError, match=r'"before-first-apply" using v1: \.data\.key') as error:
            admin.apply(config_map("a", key="2"), "other")

        assert refused(error) == (409, "Conflict")

    def test_needs_a_field_manager(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match="fieldManager: Required value") as error:
            admin.apply(config_map("a"), "")

        assert refused(error) == (422, "Invalid")

    def test_of_lists_whose_items_have_managers_is_not_done(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match="server-side apply of containers") as error:
            admin.apply(stateful_set(), "producer")

        assert refused(error) == (501, "NotImplemented")


class TestCustomResources:
    @pytest.mark.usefixtures("crd")
    def test_are_seen_in_each_served_version(self, admin: Kube) -> None:
        admin.create(policy("a", action="ALLOW"))

        old = admin.get(OldAuthorizationPolicy, "a")

        assert old["apiVersion"] == "security.istio.io/v1beta1"
        assert old["spec"] == {"action": "ALLOW"}

    @pytest.mark.usefixtures("crd")
    def test_go_with_their_definition(self, admin: Kube, store: Store) -> None:
        admin.create(policy("a"))

        admin.delete(CustomResourceDefinition, CRD)

        assert store.list("AuthorizationPolicy") == []
        with pytest.raises(httpx2.HTTPStatusError, match="404"):
            admin.get(AuthorizationPolicy, "a")

    def test_need_a_definition_that_makes_sense(self, admin: Kube) -> None:
        misnamed = definition() | {"metadata": {"name": "others.x.io"}}

        with pytest.raises(ApiError, match=r"spec\.names\.plural") as error:
            admin.create(misnamed)

        assert refused(error) == (422, "Invalid")

    @pytest.mark.usefixtures("crd")
    def test_of_the_same_kind_from_two_groups_are_not_done(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match="two kinds of one name") as error:
            admin.create(definition("x.io"))

        assert refused(error) == (501, "NotImplemented")

    def test_are_served_once_a_client_has_defined_them(self, admin: Kube) -> None:
        admin.create(definition())

        admin.wait(CustomResourceDefinition, CRD, "Established")

        assert admin.list(AuthorizationPolicy) == []


class TestDelete:
    def test_removes_one(self, admin: Kube) -> None:
        admin.create(config_map("a"))
        admin.create(config_map("b"))

        admin.delete(ConfigMap, "a")

        assert names(admin.list(ConfigMap)) == ["b"]

    def test_of_what_is_not_there_says_so(self, admin: Kube) -> None:
        with pytest.raises(ApiError, match='configmaps "a" not found') as error:
            admin.delete(ConfigMap, "a")

        assert refused(error) == (404, "NotFound")

    def test_of_a_collection_empties_one_namespace(self, admin: Kube) -> None:
        admin.create(namespace("other"))
        admin.create(config_map("b", "other"))
        admin.create(config_map("a"))

        admin.delete_all(ConfigMap)

        assert names(admin.list(ConfigMap, namespace="*")) == ["b"]

    def test_of_a_namespace_takes_all_that_is_in_it(self, admin: Kube) -> None:
        admin.create(config_map("a"))

        admin.delete(Namespace, "demo")

        assert admin.list(ConfigMap, namespace="*") == []


def test_the_status_is_not_for_the_clients_of_an_object(admin: Kube, store: Store) -> None:
    metadata: Object = {"name": "a-0", "namespace": "demo"}
    spec = {"containers": [{"name": "charm"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    store.put({**pod, "status": {"phase": "Running"}})

    admin.patch(Pod, "a-0", {"status": {"phase": "Failed"}})
    metadata["labels"] = {"tier": "mesh"}
    applied = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Lost"}}
    admin.apply(applied, "scraper")

    assert admin.get(Pod, "a-0")["metadata"]["labels"] == {"tier": "mesh"}
    assert admin.get(Pod, "a-0")["status"] == {"phase": "Running"}


class TestWatch:
    def test_tells_what_is_there_and_then_what_changes(self, admin: Kube) -> None:
        admin.create(config_map("a", key="1"))
        events = admin.watch(ConfigMap)

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

    def test_goes_on_from_a_version(self, admin: Kube) -> None:
        version = admin.create(config_map("a"))["metadata"]["resourceVersion"]
        admin.create(config_map("b"))

        kind, obj = next(admin.watch(ConfigMap, resource_version=version))

        assert (kind, obj["metadata"]["name"]) == ("ADDED", "b")

    def test_sees_objects_come_and_go_as_their_labels_change(self, admin: Kube) -> None:
        admin.create(config_map("a"))
        created = admin.create(config_map("b", labels={"tier": "mesh"}))
        version = created["metadata"]["resourceVersion"]

        admin.patch(ConfigMap, "a", {"metadata": {"labels": {"tier": "mesh"}}})
        admin.patch(ConfigMap, "b", {"metadata": {"labels": None}})

        events = admin.watch(ConfigMap, labels={"tier": "mesh"}, resource_version=version)
        seen = [next(events), next(events)]
        assert [(kind, obj["metadata"]["name"]) for kind, obj in seen] == [
            ("ADDED", "a"),
            ("DELETED", "b"),
        ]
