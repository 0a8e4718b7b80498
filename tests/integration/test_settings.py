"""Options and trust: what is wrong or missing is said, and what is put right takes effect."""

import jubilant
import pytest

from demo.table import Expected
from tests.integration import deployment


@pytest.mark.parametrize(
    ("app", "option", "value"),
    [
        ("mesh", "labels", "no label"),
        ("mesh", "enforcement", "everything"),
        ("scraper", "scrape-interval", 0),
    ],
)
def test_a_wrong_value_blocks_and_what_was_in_force_stays(
    juju: jubilant.Juju, expected: Expected, app: str, option: str, value: str | int
):
    before = deployment.in_kubernetes(juju, "", wanted=True)

    juju.config(app, {option: value})
    assert deployment.blocked(juju, app).startswith(f"{option}={value}: ")
    assert deployment.in_kubernetes(juju, "", wanted=True) == before
    deployment.assert_gets(juju, "scraper/0", expected.related)
    deployment.assert_gets(juju, "outsider/0", expected.nothing)

    juju.config(app, reset=option)
    deployment.settle(juju)
    deployment.assert_gets(juju, "scraper/0", expected.related)


def test_without_enforcement_everybody_may_call_and_the_mesh_says_so(
    juju: jubilant.Juju, expected: Expected
):
    juju.config("mesh", {"enforcement": "none"})
    deployment.settle(juju)
    assert "nothing is enforced" in juju.status().apps["mesh"].app_status.message
    assert deployment.in_kubernetes(juju, "Policy", wanted=False) == []
    deployment.assert_gets(juju, "outsider/0", deployment.ANYTHING)

    juju.config("mesh", reset="enforcement")
    deployment.settle(juju)
    assert deployment.in_kubernetes(juju, "Policy", wanted=True)
    deployment.assert_gets(juju, "outsider/0", expected.nothing)


def test_who_leaves_its_labels_to_others_is_on_the_mesh_as_long_as_they_want(
    juju: jubilant.Juju, expected: Expected
):
    juju.config("scraper", {"auto-join": False})
    deployment.settle(juju)
    deployment.assert_gets(juju, "scraper/0", expected.nothing)

    deployment.label_pods(juju, "scraper", "ambient")
    deployment.settle(juju)
    deployment.assert_gets(juju, "scraper/0", expected.related)

    deployment.label_pods(juju, "scraper", None)
    deployment.settle(juju)
    deployment.assert_gets(juju, "scraper/0", expected.nothing)

    juju.config("scraper", reset="auto-join")
    deployment.settle(juju)
    deployment.assert_gets(juju, "scraper/0", expected.related)


def test_who_is_not_trusted_says_what_to_do_and_joins_then(juju: jubilant.Juju, expected: Expected):
    juju.deploy(deployment.charm("scraper"), "newcomer", resources=deployment.IMAGE)
    for relation, other in (
        ("service-mesh", "mesh"),
        ("metrics", "producer"),
        ("data", "producer"),
    ):
        juju.integrate(f"newcomer:{relation}", f"{other}:{relation}")

    assert "juju trust newcomer --scope=cluster" in deployment.blocked(juju, "newcomer")
    assert deployment.in_kubernetes(juju, deployment.LABEL_ON + "newcomer", wanted=False) == []
    deployment.assert_gets(juju, "newcomer/0", expected.nothing)

    juju.trust("newcomer", scope="cluster")
    deployment.settle(juju)
    assert deployment.in_kubernetes(juju, deployment.LABEL_ON + "newcomer", wanted=True)
    deployment.assert_gets(juju, "newcomer/0", expected.related)


def test_a_mesh_that_is_not_trusted_says_what_to_do_and_does_it_then(
    juju: jubilant.Juju, expected: Expected
):
    juju.trust("mesh", remove=True)
    assert "juju trust mesh --scope=cluster" in deployment.blocked(juju, "mesh")
    juju.integrate("producer:metrics", "outsider:metrics")
    deployment.assert_gets(juju, "scraper/0", expected.related)
    deployment.assert_gets(juju, "outsider/0", expected.nothing)

    juju.trust("mesh", scope="cluster")
    deployment.settle(juju)
    deployment.assert_gets(juju, "outsider/0", expected.metrics_only)
