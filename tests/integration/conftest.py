"""The Juju that the tests run on, and the demo deployed there, once for each module."""

from collections.abc import Generator

import jubilant
import pytest

from demo.table import EXPECTED, Expected
from rehearsal.rehearsal import Rehearsal
from tests.integration import deployment


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--juju",
        choices=tuple(deployment.SETTLING),
        default="rehearsal",
        help="what the tests run on: the rehearsal (default), or, as `real`, the juju on PATH",
    )


@pytest.fixture(scope="session", autouse=True)
def on_path(request: pytest.FixtureRequest) -> Generator[None]:
    """Have `juju` on PATH, and KUBECONFIG, be those that the tests run on."""
    chosen = request.config.getoption("--juju")
    if chosen == "real":
        _refuse_unpacked()
        yield
        return
    with Rehearsal(istio=chosen == "rehearsal") as rehearsal, pytest.MonkeyPatch.context() as patch:
        for name, value in rehearsal.environment.items():
            patch.setenv(name, value)
        yield


def _refuse_unpacked() -> None:
    """End the tests if a charm is not packed, which a real Juju would find only in each of them."""
    unpacked = [
        str(charm) for charm in map(deployment.charm, deployment.CHARMS) if not charm.exists()
    ]
    if unpacked:
        pytest.exit(f"first `make pack`: there is no {', '.join(unpacked)}", returncode=2)


@pytest.fixture(scope="module")
def juju(juju: jubilant.Juju, request: pytest.FixtureRequest) -> jubilant.Juju:
    """A model with `bundles/demo.yaml` deployed, which is destroyed in the end."""
    juju.wait_timeout = deployment.SETTLING[str(request.config.getoption("--juju"))]
    deployment.deploy(juju, "demo.yaml")
    return juju


@pytest.fixture(scope="module")
def expected(juju: jubilant.Juju) -> Expected:
    """What callers should get, by what the mesh enforces policies with."""
    return EXPECTED[juju.run("mesh/leader", "policies").results["enforcement"]]
