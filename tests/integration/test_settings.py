"""Options and trust: charms report wrong or missing settings and apply corrected ones.

Options are set to their defaults and not reset: Juju 4.0.15 runs no config-changed for a reset.
"""

import jubilant
import pytest

from demo import patience
from demo.table import AUTHORIZATION_POLICIES, Expected, row
from tests.integration import deployment
from tests.integration.deployment import Deployment

OPEN_SERVICE = row("200", "200", "201", "200", "denied", "denied")
"""The results of a caller if no policy is there: Istio itself denies calls past a waypoint."""


@pytest.mark.parametrize(
    ("app", "option", "value", "default"),
    [
        ("mesh", "labels", "no label", "istio.io/dataplane-mode=ambient"),
        ("mesh", "enforcement", "everything", "auto"),
        ("scraper", "scrape-interval", 0, 10),
    ],
)
def test_a_wrong_value_blocks_and_leaves_the_policies(
    demo: Deployment,
    juju: jubilant.Juju,
    expected: Expected,
    app: str,
    option: str,
    value: str | int,
    default: str | int,
):
    before = demo.in_kubernetes("", wanted=True)

    juju.config(app, {option: value})
    message = patience.wait_for_status(juju, app, "blocked", f"{option}={value}: ")
    assert message.startswith(f"{option}={value}: ")
    assert demo.in_kubernetes("", wanted=True) == before
    demo.assert_gets("scraper/0", expected.related)
    demo.assert_gets("outsider/0", expected.nothing)

    juju.config(app, {option: default})
    patience.wait_for_status(juju, app, "active", "")
    demo.assert_gets("scraper/0", expected.related)


def test_without_enforcement_every_caller_is_allowed(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    unprotected = OPEN_SERVICE if expected is AUTHORIZATION_POLICIES else deployment.ANYTHING
    juju.config("mesh", {"enforcement": "none"})
    patience.wait_for_status(juju, "mesh", "active", "nothing is enforced")
    assert demo.in_kubernetes("Policy", wanted=False) == []
    demo.assert_gets("outsider/0", unprotected)

    juju.config("mesh", {"enforcement": "auto"})
    assert demo.in_kubernetes("Policy", wanted=True)
    demo.assert_gets("outsider/0", expected.nothing)
    demo.assert_gets("scraper/0", expected.related)


def test_not_hardened_opens_a_service_without_policies(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    if expected is not AUTHORIZATION_POLICIES:
        pytest.skip("NetworkPolicies do not know whether a call is for a Service or a unit")
    relations = [(f"producer:{name}", f"scraper:{name}") for name in ("metrics", "data")]
    deployment.unrelate(juju, *relations)
    juju.config("mesh", {"hardened": False})
    demo.assert_gets("outsider/0", OPEN_SERVICE)

    juju.config("mesh", {"hardened": True})
    demo.assert_gets("outsider/0", expected.nothing)
    deployment.relate(juju, *relations)
    demo.assert_gets("scraper/0", expected.related)


def test_labels_set_by_hand_join_the_mesh_without_auto_join(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    ledger = "ConfigMap juju-service-mesh-scraper-labels"

    juju.config("scraper", {"auto-join": False})
    assert demo.in_kubernetes(deployment.LABEL_ON + "scraper", wanted=False) == []
    assert demo.in_kubernetes(ledger, wanted=False) == []
    demo.assert_gets("scraper/0", expected.nothing)

    deployment.label_pods(juju, "scraper")
    patience.settle(juju)
    demo.assert_gets("scraper/0", expected.related)

    # The pods already have the label, so they need not restart for the charm to record it.
    juju.config("scraper", {"auto-join": True})
    assert demo.in_kubernetes(ledger, wanted=True)
    demo.assert_gets("scraper/0", expected.related)


def test_an_untrusted_application_asks_for_trust_and_then_joins(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    juju.deploy(deployment.charm("scraper"), "newcomer", resources=deployment.IMAGE)
    for relation, other in (
        ("service-mesh", "mesh"),
        ("metrics", "producer"),
        ("data", "producer"),
    ):
        juju.integrate(f"newcomer:{relation}", f"{other}:{relation}")

    patience.wait_for_status(juju, "newcomer", "blocked", "juju trust newcomer --scope=cluster")
    assert demo.in_kubernetes(deployment.LABEL_ON + "newcomer", wanted=False) == []
    demo.assert_gets("newcomer/0", expected.nothing)

    juju.trust("newcomer", scope="cluster")
    patience.settle(juju)
    assert demo.in_kubernetes(deployment.LABEL_ON + "newcomer", wanted=True)
    demo.assert_gets("newcomer/0", expected.related)

    deployment.remove(juju, "newcomer")


def test_an_untrusted_mesh_asks_for_trust_and_then_applies(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    metrics = "producer:metrics", "outsider:metrics"

    juju.trust("mesh", remove=True)
    patience.wait_for_status(juju, "mesh", "blocked", "juju trust mesh --scope=cluster")
    juju.integrate(*metrics)
    demo.assert_gets("scraper/0", expected.related)
    demo.assert_gets("outsider/0", expected.nothing)

    juju.trust("mesh", scope="cluster")
    patience.settle(juju)
    demo.assert_gets("outsider/0", expected.metrics_only)

    deployment.unrelate(juju, metrics)
    demo.assert_gets("outsider/0", expected.nothing)
