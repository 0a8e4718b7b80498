"""The defect of Juju 4.0.15 that withholds units, in units as Juju shows them."""

import jubilant
import pytest
from jubilant.unittypes import RelationData, UnitRelationData

from demo import undelivered

OFFERED = ("metrics", "data", "provide-cmr-mesh")
FIRST, SECOND = "remote-2affbe46419e42d7800f327873981258", "remote-31c7cad26589474184fded5fd4275b3d"


def relation(endpoint: str, *units: str) -> RelationData:
    address = {"ingress-address": "10.96.65.65", "egress-subnets": "10.96.65.65/32"}
    joined = {name: UnitRelationData(in_scope=True, data=address) for name in units}
    return RelationData(
        relation_id=0,
        endpoint=endpoint,
        related_endpoint=endpoint,
        app_data={},
        related_units=joined,
    )


def producer(*relations: RelationData) -> jubilant.UnitInfo:
    """Return a producer that is also related to a scraper of its own model."""
    own = [relation("metrics", "scraper/0"), relation("data", "scraper/0")]
    return jubilant.UnitInfo([], "local:producer-0", leader=True, relation_info=[*own, *relations])


@pytest.mark.parametrize(
    "later", [[relation("data"), relation("provide-cmr-mesh")], [relation("data")], []]
)
def test_later_relations_that_stay_empty_are_the_defect(later: list[RelationData]):
    unit = producer(relation("metrics", f"{FIRST}/0", f"{FIRST}/1"), *later)

    assert undelivered.is_so(unit, OFFERED)


def test_relations_that_all_have_units_are_not_the_defect():
    aliases = [f"{SECOND[:-1]}{number}" for number in range(len(OFFERED))]
    relations = [
        relation(endpoint, f"{alias}/0") for endpoint, alias in zip(OFFERED, aliases, strict=True)
    ]

    assert not undelivered.is_so(producer(*relations), OFFERED)


def test_relations_to_an_absent_model_are_not_the_defect():
    assert not undelivered.is_so(producer(relation("metrics"), relation("data")), OFFERED)
