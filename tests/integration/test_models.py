"""A caller in another model is allowed while the producer knows its identity."""

import jubilant

from demo import patience
from demo.table import Expected
from tests.integration import deployment
from tests.integration.deployment import Deployment

OFFERED = ("metrics", "data", "provide-cmr-mesh")
IDENTITY = ("scraper:require-cmr-mesh", "producer:provide-cmr-mesh")


def test_a_remote_caller_is_denied_unless_its_identity_is_known(
    demo: Deployment, remote: jubilant.Juju, expected: Expected
):
    demo.assert_gets("scraper/0", expected.nothing, model=remote)
    assert "require-cmr-mesh" in explain(demo)["reason"]

    remote.integrate(*IDENTITY)
    demo.assert_gets("scraper/0", expected.related, model=remote)
    assert explain(demo)["verdict"] == "allowed"

    deployment.unrelate(remote, IDENTITY)
    demo.assert_gets("scraper/0", expected.nothing, model=remote)
    assert explain(demo)["verdict"] == "denied"


def explain(demo: Deployment) -> dict[str, str]:
    """Ask the producer's mesh about a call of the scraper in the other model."""
    call = {"from": "scraper", "to": "producer", "port": 8080, "path": "/data"}
    params = call | {"model": patience.namespace(demo.remote)}
    return patience.run(demo.juju, "mesh/leader", "explain", params).results


def test_the_same_name_in_another_model_is_another_identity(
    demo: Deployment, remote: jubilant.Juju, expected: Expected
):
    demo.assert_gets("scraper/0", expected.nothing, model=remote)
    demo.assert_gets("scraper/0", expected.related)


def test_an_offer_can_be_consumed_under_another_name(
    demo: Deployment, juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    offer = f"{patience.namespace(juju)}.by-hand"
    juju.offer(f"{patience.namespace(juju)}.producer", endpoint=OFFERED, name="by-hand")
    remote.consume(offer, "elsewhere", owner="admin")
    remote.deploy(deployment.charm("scraper"), "reader", resources=deployment.IMAGE, trust=True)
    remote.integrate("reader:service-mesh", "mesh:service-mesh")
    remote.integrate("reader:data", "elsewhere:data")
    patience.settle(remote)
    demo.assert_gets("reader/0", expected.nothing, model=remote)

    remote.integrate("reader:require-cmr-mesh", "elsewhere:provide-cmr-mesh")
    remote.integrate("reader:metrics", "elsewhere:metrics")
    demo.assert_gets("reader/0", expected.related, model=remote)
    demo.assert_gets("scraper/0", expected.nothing, model=remote)

    remote.cli("remove-saas", "elsewhere")
    demo.assert_gets("reader/0", expected.nothing, model=remote)

    # The removal goes on during the next tests, which do not use this model.
    remote.remove_application("reader")
    juju.cli("remove-offer", f"admin/{offer}", "--force", "--yes", include_model=False)
