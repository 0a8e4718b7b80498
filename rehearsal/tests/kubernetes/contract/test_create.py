"""Creating objects, and refused ones."""

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import ConfigMap, HorizontalPodAutoscaler, Kube, RefusedError, names
from tests.kubernetes.objects import autoscaler, config_map


def test_sets_the_fields_that_only_the_server_sets(admin: Kube, place: str) -> None:
    given = config_map("a", key="1")
    given["metadata"] |= {"uid": "mine", "creationTimestamp": "1999-01-01T00:00:00Z"}

    created = admin.create(given)

    metadata = created["metadata"]
    assert created["data"] == {"key": "1"}
    assert (metadata["name"], metadata["namespace"]) == ("a", place)
    assert metadata["uid"] != "mine"
    assert not metadata["creationTimestamp"].startswith("1999")
    assert int(metadata["resourceVersion"]) > 0
    assert admin.get(ConfigMap, "a") == created


def test_refuses_a_resource_version(admin: Kube) -> None:
    given = config_map("a")
    given["metadata"]["resourceVersion"] = "1"

    with pytest.raises(RefusedError, match="resourceVersion should not be set") as error:
        admin.create(given)

    assert error.value.code == 500


def test_makes_a_name_from_a_prefix(admin: Kube) -> None:
    given = config_map("")
    given["metadata"] = {"generateName": "a-"}

    made = names([admin.create(given), admin.create(given)])

    assert len(set(made)) == 2
    assert all(name.startswith("a-") and len(name) == 7 for name in made)


def test_an_existing_object_is_a_conflict(admin: Kube) -> None:
    admin.create(config_map("a"))

    with pytest.raises(RefusedError, match=r'^configmaps "a" already exists$') as error:
        admin.create(config_map("a"))

    assert error.value.reason == (409, "AlreadyExists")
    assert error.value.details == {"name": "a", "kind": "configmaps"}


def test_needs_its_namespace(admin: Kube) -> None:
    with pytest.raises(RefusedError, match=r'^namespaces "nowhere-at-all" not found$') as error:
        admin.create(config_map("a", "nowhere-at-all"))

    assert error.value.reason == (404, "NotFound")
    assert error.value.details == {"name": "nowhere-at-all", "kind": "namespaces"}


def test_needs_a_name(admin: Kube) -> None:
    with pytest.raises(RefusedError, match="name or generateName is required") as error:
        admin.create(config_map(""))

    assert error.value.reason == (422, "Invalid")
    assert error.value.causes == [("metadata.name", "FieldValueRequired")]


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "a" * 254, "*"])
def test_refuses_an_illegal_name(admin: Kube, name: str) -> None:
    with pytest.raises(RefusedError, match=r"metadata\.name: Invalid value") as error:
        admin.create(config_map(name))

    assert error.value.reason == (422, "Invalid")
    assert error.value.causes == [("metadata.name", "FieldValueInvalid")]
    assert error.value.details | {"causes": []} == {"name": name, "kind": "ConfigMap", "causes": []}


@pytest.mark.parametrize(
    ("key", "value"),
    [("tier", "a b"), ("tier", "x" * 64), ("a b", "x"), ("Upper/tier", "x"), ("/tier", "x")],
)
def test_refuses_an_illegal_label(admin: Kube, key: str, value: str) -> None:
    with pytest.raises(RefusedError, match=r"metadata\.labels: Invalid value") as error:
        admin.create(config_map("a", labels={key: value}))

    assert error.value.reason == (422, "Invalid")


@pytest.mark.parametrize(("key", "value"), [("tier", ""), ("istio.io/mode", "x" * 63)])
def test_takes_every_legal_label(admin: Kube, key: str, value: str) -> None:
    created = admin.create(config_map("a", labels={key: value}))

    assert created["metadata"]["labels"] == {key: value}


@pytest.mark.parametrize("wrong", [{"kind": "Secret"}, {"apiVersion": "v2"}])
def test_refuses_another_kind_than_the_urls(admin: Kube, wrong: Object) -> None:
    with pytest.raises(RefusedError) as error:
        admin.request("POST", admin.path(ConfigMap), json=config_map("a") | wrong)

    assert error.value.reason == (400, "BadRequest")


def test_refuses_another_namespace_than_the_urls(admin: Kube) -> None:
    message = (
        "the namespace of the provided object does not match the namespace sent on the request"
    )

    with pytest.raises(RefusedError, match=message) as error:
        admin.request("POST", admin.path(ConfigMap), json=config_map("a", "default"))

    assert error.value.reason == (400, "BadRequest")


def test_takes_kind_and_namespace_from_the_url(admin: Kube, place: str) -> None:
    path = admin.path(ConfigMap)

    admin.request("POST", path, json=config_map("a", place))

    assert names(admin.list(ConfigMap, fieldSelector="metadata.name=a")) == ["a"]


@pytest.mark.parametrize("wrong", [{"data": {"count": 1}}, {"data": ["a"]}, {"metadata": []}])
def test_refuses_a_value_of_another_type(admin: Kube, wrong: Object) -> None:
    with pytest.raises(RefusedError, match=r"cannot unmarshal|cannot be handled") as error:
        admin.request("POST", admin.path(ConfigMap), json=config_map("a") | wrong)

    assert error.value.reason == (400, "BadRequest")


def test_refuses_invalid_json(admin: Kube) -> None:
    headers = {"Content-Type": "application/json"}

    with pytest.raises(RefusedError) as error:
        admin.request("POST", admin.path(ConfigMap), content="{", headers=headers)

    assert error.value.reason == (400, "BadRequest")


def test_takes_yaml(admin: Kube) -> None:
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: one}}"
    headers = {"Content-Type": "application/yaml"}

    created = admin.request("POST", admin.path(ConfigMap), content=text, headers=headers)

    assert created["data"] == {"key": "one"}


def test_refuses_other_content_types(admin: Kube) -> None:
    with pytest.raises(RefusedError) as error:
        admin.request("POST", admin.path(ConfigMap), content="x", headers={"Content-Type": "a/b"})

    assert error.value.reason == (415, "UnsupportedMediaType")


def test_an_autoscaler_has_at_least_one_replica(admin: Kube) -> None:
    created = admin.create(autoscaler(maxReplicas=3))

    assert created["spec"]["minReplicas"] == 1
    assert names(admin.list(HorizontalPodAutoscaler)) == ["web"]


def test_an_autoscaler_needs_an_upper_limit(admin: Kube) -> None:
    with pytest.raises(RefusedError, match=r"spec\.maxReplicas") as error:
        admin.create(autoscaler(minReplicas=1))

    assert error.value.reason == (422, "Invalid")
