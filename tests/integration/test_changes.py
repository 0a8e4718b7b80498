"""Changes of relations, units and revisions."""

import jubilant
import pytest

from demo import patience
from demo.table import Expected, Row
from tests.integration import deployment
from tests.integration.deployment import Deployment

MEMBERSHIP = ("scraper:service-mesh", "mesh:service-mesh")


def without(port: str, row: Row) -> Row:
    """Return the results of a row in which every call on a port is denied."""
    return {call: "denied" if port in call else result for call, result in row.items()}


@pytest.mark.parametrize(("relation", "port"), [("data", ":8080"), ("metrics", ":9090")])
def test_calls_that_a_relation_allows_end_with_it(
    demo: Deployment, juju: jubilant.Juju, expected: Expected, relation: str, port: str
):
    ends = f"producer:{relation}", f"scraper:{relation}"

    deployment.unrelate(juju, ends)
    demo.assert_gets("scraper/0", without(port, expected.related))

    deployment.relate(juju, ends)
    demo.assert_gets("scraper/0", expected.related)


def test_a_new_relation_allows_calls_until_it_is_removed(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    relations = [
        ("producer:metrics", "outsider:metrics"),
        ("producer:data", "outsider:data"),
    ]

    deployment.relate(juju, *relations)
    demo.assert_gets("outsider/0", expected.related)

    deployment.unrelate(juju, *relations)
    demo.assert_gets("outsider/0", expected.nothing)


def test_leaving_the_mesh_denies_all_calls_until_rejoining(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    deployment.unrelate(juju, MEMBERSHIP)
    message = "not on a service mesh"
    assert patience.wait_for_status(juju, "scraper", "active", message) == message
    assert demo.in_kubernetes(deployment.LABEL_ON + "scraper", wanted=False) == []
    demo.assert_gets("scraper/0", expected.nothing)

    deployment.relate(juju, MEMBERSHIP)
    assert demo.in_kubernetes(deployment.LABEL_ON + "scraper", wanted=True)
    demo.assert_gets("scraper/0", expected.related)


def test_a_new_unit_gets_the_results_of_its_application(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    apps = "scraper", "producer", "outsider"

    for app in apps:
        juju.add_unit(app)
    patience.settle(juju)
    assert set(juju.status().apps["producer"].units) == {f"producer/{n}" for n in range(3)}
    demo.assert_gets("scraper/1", expected.related)
    demo.assert_gets("outsider/1", expected.nothing)

    patience.remove_units(juju, *apps)
    demo.assert_gets("scraper/0", expected.related)
    demo.assert_gets("outsider/0", expected.nothing)


@pytest.mark.parametrize("app", deployment.CHARMS)
def test_a_refresh_changes_no_result(
    demo: Deployment, juju: jubilant.Juju, expected: Expected, app: str
):
    before = juju.status().apps[app].charm_rev

    juju.refresh(app, path=deployment.charm(app))
    patience.settle(juju)

    assert juju.status().apps[app].charm_rev > before
    demo.assert_gets("scraper/0", expected.related)
    demo.assert_gets("outsider/0", expected.nothing)
