"""Kinds that a definition adds."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from rehearsal.kubernetes.store import Object
from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import Definition, Kind, Kube, RefusedError, names, outcome
from tests.kubernetes.objects import policy


def established(admin: Kube, name: str) -> bool:
    conditions: list[Object] = admin.get(Definition, name)["status"].get("conditions") or []
    return ("Established", "True") in [(each["type"], each["status"]) for each in conditions]


@pytest.fixture
def shop(run: str) -> str:
    """A group for a definition of one test alone."""
    return f"shop-{uuid.uuid4().hex[:6]}.{run}.example.com"


def test_are_seen_in_each_served_version(admin: Kube, policies: Kind, group: str) -> None:
    admin.create(policy("a", group=group, action="ALLOW"))

    old = admin.get(Kind(f"{group}/v1beta1", policies.name), "a")

    assert old["apiVersion"] == f"{group}/v1beta1"
    assert old["spec"] == {"action": "ALLOW"}
    assert outcome(lambda: admin.get(Kind(f"{group}/v1alpha1", policies.name), "a")) == 404


def test_keep_all_their_fields(admin: Kube, policies: Kind, group: str) -> None:
    spec: Object = {
        "rules": [{}, {"to": []}],
        "selector": {"matchLabels": {}},
        "count": 1.5,
        "on": False,
    }

    admin.create(policy("a", group=group, **spec))

    assert admin.get(policies, "a")["spec"] == spec


def test_a_missing_one_is_named_with_its_group(admin: Kube, policies: Kind, group: str) -> None:
    with pytest.raises(RefusedError) as error:
        admin.get(policies, "a")

    assert str(error.value) == f'{policies.plural}.{group} "a" not found'
    assert error.value.details == {"name": "a", "group": group, "kind": policies.plural}


def test_come_and_go_with_their_definition(admin: Kube, shop: str) -> None:
    given = of_orders(shop)
    name, kind = given["metadata"]["name"], Kind(f"{given['spec']['group']}/v1", "Order")
    admin.create(given)
    eventually(lambda: established(admin, name))
    eventually(lambda: outcome(lambda: admin.create(order(kind))) in (200, 409))

    admin.delete(Definition, name)

    eventually(lambda: outcome(lambda: admin.get(Definition, name)) == 404)
    eventually(lambda: outcome(lambda: admin.list(kind)) == 404)
    with pytest.raises(RefusedError) as error:
        admin.list(kind)
    assert error.value.text == "404 page not found\n"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scope": None}, "spec.scope"),
        ({"scope": "Galaxy"}, "spec.scope"),
        ({"names": {"plural": "others", "kind": "Order"}}, "metadata.name"),
        ({"names": {"plural": "orders"}}, "spec.names.kind"),
        ({"versions": []}, "spec.versions"),
    ],
)
def test_need_a_definition_that_makes_sense(
    admin: Kube, shop: str, change: dict[str, Any], field: str
) -> None:
    given = of_orders(shop)
    given["spec"] |= change

    with pytest.raises(RefusedError) as error:
        admin.create(given)

    assert error.value.reason == (422, "Invalid")
    assert field in [name for name, _ in error.value.causes]


def test_need_a_definition_with_a_spec(admin: Kube, shop: str) -> None:
    given = of_orders(shop)
    del given["spec"]

    with pytest.raises(RefusedError) as error:
        admin.create(given)

    assert error.value.reason == (422, "Invalid")


def test_need_a_schema(admin: Kube, shop: str) -> None:
    given = of_orders(shop)
    del given["spec"]["versions"][0]["schema"]

    with pytest.raises(
        RefusedError, match=r"versions\[0\]\.schema\.openAPIV3Schema: Required"
    ) as error:
        admin.create(given)

    assert error.value.reason == (422, "Invalid")


def of_orders(shop: str, **properties: Object) -> Object:
    """Return the definition of a kind with a schema."""
    version = {"name": "v1", "served": True, "storage": True}
    schema = {"type": "object", "properties": properties}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"orders.{shop}"},
        "spec": {
            "group": shop,
            "scope": "Namespaced",
            "names": {"kind": "Order", "plural": "orders"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture
def orders(admin: Kube, shop: str) -> Iterator[Kind]:
    spec = {
        "type": "object",
        "required": ["count"],
        "properties": {"count": {"type": "integer"}, "note": {"type": "string", "enum": ["a"]}},
    }
    given = of_orders(shop, spec=spec)
    kind = Kind(f"{given['spec']['group']}/v1", "Order")
    eventually(lambda: outcome(lambda: admin.create(given)) in (200, 409))
    eventually(lambda: outcome(lambda: admin.list(kind)) == 200)
    yield kind
    admin.delete(Definition, given["metadata"]["name"])
    eventually(lambda: outcome(lambda: admin.list(kind)) == 404)


def order(kind: Kind, **spec: object) -> Object:
    return {"apiVersion": kind[0], "kind": kind.name, "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({}, "spec.count", "FieldValueRequired"),
        ({"count": "1"}, "spec.count", "FieldValueTypeInvalid"),
        ({"count": 1, "note": "b"}, "spec.note", "FieldValueNotSupported"),
    ],
)
def test_must_fit_their_schema(
    admin: Kube, orders: Kind, spec: Object, field: str, reason: str
) -> None:
    with pytest.raises(RefusedError) as error:
        admin.create(order(orders, **spec))

    assert error.value.reason == (422, "Invalid")
    assert error.value.causes == [(field, reason)]
    assert outcome(lambda: admin.create(order(orders, count=1, note="a"))) == 200


def test_lose_the_fields_that_their_schema_lacks(admin: Kube, orders: Kind) -> None:
    admin.create(order(orders, count=1, other=2))

    assert admin.get(orders, "a")["spec"] == {"count": 1}
    assert names(admin.list(orders)) == ["a"]


def test_cannot_be_emptied_by_apply_where_null_does_not_fit(admin: Kube, orders: Kind) -> None:
    full = order(orders, count=1)
    admin.apply(full, "shop")

    with pytest.raises(RefusedError, match='spec in body must be of type object: "null"') as error:
        admin.apply(full | {"spec": {}}, "shop")

    assert error.value.reason == (422, "Invalid")
    assert admin.get(orders, "a")["spec"] == {"count": 1}
