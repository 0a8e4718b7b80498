"""The Juju that the tests run on, and the demo that all tests share there.

A test leaves the demo as it found it. After a test has failed, the next one gets a new deployment.
"""

import functools
import secrets
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import jubilant
import pytest

from demo import patience
from demo.table import Expected
from rehearsal.juju.version import JUJU_3_6, JUJU_4
from rehearsal.rehearsal import Rehearsal
from tests.integration.deployment import CHARMS, Deployment, charm

REHEARSALS: Mapping[str, Callable[[], Rehearsal]] = {
    "rehearsal": functools.partial(Rehearsal, juju=JUJU_3_6),
    "rehearsal-juju-4": functools.partial(Rehearsal, juju=JUJU_4, delay=1.0),
    "rehearsal-without-istio": functools.partial(Rehearsal, istio=False),
}
"""The rehearsals that the tests can run on.

One acts a second after each command, so that a test that does not wait for its effect fails.
"""
DEFAULT = ("rehearsal", "rehearsal-juju-4")
REHEARSING = 120.0
"""Seconds in which a command has to take effect on a rehearsal."""
FAILED = pytest.StashKey[bool]()
"""Whether a test has failed so far, in its setup or itself."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--juju",
        action="append",
        choices=(*REHEARSALS, "real"),
        help="where the tests run: on a rehearsal or, as `real`, with the juju on PATH; may be "
        f"given several times (default: {' and '.join(DEFAULT)})",
    )
    parser.addoption(
        "--model",
        default=f"integration-{secrets.token_hex(4)}",
        help="prefix of the names of the models (default: random)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "destructive: takes the demo apart, so it runs at the end")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seconds" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--juju") or DEFAULT
        metafunc.parametrize("seconds", chosen, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (_juju(item), "destructive" in item.keywords))


def _juju(item: pytest.Item) -> str:
    """Return the name of the Juju on which a test runs."""
    return str(item.callspec.params["seconds"]) if isinstance(item, pytest.Function) else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def seconds(request: pytest.FixtureRequest) -> Generator[float]:
    """Set `juju` and KUBECONFIG to the chosen Juju, and yield the time limit of a command."""
    chosen = str(request.param)
    if chosen == "real":
        _refuse_unpacked()
        yield patience.SETTLING
        return
    with REHEARSALS[chosen]() as rehearsal, pytest.MonkeyPatch.context() as patch:
        for name, value in rehearsal.environment.items():
            patch.setenv(name, value)
        yield REHEARSING


def _refuse_unpacked() -> None:
    """End the tests if a charm is not packed, before each of them fails because of it."""
    unpacked = [str(path) for path in map(charm, CHARMS) if not path.exists()]
    if unpacked:
        pytest.exit(f"first `make pack`: there is no {', '.join(unpacked)}", returncode=2)


class Deployments:
    """Holds the deployment that the tests share until one of them fails."""

    def __init__(self, name: str, seconds: float, folder: Path) -> None:
        self._name, self._seconds, self._folder = name, seconds, folder
        self._used = 0
        self._current: Deployment | None = None

    def current(self) -> Deployment:
        """Return the deployment, or a new one if the last one was destroyed."""
        if self._current is None:
            self._used += 1
            name = f"{self._name}-{self._used}"
            self._current = Deployment(name, self._seconds, self._folder)
        return self._current

    def destroy(self) -> None:
        """Destroy the deployment, if there is one."""
        if self._current:
            self._current.destroy()
            self._current = None


@pytest.fixture(scope="session")
def deployments(
    request: pytest.FixtureRequest, seconds: float, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Deployments]:
    name = str(request.config.getoption("--model"))
    deployments = Deployments(name, seconds, tmp_path_factory.mktemp("overlays"))
    yield deployments
    deployments.destroy()


@pytest.fixture
def demo(request: pytest.FixtureRequest, deployments: Deployments) -> Generator[Deployment]:
    """Yield the shared deployment of the demo. Destroy it if the test fails."""
    deployment = deployments.current()
    yield deployment
    if request.node.stash[FAILED]:
        print(deployment.report())
        deployments.destroy()


@pytest.fixture
def juju(demo: Deployment) -> jubilant.Juju:
    """Return the model with the producer."""
    return demo.juju


@pytest.fixture
def remote(demo: Deployment) -> jubilant.Juju:
    """Return the other model."""
    return demo.remote


@pytest.fixture
def expected(demo: Deployment) -> Expected:
    """Return the results that callers should get under the mesh's kind of policies."""
    return demo.expected
