"""Removal of applications and, last of all, of the mesh: nothing of them is left."""

import jubilant
import pytest

from demo import patience
from demo.table import Expected
from tests.integration import deployment
from tests.integration.deployment import Deployment

pytestmark = pytest.mark.destructive


def test_removing_a_remote_application_removes_its_policies(
    demo: Deployment, remote: jubilant.Juju, expected: Expected
):
    of_remote = f"-{patience.namespace(remote)}-"
    remote.integrate("scraper:require-cmr-mesh", "producer:provide-cmr-mesh")
    demo.assert_gets("scraper/0", expected.related, model=remote)
    assert demo.in_kubernetes(of_remote, wanted=True)

    deployment.remove(remote, "scraper")

    assert demo.in_kubernetes(of_remote, wanted=False) == []
    demo.assert_gets("scraper/0", expected.related)


def test_removing_an_application_leaves_nothing_of_it(
    demo: Deployment, juju: jubilant.Juju, expected: Expected
):
    assert demo.in_kubernetes("scraper", wanted=True)

    deployment.remove(juju, "scraper")

    assert demo.in_kubernetes("scraper", wanted=False) == []
    assert demo.in_kubernetes("producer", wanted=True)
    demo.assert_gets("outsider/0", expected.nothing)


def test_removing_the_mesh_removes_its_objects_and_denials(demo: Deployment, juju: jubilant.Juju):
    assert demo.in_kubernetes("", wanted=True)

    deployment.remove(juju, "mesh")

    assert demo.in_kubernetes("", wanted=False) == []
    demo.assert_gets("outsider/0", deployment.ANYTHING)
