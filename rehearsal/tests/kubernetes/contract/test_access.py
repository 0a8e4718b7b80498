"""Access: each request that a role allows, beside one that it does not allow."""

from collections.abc import Callable

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import (
    RBAC,
    ConfigMap,
    Connect,
    Kind,
    Kube,
    Namespace,
    RefusedError,
    StatefulSet,
    outcome,
)
from tests.kubernetes.objects import binding, config_map, role, rule, service_account

ClusterRole = Kind(f"{RBAC}/v1", "ClusterRole")
ClusterRoleBinding = Kind(f"{RBAC}/v1", "ClusterRoleBinding")


@pytest.fixture
def scraper(admin: Kube, connect: Connect) -> Kube:
    """The service account scraper, beside two ConfigMaps."""
    for name in ("a", "b"):
        admin.create(config_map(name))
    admin.create(service_account("scraper"))
    return connect("scraper")


@pytest.fixture
def subject(place: str) -> Object:
    return {"kind": "ServiceAccount", "namespace": place, "name": "scraper"}


def allow(admin: Kube, subject: Object, *rules: dict[str, list[str]]) -> None:
    admin.create(role("Role", "scraper", *rules))
    admin.create(binding("RoleBinding", "scraper", "Role", subject))


def becomes_allowed(call: Callable[[], object]) -> None:
    eventually(lambda: outcome(call) == 200)


def test_a_user_without_a_role_is_forbidden_everything(scraper: Kube, place: str) -> None:
    with pytest.raises(RefusedError) as error:
        scraper.patch(StatefulSet, "scraper", {"metadata": {"labels": {"mesh": "on"}}})

    assert error.value.reason == (403, "Forbidden")
    assert str(error.value) == (
        'statefulsets.apps "scraper" is forbidden: User'
        f' "system:serviceaccount:{place}:scraper" cannot patch resource "statefulsets"'
        f' in API group "apps" in the namespace "{place}"'
    )
    assert error.value.details == {"name": "scraper", "group": "apps", "kind": "statefulsets"}


def test_a_forbidden_list_names_the_cluster_scope(scraper: Kube, place: str) -> None:
    with pytest.raises(RefusedError) as error:
        scraper.list(Namespace)

    assert str(error.value) == (
        f'namespaces is forbidden: User "system:serviceaccount:{place}:scraper" cannot list'
        ' resource "namespaces" in API group "" at the cluster scope'
    )
    assert error.value.details == {"kind": "namespaces"}


def test_a_forbidden_subresource_is_named(scraper: Kube) -> None:
    with pytest.raises(
        RefusedError, match=r'cannot create resource "pods/exec" in API group'
    ) as error:
        scraper.request("POST", scraper.path(Kind("v1", "Pod"), "a") + "/exec")

    assert error.value.reason == (403, "Forbidden")


def test_a_role_allows_its_verbs_in_its_namespace(
    admin: Kube, scraper: Kube, subject: Object
) -> None:
    allow(admin, subject, rule("get", "", "configmaps"))

    becomes_allowed(lambda: scraper.get(ConfigMap, "a"))
    assert outcome(lambda: scraper.delete(ConfigMap, "a")) == 403
    assert outcome(lambda: scraper.list(ConfigMap)) == 403
    assert outcome(lambda: scraper.get(StatefulSet, "a")) == 403
    assert outcome(lambda: scraper.get(ConfigMap, "a", namespace="default")) == 403
    assert outcome(lambda: admin.get(ConfigMap, "a")) == 200


def test_a_role_of_a_namespace_reaches_that_namespace_itself(
    admin: Kube, scraper: Kube, subject: Object, place: str
) -> None:
    allow(admin, subject, rule("get list", "", "namespaces"))

    becomes_allowed(lambda: scraper.get(Namespace, place))
    assert outcome(lambda: scraper.get(Namespace, "default")) == 403
    assert outcome(lambda: scraper.list(Namespace)) == 403
    selector = f"metadata.name={place}"
    assert outcome(lambda: scraper.list(Namespace, fieldSelector=selector)) == 403


def test_a_forbidden_list_of_one_object_names_it(scraper: Kube, place: str) -> None:
    with pytest.raises(RefusedError) as error:
        scraper.list(Namespace, fieldSelector=f"metadata.name={place}")

    assert str(error.value) == (
        f'namespaces "{place}" is forbidden: User "system:serviceaccount:{place}:scraper"'
        ' cannot list resource "namespaces" in API group "" at the cluster scope'
    )


def test_a_cluster_role_bound_in_a_namespace_stays_there(
    admin: Kube, scraper: Kube, subject: Object, place: str
) -> None:
    admin.create(role("ClusterRole", place, rule("*", "*", "*")))
    admin.create(binding("RoleBinding", place, "ClusterRole", subject))

    becomes_allowed(lambda: scraper.get(ConfigMap, "a"))
    assert outcome(lambda: scraper.get(ConfigMap, "a", namespace="default")) == 403
    admin.delete(ClusterRole, place)


def test_a_cluster_role_bound_in_the_cluster_reaches_everywhere(
    admin: Kube, scraper: Kube, subject: Object, place: str
) -> None:
    admin.create(role("ClusterRole", place, rule("list", "", "configmaps namespaces")))
    admin.create(binding("ClusterRoleBinding", place, "ClusterRole", subject))

    becomes_allowed(lambda: scraper.list(ConfigMap, "*"))
    assert outcome(lambda: scraper.list(Namespace)) == 200
    assert outcome(lambda: scraper.get(ConfigMap, "a")) == 403
    admin.delete(ClusterRoleBinding, place)
    admin.delete(ClusterRole, place)


def test_a_rule_with_names_allows_only_those_objects(
    admin: Kube, scraper: Kube, subject: Object
) -> None:
    verbs = "get create list deletecollection"
    allow(admin, subject, rule(verbs, "", "configmaps", resourceNames=["a"]))
    one, more = "metadata.name=a", "metadata.name!=b"

    becomes_allowed(lambda: scraper.get(ConfigMap, "a"))
    assert outcome(lambda: scraper.get(ConfigMap, "b")) == 403
    assert outcome(lambda: scraper.create(config_map("a"))) == 403
    assert outcome(lambda: scraper.list(ConfigMap)) == 403
    assert outcome(lambda: scraper.list(ConfigMap, fieldSelector=one)) == 200
    assert outcome(lambda: scraper.list(ConfigMap, fieldSelector=f"{more},{one}")) == 200
    assert outcome(lambda: scraper.list(ConfigMap, fieldSelector=more)) == 403
    assert outcome(lambda: scraper.delete_all(ConfigMap, fieldSelector=one)) == 403


def test_apply_needs_the_verb_create_for_a_new_object(
    admin: Kube, scraper: Kube, subject: Object
) -> None:
    allow(admin, subject, rule("patch", "", "configmaps"))

    becomes_allowed(lambda: scraper.apply(config_map("a"), "scraper"))
    assert outcome(lambda: scraper.apply(config_map("new"), "scraper")) == 403


def test_deleting_a_collection_needs_its_own_verb(
    admin: Kube, scraper: Kube, subject: Object
) -> None:
    allow(admin, subject, rule("delete", "", "configmaps"))

    becomes_allowed(lambda: scraper.delete(ConfigMap, "a"))
    assert outcome(lambda: scraper.delete_all(ConfigMap)) == 403


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({}, True),
        ({"name": "producer"}, False),
        ({"namespace": "default"}, False),
        ({"kind": "Group", "name": "system:serviceaccounts"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts:{place}"}, True),
        ({"kind": "Group", "name": "system:serviceaccounts:other"}, False),
        ({"kind": "Group", "name": "system:authenticated"}, True),
        ({"kind": "User", "name": "system:serviceaccount:{place}:scraper"}, True),
        ({"kind": "User", "name": "scraper"}, False),
    ],
)
def test_a_binding_grants_its_subjects_only(
    admin: Kube, scraper: Kube, place: str, change: dict[str, str], allowed: bool
) -> None:
    subject: Object = {"kind": "ServiceAccount", "namespace": place, "name": "scraper"} | change
    subject["name"] = subject["name"].format(place=place)
    if subject["kind"] != "ServiceAccount":
        del subject["namespace"]
        subject["apiGroup"] = RBAC
    allow(admin, subject, rule("get", "", "configmaps"))
    # What the authorizer knows of the next role it knows of the one before.
    name = f"system:serviceaccount:{place}:scraper"
    witness = {"kind": "User", "apiGroup": RBAC, "name": name}
    admin.create(role("Role", "witness", rule("list", "", "configmaps")))
    admin.create(binding("RoleBinding", "witness", "Role", witness))

    becomes_allowed(lambda: scraper.list(ConfigMap))
    assert (outcome(lambda: scraper.get(ConfigMap, "a")) == 200) is allowed


def test_a_forbidden_request_has_no_effect(admin: Kube, scraper: Kube) -> None:
    outcome(lambda: scraper.delete(ConfigMap, "a"))

    assert outcome(lambda: admin.get(ConfigMap, "a")) == 200


def test_every_user_may_review_its_own_rights(
    admin: Kube, scraper: Kube, subject: Object, place: str
) -> None:
    def may(kube: Kube, verb: str) -> bool:
        asked = {"namespace": place, "verb": verb, "resource": "configmaps"}
        api = "authorization.k8s.io/v1"
        review = {"apiVersion": api, "kind": "SelfSubjectAccessReview"}
        review |= {"spec": {"resourceAttributes": asked}}
        path = f"/apis/{api}/selfsubjectaccessreviews"
        return kube.request("POST", path, json=review)["status"]["allowed"]

    assert not may(scraper, "get")
    allow(admin, subject, rule("get", "", "configmaps"))

    eventually(lambda: may(scraper, "get"))
    assert not may(scraper, "delete")
    assert may(admin, "delete")
