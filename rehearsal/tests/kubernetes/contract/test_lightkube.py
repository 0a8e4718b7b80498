"""lightkube, the client of the charms, understands the answers."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from lightkube import ApiError, Client, KubeConfig, generic_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.operators import in_
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Namespace
from lightkube.types import PatchType

from tests.kubernetes.kube import ConfigMap as ConfigMapKind
from tests.kubernetes.kube import Kube
from tests.kubernetes.objects import config_map, stateful_set

# lightkube says only in part what these take and return.
_KubeConfig: Any = KubeConfig
_generic: Any = generic_resource


@pytest.fixture
def client(kubeconfig: str, place: str) -> Iterator[Any]:
    config = _KubeConfig.from_dict(yaml.safe_load(kubeconfig))
    client: Any = Client(config=config, namespace=place, field_manager="lightkube")
    yield client
    client.close()


def test_it_reads_writes_and_deletes(client: Any) -> None:
    client.create(
        ConfigMap(metadata=ObjectMeta(name="a", labels={"tier": "mesh"}), data={"k": "1"})
    )
    client.patch(ConfigMap, "a", {"data": {"k": "2"}})
    wanted = ConfigMap(metadata=ObjectMeta(name="a"), data={"other": "1"})

    assert client.apply(wanted).data == {"k": "2", "other": "1"}
    found = list(client.list(ConfigMap, labels={"tier": in_(["mesh", "other"])}))
    assert [each.metadata.name for each in found] == ["a"]
    client.replace(found[0])
    client.delete(ConfigMap, "a")
    with pytest.raises(ApiError, match='configmaps "a" not found') as error:
        client.get(ConfigMap, "a")
    assert (error.value.status.code, error.value.status.reason) == (404, "NotFound")


def test_it_reads_the_faults_of_an_object(client: Any, admin: Kube) -> None:
    admin.create(stateful_set())
    labels = {"spec": {"template": {"metadata": {"labels": {"a b": "x"}}}}}

    with pytest.raises(ApiError) as error:
        client.patch(StatefulSet, "a", labels)

    status: Any = error.value.status
    assert status.reason == "Invalid"
    # Kubernetes 1.34 lists the cause twice.
    assert {each.field for each in status.details.causes} == {"spec.template.labels"}


def test_it_watches(client: Any, admin: Kube, place: str) -> None:
    admin.create(config_map("a", labels={"of": "test"}))
    events = client.watch(ConfigMap, labels={"of": "test"})

    assert [next(events)[0]] == ["ADDED"]
    admin.delete(ConfigMapKind, "a")
    assert [next(events)[0]] == ["DELETED"]


def test_it_waits(client: Any, group: str, place: str) -> None:
    name = f"authorizationpolicies.{group}"

    client.wait(CustomResourceDefinition, name, for_conditions=["Established"])

    assert client.get(Namespace, place).status.phase == "Active"


def test_it_handles_custom_resources(client: Any, group: str) -> None:
    plural = "authorizationpolicies"
    kind = _generic.create_namespaced_resource(group, "v1", "AuthorizationPolicy", plural)

    client.apply(kind(metadata=ObjectMeta(name="a"), spec={"action": "ALLOW"}))
    client.patch(kind, "a", {"spec": {"action": "DENY"}}, patch_type=PatchType.MERGE)

    assert [each.spec for each in client.list(kind, namespace="*", fields={"metadata.name": "a"})]
    assert client.get(kind, "a").spec == {"action": "DENY"}
