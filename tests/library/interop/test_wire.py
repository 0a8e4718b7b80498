"""Our library and the published one (1.0.2 and 0.2) read and write the same relation data."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ops import testing
from small_charms import ALIAS, LABELS, entry, identity, mesh, related, state
from two_libraries import OURS, PUBLISHED, Library, consumer_on, provider_on

ON = testing.CharmEvents()
Bag = Mapping[str, str]

# Relations of the consumer, and the policies that follow from them.
READER = related("data", "reader")
SCRAPER = related("metrics", "scraper")
UPSTREAM = related("upstream", "database")
STRANGER = related("metrics", ALIAS)
IDENTITY = identity(ALIAS, "scraper", "far")

MANY = {"hosts": None, "ports": [9090], "methods": None, "paths": None}
GET_DATA = {"hosts": None, "ports": [8080], "methods": ["GET"], "paths": ["/data"]}
READS = entry(source_app_name="reader", endpoints=[GET_DATA])
READS_SERVICE = entry(
    source_app_name="reader",
    target_service="producer-lb",
    endpoints=[{"hosts": None, "ports": [443], "methods": None, "paths": None}],
)
SCRAPES = entry(target_type="unit", endpoints=[MANY])
REACHES = entry(source_app_name="database", target_type="unit", endpoints=[])
SCRAPES_FROM_FAR = entry(source_namespace="far", target_type="unit", endpoints=[MANY])

SITUATIONS = [
    pytest.param([], [], id="none"),
    pytest.param([READER], [READS, READS_SERVICE], id="app"),
    pytest.param([SCRAPER], [SCRAPES], id="unit"),
    pytest.param([UPSTREAM], [REACHES], id="unit, any port"),
    pytest.param([STRANGER, IDENTITY], [SCRAPES_FROM_FAR], id="cross-model"),
    pytest.param(
        # One relation for each endpoint, since the published library leaves their order open.
        [READER, UPSTREAM, STRANGER, IDENTITY],
        [READS, READS_SERVICE, SCRAPES_FROM_FAR, REACHES],
        id="all",
    ),
]
PAIRS = [
    pytest.param(OURS, PUBLISHED, id="ours to theirs"),
    pytest.param(PUBLISHED, OURS, id="theirs to ours"),
    pytest.param(OURS, OURS, id="ours to ours"),
]


def bag_of_consumer(library: Library, *relations: testing.Relation) -> Bag:
    to_mesh, context = mesh(), consumer_on(library)
    out = context.run(ON.relation_created(to_mesh), state(to_mesh, *relations))
    return out.get_relation(to_mesh.id).local_app_data


def bag_of_provider(library: Library) -> Bag:
    consumer, context = related("service-mesh", "producer"), provider_on(library)
    out = context.run(ON.relation_created(consumer), state(consumer))
    return out.get_relation(consumer.id).local_app_data


def bag_of_caller(library: Library) -> Bag:
    """Return the identity that `producer` in `prod` publishes."""
    saas, context = related("require-cmr-mesh", "saas"), consumer_on(library)
    out = context.run(ON.relation_created(saas), state(saas))
    return out.get_relation(saas.id).local_app_data


def read_by_provider(library: Library, bag: Bag) -> list[dict[str, Any]]:
    relation = related("service-mesh", "producer", remote_app_data=bag)
    with provider_on(library)(ON.update_status(), state(relation)) as manager:
        return [policy.model_dump(mode="json") for policy in manager.charm.mesh.mesh_info()]


def read_by_consumer(library: Library, bag: Bag) -> tuple[Any, Any, bool]:
    with consumer_on(library)(ON.start(), state(mesh(**bag))) as manager:
        consumer = manager.charm.mesh
        return consumer.labels(), consumer.mesh_type(), consumer.enabled


@pytest.mark.parametrize(("relations", "expected"), SITUATIONS)
class TestPolicies:
    @pytest.mark.parametrize(("consumer", "provider"), PAIRS)
    def test_policies_arrive(
        self,
        consumer: Library,
        provider: Library,
        relations: list[testing.Relation],
        expected: list[Any],
    ):
        bag = bag_of_consumer(consumer, *relations)

        assert read_by_provider(provider, bag) == expected

    def test_both_libraries_write_the_same_policies(
        self, relations: list[testing.Relation], expected: list[Any]
    ):
        bag = bag_of_consumer(OURS, *relations)

        assert bag == bag_of_consumer(PUBLISHED, *relations)
        assert bag == {"policies": json.dumps(expected)}


@pytest.mark.parametrize(("provider", "consumer"), PAIRS)
def test_labels_and_mesh_type_arrive(provider: Library, consumer: Library):
    assert read_by_consumer(consumer, bag_of_provider(provider)) == (LABELS, "istio", True)


def test_both_libraries_write_the_same_labels_and_mesh_type():
    assert bag_of_provider(OURS) == bag_of_provider(PUBLISHED)


@pytest.mark.parametrize(("caller", "called"), PAIRS)
def test_an_identity_arrives(caller: Library, called: Library):
    known = related("provide-cmr-mesh", ALIAS, remote_app_data=bag_of_caller(caller))

    [policy] = json.loads(bag_of_consumer(called, STRANGER, known)["policies"])

    assert (policy["source_app_name"], policy["source_namespace"]) == ("producer", "prod")


def test_both_libraries_write_the_same_identity():
    assert bag_of_caller(OURS) == bag_of_caller(PUBLISHED)


class TestVersion02:
    """Version 0.2 writes no target type, no selector and no mesh type."""

    POLICIES = (
        '[{"source_app_name": "scraper", "source_namespace": "prod", "target_app_name": "producer",'
        ' "target_namespace": "prod", "target_service": null, "endpoints": [{"hosts": null,'
        ' "ports": [9090], "methods": ["GET"], "paths": ["/metrics"]}]}]'
    )
    LABELS = '{"istio.io/dataplane-mode": "ambient"}'

    @pytest.mark.parametrize("provider", [OURS, PUBLISHED])
    def test_its_policies_are_read(self, provider: Library):
        assert read_by_provider(provider, {"policies": self.POLICIES}) == [entry()]

    def test_its_labels_are_read(self):
        assert read_by_consumer(OURS, {"labels": self.LABELS}) == (LABELS, None, True)

    def test_our_policies_have_the_fields_that_it_reads(self):
        [new] = json.loads(bag_of_consumer(OURS, READER)["policies"])[:1]
        [old] = json.loads(self.POLICIES)

        assert old.keys() <= new.keys()
        assert old["endpoints"][0].keys() == new["endpoints"][0].keys()

    def test_our_databag_has_the_labels_that_it_reads(self):
        assert bag_of_provider(OURS)["labels"] == self.LABELS
