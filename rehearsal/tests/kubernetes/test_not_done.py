"""Requests that only Kubernetes supports get 501, and never an invented answer."""

from typing import Any

import pytest

from rehearsal.kubernetes.store import Object, Store
from tests.kubernetes.kube import ConfigMap, Kube, Pod, RefusedError, StatefulSet, outcome
from tests.kubernetes.objects import (
    config_map,
    definition,
    namespace,
    pod,
    service,
    stateful_set,
)

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def store(store: Store) -> Store:
    """A store with a ConfigMap and a Pod."""
    store.put(config_map("a", "demo"))
    store.put(pod("a", "demo"))
    return store


def refusal(admin: Kube, method: str, path: str, **more: Any) -> str:
    with pytest.raises(RefusedError) as error:
        admin.request(method, path, **more)

    assert error.value.reason == (501, "NotImplemented")
    return str(error.value).removeprefix("the rehearsal's Kubernetes API does not do ")


@pytest.mark.parametrize("subresource", ["attach", "status", "eviction"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_subresources(admin: Kube, method: str, subresource: str) -> None:
    path = f"{admin.path(Pod, 'a')}/{subresource}"

    assert refusal(admin, method, path) == f"the subresource {subresource}"


@pytest.mark.parametrize(
    ("subresource", "instead"),
    [
        ("exec", "`juju ssh --container CONTAINER UNIT"),
        ("portforward", "`juju-rehearsal open UNIT`"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_subresources_that_have_a_substitute(
    admin: Kube, method: str, subresource: str, instead: str
) -> None:
    path = f"{admin.path(Pod, 'a')}/{subresource}"

    assert refusal(admin, method, path).startswith(f"the subresource {subresource}; {instead}")


@pytest.mark.parametrize(
    ("api", "plural"), [("/api/v1", "endpoints"), ("/apis/apps/v1", "deployments")]
)
def test_kinds_of_kubernetes_that_are_not_served(admin: Kube, api: str, plural: str) -> None:
    assert refusal(admin, "GET", f"{api}/namespaces/demo/{plural}") == plural


@pytest.mark.parametrize("path", ["api/v1/nonsense", "apis/networking.istio.io/v1/ingresses"])
def test_kinds_that_kubernetes_does_not_have_are_not_found(admin: Kube, path: str) -> None:
    assert outcome(lambda: admin.request("GET", f"/{path}")) == 404


def test_the_scale_of_a_stateful_set(admin: Kube) -> None:
    path = f"{admin.path(StatefulSet, 'a')}/scale"

    assert refusal(admin, "PATCH", path, json={}) == "the subresource scale"


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ({"resourceVersion": "1", "resourceVersionMatch": "Exact"}, "lists of the past"),
        ({"watch": "1", "sendInitialEvents": "true"}, "lists that are sent by a watch"),
    ],
)
def test_lists_in_other_ways(admin: Kube, query: dict[str, str], what: str) -> None:
    assert refusal(admin, "GET", admin.path(ConfigMap), params=query) == what


def test_fields_that_pods_here_may_be_without(admin: Kube) -> None:
    query = {"fieldSelector": "spec.schedulerName=default-scheduler"}

    assert refusal(admin, "GET", admin.path(Pod), params=query) == "selection by spec.schedulerName"


@pytest.mark.parametrize(("method", "name"), [("POST", None), ("PUT", "a"), ("DELETE", "a")])
def test_dry_runs(admin: Kube, store: Store, method: str, name: str | None) -> None:
    path = admin.path(ConfigMap, name)

    refused = refusal(admin, method, path, json=config_map("b"), params={"dryRun": "All"})

    assert refused == "dry runs"
    assert [each["metadata"]["name"] for each in store.list("ConfigMap")] == ["a"]


@pytest.mark.parametrize("options", [{"propagationPolicy": "Orphan"}, {"dryRun": ["All"]}])
def test_other_ways_to_delete(admin: Kube, store: Store, options: Object) -> None:
    refusal(admin, "DELETE", admin.path(ConfigMap, "a"), json=options)

    assert store.get("ConfigMap", "demo", "a")


def test_finalizers(admin: Kube) -> None:
    given = config_map("b")
    given["metadata"]["finalizers"] = ["example.com/a"]

    assert refusal(admin, "POST", admin.path(ConfigMap), json=given) == "finalizers"


def test_the_choice_of_an_address(admin: Kube) -> None:
    path = "/api/v1/namespaces/demo/services"

    refused = refusal(admin, "POST", path, json=service(ports=[{"port": 80}]))

    assert refused == "the choice of an address for a Service"


@pytest.mark.parametrize("field", ["containers", "ports"])
def test_apply_of_lists_whose_items_have_managers(admin: Kube, field: str) -> None:
    given = {
        "containers": stateful_set(),
        "ports": service(clusterIP="None", ports=[{"port": 80}]),
    }[field]

    with pytest.raises(RefusedError, match=f"server-side apply of {field}") as error:
        admin.apply(given, "producer")

    assert error.value.reason == (501, "NotImplemented")


def test_patch_directives_that_are_not_known(admin: Kube) -> None:
    with pytest.raises(RefusedError, match=r"directive \$deleteFromPrimitiveList/x") as error:
        admin.patch(ConfigMap, "a", {"metadata": {"$deleteFromPrimitiveList/x": ["a"]}})

    assert error.value.reason == (501, "NotImplemented")


def test_two_kinds_of_one_name(admin: Kube) -> None:
    admin.create(definition())
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

    refused = refusal(admin, "POST", path, json=definition("x.io"))

    assert refused == "two kinds of one name"


def test_protobuf(admin: Kube, store: Store) -> None:
    headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}

    refused = refusal(admin, "POST", admin.path(ConfigMap), content=b"k8s\0", headers=headers)

    assert refused == "protobuf: send JSON, as kubectl create -f does"
    assert len(store.list("ConfigMap")) == 1


def test_impersonation_with_groups(admin: Kube) -> None:
    headers = {"Impersonate-User": "a", "Impersonate-Group": "system:masters"}

    refused = refusal(admin, "GET", admin.path(ConfigMap), headers=headers)

    assert refused == "impersonation with groups, a uid or extra fields"


def test_reviews_of_paths(admin: Kube) -> None:
    review = {"spec": {"nonResourceAttributes": {"path": "/healthz", "verb": "get"}}}

    assert refusal(admin, "POST", REVIEWS, json=review) == "reviews of paths"


def test_supported_requests_are_not_refused(admin: Kube) -> None:
    admin.create(namespace("other"))
    admin.delete(ConfigMap, "a", propagationPolicy="Background")

    assert admin.list(ConfigMap) == []
