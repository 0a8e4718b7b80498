"""What comes and goes: relations, units, revisions and, last of all, applications and the mesh."""

import jubilant
import pytest

from demo.table import Expected, Row
from tests.integration import deployment


def without(port: str, row: Row) -> Row:
    """Return what is left of a row where nothing is allowed on a port."""
    return {call: "denied" if port in call else result for call, result in row.items()}


@pytest.mark.parametrize(("relation", "port"), [("data", ":8080"), ("metrics", ":9090")])
def test_what_a_relation_allows_ends_with_it(
    juju: jubilant.Juju, expected: Expected, relation: str, port: str
):
    ends = f"producer:{relation}", f"scraper:{relation}"

    juju.remove_relation(*ends)
    deployment.assert_gets(juju, "scraper/0", without(port, expected.related))

    juju.integrate(*ends)
    deployment.assert_gets(juju, "scraper/0", expected.related)


def test_who_becomes_related_is_allowed_as_long_as_it_is(juju: jubilant.Juju, expected: Expected):
    for relation in ("metrics", "data"):
        juju.integrate(f"producer:{relation}", f"outsider:{relation}")
    deployment.assert_gets(juju, "outsider/0", expected.related)

    for relation in ("metrics", "data"):
        juju.remove_relation(f"producer:{relation}", f"outsider:{relation}")
    deployment.assert_gets(juju, "outsider/0", expected.nothing)


def test_who_leaves_the_mesh_may_call_nothing_until_it_rejoins(
    juju: jubilant.Juju, expected: Expected
):
    ends = "scraper:service-mesh", "mesh:service-mesh"

    juju.remove_relation(*ends)
    deployment.settle(juju)
    assert juju.status().apps["scraper"].app_status.message == "not on a service mesh"
    assert deployment.in_kubernetes(juju, deployment.LABEL_ON + "scraper", wanted=False) == []
    deployment.assert_gets(juju, "scraper/0", expected.nothing)

    juju.integrate(*ends)
    deployment.settle(juju)
    assert deployment.in_kubernetes(juju, deployment.LABEL_ON + "scraper", wanted=True)
    deployment.assert_gets(juju, "scraper/0", expected.related)


def test_a_unit_calls_and_is_called_as_the_others_of_its_application(
    juju: jubilant.Juju, expected: Expected
):
    apps = "scraper", "producer", "outsider"

    for app in apps:
        juju.add_unit(app)
    deployment.settle(juju)
    assert set(juju.status().apps["producer"].units) == {f"producer/{n}" for n in range(3)}
    deployment.assert_gets(juju, "scraper/1", expected.related)
    deployment.assert_gets(juju, "outsider/1", expected.nothing)

    for app in apps:
        juju.remove_unit(app, num_units=1)
    deployment.settle(juju)
    deployment.assert_gets(juju, "scraper/0", expected.related)
    deployment.assert_gets(juju, "outsider/0", expected.nothing)


@pytest.mark.parametrize("app", deployment.CHARMS)
def test_a_refresh_changes_nothing(juju: jubilant.Juju, expected: Expected, app: str):
    before = juju.status().apps[app].charm_rev

    juju.refresh(app, path=deployment.charm(app))
    deployment.settle(juju)

    assert juju.status().apps[app].charm_rev > before
    deployment.assert_gets(juju, "scraper/0", expected.related)
    deployment.assert_gets(juju, "outsider/0", expected.nothing)


def test_of_an_application_that_is_removed_nothing_is_left(juju: jubilant.Juju, expected: Expected):
    assert deployment.in_kubernetes(juju, "scraper", wanted=True)

    deployment.remove(juju, "scraper")

    assert deployment.in_kubernetes(juju, "scraper", wanted=False) == []
    assert deployment.in_kubernetes(juju, "producer", wanted=True)
    deployment.assert_gets(juju, "outsider/0", expected.nothing)


def test_of_a_mesh_that_is_removed_nothing_is_left_and_nobody_is_denied(juju: jubilant.Juju):
    assert deployment.in_kubernetes(juju, "", wanted=True)

    deployment.remove(juju, "mesh")

    assert deployment.in_kubernetes(juju, "", wanted=False) == []
    deployment.assert_gets(juju, "outsider/0", deployment.ANYTHING)
