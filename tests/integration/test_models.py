"""A caller in a model of its own: allowed once it is known by name, and only as long."""

import jubilant
import pytest
import pytest_jubilant

from demo.table import Expected
from tests.integration import deployment

OFFERED = ("metrics", "data", "provide-cmr-mesh")


@pytest.fixture(scope="module")
def remote(
    juju: jubilant.Juju,
    juju_factory: pytest_jubilant.JujuFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> jubilant.Juju:
    """A second model, with `bundles/demo-remote.yaml` on what the first one offers."""
    remote = juju_factory.get_juju("remote")
    remote.wait_timeout = juju.wait_timeout
    overlay = tmp_path_factory.mktemp("overlay") / "offer.yaml"
    overlay.write_text(f"saas: {{producer: {{url: admin/{deployment.model(juju)}.producer}}}}\n")
    deployment.deploy(remote, "demo-remote.yaml", [overlay])
    return remote


def test_who_is_behind_a_relation_is_denied_before_it_is_told_and_after(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    told = "scraper:require-cmr-mesh", "producer:provide-cmr-mesh"
    deployment.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)
    assert "require-cmr-mesh" in explain(juju, remote)["reason"]

    remote.integrate(*told)
    deployment.assert_gets(remote, "scraper/0", expected.related, offering=juju)
    assert explain(juju, remote)["verdict"] == "allowed"

    remote.remove_relation(*told)
    deployment.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)
    assert explain(juju, remote)["verdict"] == "denied"


def explain(juju: jubilant.Juju, remote: jubilant.Juju) -> dict[str, str]:
    """Ask the producer's mesh about a call of the scraper in the other model."""
    call = {"from": "scraper", "to": "producer", "port": 8080, "path": "/data"}
    return juju.run("mesh/leader", "explain", call | {"model": deployment.model(remote)}).results


def test_who_has_the_same_name_in_another_model_is_another(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    deployment.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)
    deployment.assert_gets(juju, "scraper/0", expected.related)


def test_an_offer_is_consumed_by_hand_under_another_name(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    juju.offer(f"{deployment.model(juju)}.producer", endpoint=OFFERED, name="by-hand")
    remote.consume(f"{deployment.model(juju)}.by-hand", "elsewhere", owner="admin")
    remote.deploy(deployment.charm("scraper"), "reader", resources=deployment.IMAGE, trust=True)
    remote.integrate("reader:service-mesh", "mesh:service-mesh")
    remote.integrate("reader:data", "elsewhere:data")
    deployment.settle(remote)
    deployment.assert_gets(remote, "reader/0", expected.nothing, offering=juju)

    remote.integrate("reader:require-cmr-mesh", "elsewhere:provide-cmr-mesh")
    remote.integrate("reader:metrics", "elsewhere:metrics")
    deployment.assert_gets(remote, "reader/0", expected.related, offering=juju)
    deployment.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)

    remote.cli("remove-saas", "elsewhere")
    deployment.assert_gets(remote, "reader/0", expected.nothing, offering=juju)


def test_what_is_taken_away_with_an_application_ends_in_the_other_model(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    there = f"-{deployment.model(remote)}-"
    remote.integrate("scraper:require-cmr-mesh", "producer:provide-cmr-mesh")
    deployment.assert_gets(remote, "scraper/0", expected.related, offering=juju)
    assert deployment.in_kubernetes(juju, there, wanted=True)

    deployment.remove(remote, "scraper")
    assert deployment.in_kubernetes(juju, there, wanted=False) == []
    deployment.assert_gets(juju, "scraper/0", expected.related)
