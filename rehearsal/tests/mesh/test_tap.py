"""`juju-rehearsal tap`: the calls of a run in sentences."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import httpx
import jubilant
import pytest

from rehearsal.commands.tap import Filters
from rehearsal.rehearsal import Rehearsal

CHARMCRAFT = """
name: quiet
type: charm
summary: opens a port and does nothing else
"""
CHARM = """
import ops


class Quiet(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._on_start)

    def _on_start(self, event):
        self.unit.set_ports(8000)
        self.unit.status = ops.ActiveStatus()
"""

ALLOWED = "client (m) GET :8000/a on Service web: allowed by policy m/gets, 503\n"
DENIED = "client (m) PUT :8000/a on Service web: denied: no policy allows it\n"
STRAY = "stray (m) GET :8000/b on pod web-0: denied: policy m/no-strays denies it\n"
FREE = "client (m) GET :8000/c on pod stray-0: allowed without a policy, 503\n"
LOST = "client (m) GET web:7/d: not delivered, 502\n"
CALLS = (
    ("client", "GET", "http://web:8000/a"),
    ("client", "PUT", "http://web:8000/a"),
    ("stray", "GET", "http://web:8000/b"),
    ("client", "GET", "http://stray:8000/c"),
    ("client", "GET", "http://web:7/d"),
)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Run three applications without workloads, one of them off the mesh, and make calls."""
    charm = tmp_path_factory.mktemp("quiet")
    (charm / "src").mkdir()
    (charm / "charmcraft.yaml").write_text(CHARMCRAFT)
    (charm / "src" / "charm.py").write_text(CHARM)
    with Rehearsal() as rehearsal:
        juju = jubilant.Juju(model="m", cli_binary=str(rehearsal.directory / "bin" / "juju"))
        juju.add_model("m")
        for app in ("client", "stray", "web"):
            juju.deploy(charm, app)
        juju.wait(jubilant.all_active, delay=0.1, timeout=60)
        label(rehearsal, "Namespace", None, "m", "ambient")
        label(rehearsal, "Pod", "m", "stray-0", "none")
        label(rehearsal, "Service", "m", "stray", "none")
        service = [{"group": "", "kind": "Service", "name": "web"}]
        gets = [{"to": [{"operation": {"methods": ["GET"]}}]}]
        strays = [{"from": [{"source": {"notPrincipals": ["*"]}}]}]
        policy(rehearsal, "gets", {"targetRefs": service, "rules": gets})
        policy(rehearsal, "no-strays", {"action": "DENY", "rules": strays})
        rehearsal.settle()
        for caller, method, url in CALLS:
            proxy = rehearsal.pod_environment("m", f"{caller}-0")["http_proxy"]
            with httpx.Client(proxy=proxy, trust_env=False) as client:
                client.request(method, url)
        yield rehearsal


def label(rehearsal: Rehearsal, kind: str, namespace: str | None, name: str, mode: str) -> None:
    """Put an object on the mesh, or take it off."""
    found = rehearsal.store.get(kind, namespace, name)
    assert found
    labels: dict[str, str] = found["metadata"].get("labels") or {}
    found["metadata"]["labels"] = labels | {"istio.io/dataplane-mode": mode}
    rehearsal.store.put(found)


def policy(rehearsal: Rehearsal, name: str, spec: dict[str, object]) -> None:
    kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    rehearsal.store.put({**kind, "metadata": {"namespace": "m", "name": name}, "spec": spec})


@contextmanager
def tap(rehearsal: Rehearsal, *options: str) -> Generator["subprocess.Popen[str]"]:
    """Run the command, for a minute at most."""
    with subprocess.Popen(
        [sys.executable, "-m", "rehearsal", "tap", *options],
        env=os.environ | rehearsal.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        yield process
        timer.cancel()
        process.kill()


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ("", [ALLOWED, DENIED, STRAY, FREE, LOST]),
        ("--denied", [DENIED, STRAY]),
        ("--from stray", [STRAY]),
        ("--to stray", [FREE]),
        ("--from client --to web", [ALLOWED, DENIED, LOST]),
        ("--from client --denied --model m", [DENIED]),
    ],
)
def test_calls_are_told_in_sentences(rehearsal: Rehearsal, options: str, printed: list[str]):
    with tap(rehearsal, *options.split()) as process:
        assert process.stdout
        read = [process.stdout.readline() for _ in printed]

    assert read == printed


@pytest.mark.parametrize(("model", "matches"), [("m", True), ("there", True), ("other", False)])
def test_a_model_is_that_of_either_side(model: str, matches: bool):
    filters = Filters(source=None, target=None, model=model, denied=False)

    assert filters.match(("m", "client"), ("there", "web"), "allowed") is matches


def test_an_interrupt_ends_it(rehearsal: Rehearsal):
    with tap(rehearsal) as process:
        assert process.stdout
        assert process.stdout.readline() == ALLOWED
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()

    assert "Traceback" not in rest
    assert process.returncode == 130


def test_a_call_is_told_when_it_is_made(rehearsal: Rehearsal):
    with tap(rehearsal, "--from", "web") as process:
        proxy = rehearsal.pod_environment("m", "web-0")["http_proxy"]
        with httpx.Client(proxy=proxy, trust_env=False) as client:
            client.get("http://web:8000/late")
        assert process.stdout
        line = process.stdout.readline()

    assert line == "web (m) GET :8000/late on Service web: allowed by policy m/gets, 503\n"


def test_it_ends_with_the_run():
    with Rehearsal() as rehearsal:
        process = subprocess.Popen(
            [sys.executable, "-m", "rehearsal", "tap"], env=os.environ | rehearsal.environment
        )
        assert process.poll() is None

    with process:
        assert process.wait(60) == 0


def test_outside_of_a_run_it_says_how():
    command = [sys.executable, "-m", "rehearsal", "tap"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ERROR no rehearsal runs here.")
