"""Getting and listing."""

import pytest

from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import (
    ConfigMap,
    Kind,
    Kube,
    Namespace,
    Pod,
    RefusedError,
    StatefulSet,
    names,
    outcome,
)
from tests.kubernetes.objects import config_map, pod, service_account


def test_a_missing_object_is_not_found(admin: Kube) -> None:
    with pytest.raises(RefusedError, match=r'^statefulsets\.apps "missing" not found$') as error:
        admin.get(StatefulSet, "missing")

    assert error.value.reason == (404, "NotFound")
    assert error.value.details == {"name": "missing", "group": "apps", "kind": "statefulsets"}
    assert error.value.status["status"] == "Failure"
    assert error.value.status["kind"] == "Status"


def test_an_unserved_group_gets_a_plain_404(admin: Kube) -> None:
    with pytest.raises(RefusedError) as error:
        admin.get(Kind("none.example.com/v1", "Thing"), "a")

    assert (error.value.code, error.value.text) == (404, "404 page not found\n")


@pytest.mark.parametrize(
    ("api_version", "kind"), [("apps/v1", "Thing"), ("v7", "ConfigMap"), ("apps/v7", "StatefulSet")]
)
def test_an_unknown_kind_of_a_served_group_is_not_found(
    admin: Kube, api_version: str, kind: str
) -> None:
    with pytest.raises(
        RefusedError, match="the server could not find the requested resource"
    ) as error:
        admin.get(Kind(api_version, kind), "a")

    assert error.value.reason == (404, "NotFound")
    assert error.value.details == {}


def test_an_unknown_subresource_is_not_found(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(
        RefusedError, match="the server could not find the requested resource"
    ) as error:
        admin.request("GET", admin.path(ConfigMap, "a") + "/status")

    assert error.value.reason == (404, "NotFound")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=mesh", ["b"]),
        ("tier==mesh", ["b"]),
        ("tier=none", []),
        ("tier in (mesh, other)", ["b", "c"]),
        ("tier notin (mesh)", ["a", "c"]),
        ("tier!=mesh", ["a", "c"]),
        ("tier", ["b", "c"]),
        ("!tier", ["a"]),
        ("tier in (mesh,other),side", ["c"]),
        ("side=", ["c"]),
        ("", ["a", "b", "c"]),
    ],
)
def test_a_list_is_selected_by_labels(admin: Kube, selector: str, expected: list[str]) -> None:
    admin.create(config_map("a", labels={"of": "test"}))
    admin.create(config_map("b", labels={"of": "test", "tier": "mesh"}))
    admin.create(config_map("c", labels={"of": "test", "tier": "other", "side": ""}))

    found = admin.list(ConfigMap, labelSelector=f"of=test,{selector}".rstrip(","))

    assert names(found) == expected


@pytest.mark.parametrize("selector", ["a b", "a=(b)", "in (a)", "=a", "a in ()x", "A/B/c"])
def test_a_selector_that_makes_no_sense_is_refused(admin: Kube, selector: str) -> None:
    with pytest.raises(RefusedError) as error:
        admin.list(ConfigMap, labelSelector=selector)

    assert error.value.reason == (400, "BadRequest")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=b", ["b"]),
        ("metadata.name==b", ["b"]),
        ("metadata.name!=b,metadata.name!=kube-root-ca.crt", ["a"]),
    ],
)
def test_a_list_is_selected_by_name(admin: Kube, selector: str, expected: list[str]) -> None:
    admin.create(config_map("a"))
    admin.create(config_map("b"))

    assert names(admin.list(ConfigMap, fieldSelector=selector)) == expected


def test_pods_are_selected_by_their_fields(admin: Kube) -> None:
    admin.create(service_account("workload"))
    given = pod("a")
    given["spec"]["serviceAccountName"] = "workload"
    eventually(lambda: outcome(lambda: admin.create(given)) in (200, 409))

    assert names(admin.list(Pod, fieldSelector="spec.serviceAccountName=workload")) == ["a"]
    assert names(admin.list(Pod, fieldSelector="spec.serviceAccountName=other")) == []


@pytest.mark.parametrize("kind", [ConfigMap, Pod])
def test_fields_that_have_no_index_are_refused(admin: Kube, kind: Kind) -> None:
    with pytest.raises(RefusedError, match=r"data.key") as error:
        admin.list(kind, fieldSelector="data.key=1")

    assert error.value.reason == (400, "BadRequest")


def test_custom_resources_have_fields_of_metadata_alone(admin: Kube, policies: Kind) -> None:
    with pytest.raises(RefusedError, match=r"field label not supported: spec.action") as error:
        admin.list(policies, fieldSelector="spec.action=ALLOW")

    assert error.value.reason == (400, "BadRequest")
    assert admin.list(policies, fieldSelector="metadata.name=a") == []


def test_a_list_is_of_one_namespace_or_of_all(admin: Kube, place: str) -> None:
    admin.create(config_map("a", labels={"of": place}))
    elsewhere = admin.list(ConfigMap, "kube-system", labelSelector=f"of={place}")

    assert elsewhere == []
    assert names(admin.list(ConfigMap, "*", labelSelector=f"of={place}")) == ["a"]


def test_a_list_has_its_kind_and_version(admin: Kube) -> None:
    version = admin.create(config_map("a"))["metadata"]["resourceVersion"]

    answer = admin.request("GET", admin.path(ConfigMap))

    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(answer["metadata"]["resourceVersion"]) >= int(version)


def test_a_list_with_a_limit_comes_whole(admin: Kube) -> None:
    for name in ("a", "b", "c"):
        admin.create(config_map(name, labels={"of": "test"}))
    query = {"labelSelector": "of=test", "limit": "2"}
    found = admin.request("GET", admin.path(ConfigMap), params=query)
    pages = [found["items"]]
    while following := found["metadata"].get("continue"):
        found = admin.request("GET", admin.path(ConfigMap), params=query | {"continue": following})
        pages.append(found["items"])

    assert names([item for page in pages for item in page]) == ["a", "b", "c"]


@pytest.mark.parametrize("query", [{"resourceVersion": "x"}, {"limit": "x"}, {"continue": "x"}])
def test_a_malformed_query_is_refused(admin: Kube, query: dict[str, str]) -> None:
    with pytest.raises(RefusedError) as error:
        admin.list(ConfigMap, **query)

    assert error.value.reason == (400, "BadRequest")


def test_a_namespace_carries_its_name_as_a_label(admin: Kube, place: str) -> None:
    found = admin.get(Namespace, place)

    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": place}
    assert found["status"] == {"phase": "Active"}
