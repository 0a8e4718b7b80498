"""Who may do what: each thing that is allowed stands beside one that is not."""

import pytest
from lightkube import ApiError
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Namespace

from rehearsal.kubernetes.store import Object, Store
from tests.rehearsal.kubernetes.kube import (
    Connect,
    Kube,
    config_map,
    namespace,
    outcome,
    service_account,
)

RBAC = "rbac.authorization.k8s.io"
SCRAPER = {"kind": "ServiceAccount", "namespace": "demo", "name": "scraper"}


def role(kind: str, *rules: dict[str, list[str]]) -> Object:
    metadata = {"name": "scraper"} | ({"namespace": "demo"} if kind == "Role" else {})
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": list(rules)}


def binding(kind: str, to: str, subject: dict[str, str] | None = None) -> Object:
    metadata = {"name": "scraper"} | ({"namespace": "demo"} if kind == "RoleBinding" else {})
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": to, "name": "scraper"},
        "subjects": [subject or SCRAPER],
    }


def rule(verbs: str, group: str, resources: str, **more: list[str]) -> dict[str, list[str]]:
    return {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split(), **more}


@pytest.fixture
def store(store: Store) -> Store:
    """A store with the service account scraper, two ConfigMaps and another namespace."""
    store.put(namespace("other"))
    for name, place in (("a", "demo"), ("b", "demo"), ("a", "other")):
        store.put(config_map(name, place))
    store.put(service_account("scraper"))
    return store


@pytest.fixture
def scraper(connect: Connect) -> Kube:
    return connect("scraper")


def test_without_a_role_all_is_forbidden_in_kubernetes_own_words(scraper: Kube) -> None:
    with pytest.raises(ApiError) as error:
        scraper.patch(StatefulSet, "scraper", {"metadata": {"labels": {"mesh": "on"}}})

    assert error.value.status.reason == "Forbidden"
    assert error.value.status.message == (
        'statefulsets.apps "scraper" is forbidden: User "system:serviceaccount:demo:scraper" cannot'
        ' patch resource "statefulsets" in API group "apps" in the namespace "demo"'
    )


def test_a_forbidden_list_of_the_cluster_says_so(scraper: Kube) -> None:
    with pytest.raises(ApiError) as error:
        scraper.list(Namespace)

    assert error.value.status.message == (
        'namespaces is forbidden: User "system:serviceaccount:demo:scraper" cannot list resource'
        ' "namespaces" in API group "" at the cluster scope'
    )


def test_a_role_allows_its_verbs_on_its_resources_in_its_namespace(
    store: Store, scraper: Kube
) -> None:
    store.put(role("Role", rule("get", "", "configmaps")))
    store.put(binding("RoleBinding", "Role"))

    assert outcome(lambda: scraper.get(ConfigMap, "a")) == 200
    assert outcome(lambda: scraper.delete(ConfigMap, "a")) == 403
    assert outcome(lambda: scraper.list(ConfigMap)) == 403
    assert outcome(lambda: scraper.get(StatefulSet, "a")) == 403
    assert outcome(lambda: scraper.get(ConfigMap, "a", namespace="other")) == 403


def test_a_role_of_a_namespace_reaches_that_namespace_itself(store: Store, scraper: Kube) -> None:
    store.put(role("Role", rule("get list", "", "namespaces")))
    store.put(binding("RoleBinding", "Role"))

    assert outcome(lambda: scraper.get(Namespace, "demo")) == 200
    assert outcome(lambda: scraper.get(Namespace, "other")) == 403
    assert outcome(lambda: scraper.list(Namespace)) == 403


def test_a_cluster_role_bound_in_a_namespace_stays_there(store: Store, scraper: Kube) -> None:
    store.put(role("ClusterRole", rule("*", "*", "*")))
    store.put(binding("RoleBinding", "ClusterRole"))

    assert outcome(lambda: scraper.get(ConfigMap, "a")) == 200
    assert outcome(lambda: scraper.get(ConfigMap, "a", namespace="other")) == 403


def test_a_cluster_role_bound_in_the_cluster_reaches_everywhere(
    store: Store, scraper: Kube
) -> None:
    store.put(role("ClusterRole", rule("*", "*", "*")))
    store.put(binding("ClusterRoleBinding", "ClusterRole"))

    assert outcome(lambda: scraper.get(ConfigMap, "a", namespace="other")) == 200
    assert outcome(lambda: scraper.list(Namespace)) == 200


def test_a_rule_with_names_is_for_those_alone(store: Store, scraper: Kube) -> None:
    store.put(role("Role", rule("get create", "", "configmaps", resourceNames=["a"])))
    store.put(binding("RoleBinding", "Role"))

    assert outcome(lambda: scraper.get(ConfigMap, "a")) == 200
    assert outcome(lambda: scraper.get(ConfigMap, "b")) == 403
    assert outcome(lambda: scraper.create(config_map("a"))) == 403


def test_apply_creates_only_for_who_may_create(store: Store, scraper: Kube) -> None:
    store.put(role("Role", rule("patch", "", "configmaps")))
    store.put(binding("RoleBinding", "Role"))

    assert outcome(lambda: scraper.apply(config_map("a"), "scraper")) == 200
    assert outcome(lambda: scraper.apply(config_map("new"), "scraper")) == 403


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (SCRAPER, 200),
        ({**SCRAPER, "name": "producer"}, 403),
        ({**SCRAPER, "namespace": "other"}, 403),
        ({"kind": "Group", "name": "system:serviceaccounts"}, 200),
        ({"kind": "Group", "name": "system:serviceaccounts:demo"}, 200),
        ({"kind": "Group", "name": "system:serviceaccounts:other"}, 403),
        ({"kind": "User", "name": "system:serviceaccount:demo:scraper"}, 200),
        ({"kind": "User", "name": "scraper"}, 403),
    ],
)
def test_a_binding_is_for_its_subjects(
    store: Store, scraper: Kube, subject: dict[str, str], code: int
) -> None:
    store.put(role("Role", rule("get", "", "configmaps")))
    store.put(binding("RoleBinding", "Role", subject))

    assert outcome(lambda: scraper.get(ConfigMap, "a")) == code


def test_what_is_forbidden_is_not_done(store: Store, scraper: Kube) -> None:
    outcome(lambda: scraper.delete(ConfigMap, "a"))

    assert store.get("ConfigMap", "demo", "a") is not None


def test_a_token_ends_with_its_service_account(store: Store, scraper: Kube) -> None:
    store.put(role("Role", rule("get", "", "configmaps")))
    store.put(binding("RoleBinding", "Role"))
    before = outcome(lambda: scraper.get(ConfigMap, "a"))

    store.delete("ServiceAccount", "demo", "scraper")

    assert (before, outcome(lambda: scraper.get(ConfigMap, "a"))) == (200, 401)
