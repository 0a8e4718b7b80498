"""A caller in a model of its own: allowed once it is known by name, and only as long."""

import jubilant
import pytest
import pytest_jubilant

from tests.integration import demo
from tests.story.table import Expected

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
    overlay.write_text(f"saas: {{producer: {{url: admin/{demo.model(juju)}.producer}}}}\n")
    demo.deploy(remote, "demo-remote.yaml", [overlay])
    return remote


def test_who_is_behind_a_relation_is_denied_before_it_is_told_and_after(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    told = "scraper:require-cmr-mesh", "producer:provide-cmr-mesh"
    demo.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)
    assert "require-cmr-mesh" in explain(juju, remote)["reason"]

    remote.integrate(*told)
    demo.assert_gets(remote, "scraper/0", expected.related, offering=juju)
    assert explain(juju, remote)["verdict"] == "allowed"

    remote.remove_relation(*told)
    demo.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)
    assert explain(juju, remote)["verdict"] == "denied"


def explain(juju: jubilant.Juju, remote: jubilant.Juju) -> dict[str, str]:
    """Ask the producer's mesh about a call of the scraper in the other model."""
    call = {"from": "scraper", "to": "producer", "port": 8080, "path": "/data"}
    return juju.run("mesh/leader", "explain", call | {"model": demo.model(remote)}).results


def test_who_has_the_same_name_in_another_model_is_another(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    demo.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)
    demo.assert_gets(juju, "scraper/0", expected.related)


def test_an_offer_is_consumed_by_hand_under_another_name(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    juju.offer(f"{demo.model(juju)}.producer", endpoint=OFFERED, name="by-hand")
    remote.consume(f"{demo.model(juju)}.by-hand", "elsewhere", owner="admin")
    remote.deploy(demo.charm("scraper"), "reader", resources=demo.IMAGE, trust=True)
    remote.integrate("reader:service-mesh", "mesh:service-mesh")
    remote.integrate("reader:data", "elsewhere:data")
    demo.settle(remote)
    demo.assert_gets(remote, "reader/0", expected.nothing, offering=juju)

    remote.integrate("reader:require-cmr-mesh", "elsewhere:provide-cmr-mesh")
    remote.integrate("reader:metrics", "elsewhere:metrics")
    demo.assert_gets(remote, "reader/0", expected.related, offering=juju)
    demo.assert_gets(remote, "scraper/0", expected.nothing, offering=juju)

    remote.cli("remove-saas", "elsewhere")
    demo.assert_gets(remote, "reader/0", expected.nothing, offering=juju)


def test_what_is_taken_away_with_an_application_ends_in_the_other_model(
    juju: jubilant.Juju, remote: jubilant.Juju, expected: Expected
):
    there = f"-{demo.model(remote)}-"
    remote.integrate("scraper:require-cmr-mesh", "producer:provide-cmr-mesh")
    demo.assert_gets(remote, "scraper/0", expected.related, offering=juju)
    assert demo.in_kubernetes(juju, there, wanted=True)

    demo.remove(remote, "scraper")
    assert demo.in_kubernetes(juju, there, wanted=False) == []
    demo.assert_gets(juju, "scraper/0", expected.related)
