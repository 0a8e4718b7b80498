"""The packed charm on a Juju controller, through the `juju` on PATH."""

import os
from collections.abc import Iterator

import jubilant
import pytest

CHARM = os.environ.get("CHARM_PATH", "./stub-mesh-k8s.charm")


@pytest.fixture(scope="module")
def juju() -> Iterator[jubilant.Juju]:
    with jubilant.temp_model() as juju:
        juju.deploy(CHARM, "mesh", trust=True)
        juju.wait(jubilant.all_active, error=jubilant.any_error, timeout=600, successes=10)
        yield juju


def test_it_enforces_policies_unless_the_option_is_none(juju: jubilant.Juju):
    assert juju.run("mesh/leader", "policies").results["enforcement"] != "none"

    juju.config("mesh", {"enforcement": "none"})
    assert juju.run("mesh/leader", "policies").results["enforcement"] == "none"

    juju.config("mesh", {"enforcement": "auto"})


def test_invalid_labels_block_it_until_corrected(juju: jubilant.Juju):
    juju.config("mesh", {"labels": "ambient"})
    juju.wait(jubilant.all_blocked)
    message = juju.status().apps["mesh"].units["mesh/0"].workload_status.message
    assert message.startswith("labels=ambient:")

    juju.config("mesh", {"labels": "istio.io/dataplane-mode=ambient"})
    juju.wait(jubilant.all_active)
