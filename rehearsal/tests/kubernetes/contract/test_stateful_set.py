"""The checks of a StatefulSet."""

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import Kube, RefusedError, StatefulSet
from tests.kubernetes.objects import NAME, container, stateful_set


def test_selects_its_own_pods(admin: Kube) -> None:
    with pytest.raises(RefusedError, match="`selector` does not match template `labels`") as error:
        admin.create(stateful_set(selector={"matchLabels": {NAME: "b"}}))

    assert error.value.reason == (422, "Invalid")
    assert error.value.causes == [("spec.template.metadata.labels", "FieldValueInvalid")]
    assert error.value.details["name"] == "a"
    assert (error.value.details["group"], error.value.details["kind"]) == ("apps", "StatefulSet")


def test_goes_on_to_select_its_own_pods(admin: Kube) -> None:
    admin.create(stateful_set())
    labels = {"spec": {"template": {"metadata": {"labels": {NAME: "b"}}}}}

    with pytest.raises(RefusedError, match="`selector` does not match template `labels`") as error:
        admin.patch(StatefulSet, "a", labels)

    assert error.value.reason == (422, "Invalid")


def test_needs_a_selector(admin: Kube) -> None:
    given = stateful_set()
    del given["spec"]["selector"]

    with pytest.raises(RefusedError, match=r"spec\.selector: Required value") as error:
        admin.create(given)

    assert error.value.reason == (422, "Invalid")
    assert ("spec.selector", "FieldValueRequired") in error.value.causes


@pytest.mark.parametrize(
    "spec",
    [
        {"serviceName": "b"},
        {"selector": {"matchLabels": {"other": "a"}}},
        {"podManagementPolicy": "Parallel"},
    ],
)
def test_has_fields_that_are_fixed(admin: Kube, spec: Object) -> None:
    admin.create(stateful_set())

    # Older servers name the fields that may change, newer ones the one that may not.
    with pytest.raises(
        RefusedError, match=r"field is immutable|updates to statefulset spec"
    ) as error:
        admin.patch(StatefulSet, "a", {"spec": spec})

    assert error.value.reason == (422, "Invalid")


def test_has_a_scale_that_can_change(admin: Kube) -> None:
    admin.create(stateful_set())

    assert admin.patch(StatefulSet, "a", {"spec": {"replicas": 3}})["spec"]["replicas"] == 3


def test_has_one_replica_by_default(admin: Kube) -> None:
    given = stateful_set()
    del given["spec"]["replicas"]

    assert admin.create(given)["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    "labels", [{"a b": "x"}, {"tier": "a b"}, {"tier": "x" * 64}, {"/tier": "x"}]
)
def test_has_pods_with_legal_labels(admin: Kube, labels: Object) -> None:
    given = stateful_set()
    given["spec"]["template"]["metadata"]["labels"] |= labels

    with pytest.raises(RefusedError, match=r"spec\.template\.labels: Invalid value") as error:
        admin.create(given)

    assert error.value.reason == (422, "Invalid")


@pytest.mark.parametrize("wrong", [{"replicas": "3"}, {"template": []}, {"serviceName": 1}])
def test_has_fields_of_a_type(admin: Kube, wrong: Object) -> None:
    with pytest.raises(RefusedError, match="cannot be handled as a StatefulSet") as error:
        admin.create(stateful_set(**wrong))

    assert error.value.reason == (400, "BadRequest")


def test_loses_unknown_fields(admin: Kube) -> None:
    given = stateful_set(replica=3)
    given["spec"]["template"]["spec"]["containers"] = [container(img="image:1")]

    created = admin.create(given)

    assert "replica" not in created["spec"]
    assert "img" not in created["spec"]["template"]["spec"]["containers"][0]


def test_is_refused_for_such_fields_on_request(admin: Kube) -> None:
    with pytest.raises(
        RefusedError, match=r'strict decoding error: unknown field "spec.replica"'
    ) as error:
        admin.create(stateful_set(replica=3), fieldValidation="Strict")

    assert error.value.reason == (400, "BadRequest")
    admin.create(stateful_set(), fieldValidation="Strict")
