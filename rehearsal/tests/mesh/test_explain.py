"""`juju-rehearsal explain`: the verdict of the proxy, beside that of a mesh charm."""

import os
import subprocess
import sys
from collections.abc import Iterator

import jubilant
import pytest

from rehearsal.rehearsal import Rehearsal

MEMBERS = ("client", "web")

CHARMCRAFT = """
name: fickle
type: charm
summary: says of calls what its options say
config:
  options:
    says: {type: string, default: allowed, description: the verdict}
    writes: {type: boolean, default: false, description: whether explaining writes a policy}
actions:
  explain:
    description: says what its options say
    params:
      from: {type: string}
      to: {type: string}
      method: {type: string}
      path: {type: string}
      port: {type: integer}
provides:
  mesh: {interface: service_mesh}
requires:
  service-mesh: {interface: service_mesh}
"""
CHARM = """
import lightkube
import ops
from lightkube.generic_resource import create_namespaced_resource

KIND = "AuthorizationPolicy"
POLICY = create_namespaced_resource("security.istio.io", "v1", KIND, "authorizationpolicies")


class Fickle(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._on_start)
        framework.observe(self.on.explain_action, self._on_explain)

    def _on_start(self, event):
        self.unit.set_ports(8000)
        self.unit.status = ops.ActiveStatus()

    def _on_explain(self, event):
        if self.config["writes"]:
            metadata = {"name": "late", "namespace": self.model.name}
            spec = {"targetRefs": [{"group": "", "kind": "Service", "name": "web"}]}
            lightkube.Client().create(POLICY(metadata=metadata, spec=spec))
        if self.config["says"] == "nothing":
            event.fail("told to fail")
            return
        call = " ".join(str(event.params[name]) for name in ("from", "to", "method", "port"))
        event.set_results({"verdict": self.config["says"], "reason": f"told so about {call}"})
"""


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Run the model `m`, all of it on the mesh, with applications of one charm."""
    charm = tmp_path_factory.mktemp("fickle")
    (charm / "src").mkdir()
    (charm / "charmcraft.yaml").write_text(CHARMCRAFT)
    (charm / "src" / "charm.py").write_text(CHARM)
    with Rehearsal() as rehearsal:
        juju = juju_of(rehearsal)
        juju.add_model("m")
        metadata = {"name": "m", "labels": {"istio.io/dataplane-mode": "ambient"}}
        rehearsal.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        for app in ("client", "mesh", "web", "idle"):
            juju.deploy(charm, app, trust=True)
        juju.cli("scale-application", "idle", "0")
        for app in MEMBERS:
            juju.integrate(f"{app}:service-mesh", "mesh:mesh")
        juju.wait(
            lambda status: jubilant.all_active(status, "client", "mesh", "web"),
            delay=0.1,
            timeout=60,
        )
        yield rehearsal


@pytest.fixture
def juju(rehearsal: Rehearsal) -> Iterator[jubilant.Juju]:
    """The juju of the run; the options of `mesh` and the policies are reset after each test."""
    juju = juju_of(rehearsal)
    yield juju
    juju.config("mesh", reset=["says", "writes"])
    for each in rehearsal.store.list("AuthorizationPolicy", "m"):
        rehearsal.store.delete("AuthorizationPolicy", "m", each["metadata"]["name"])


def juju_of(rehearsal: Rehearsal) -> jubilant.Juju:
    return jubilant.Juju(model="m", cli_binary=str(rehearsal.directory / "bin" / "juju"))


def policy(rehearsal: Rehearsal, method: str) -> None:
    """Have anyone make calls with one method on the Service of `web`."""
    spec = {
        "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "rules": [{"to": [{"operation": {"methods": [method]}}]}],
    }
    metadata = {"name": "of-web", "namespace": "m"}
    kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    rehearsal.store.put({**kind, "metadata": metadata, "spec": spec})


def explain(rehearsal: Rehearsal, *words: str) -> "subprocess.CompletedProcess[str]":
    call = words or ("client", "web", "GET", "/", "8000")
    return subprocess.run(
        [sys.executable, "-m", "rehearsal", "explain", *call],
        env=os.environ | rehearsal.environment | {"JUJU_MODEL": "m"},
        check=False,
        capture_output=True,
        text=True,
    )


ALLOWS = "policy m/of-web allows cluster.local/ns/m/sa/client on Service web"
DENIES = "no policy allows cluster.local/ns/m/sa/client on Service web"


def test_the_proxy_decides_and_the_charm_gives_the_reason(
    rehearsal: Rehearsal, juju: jubilant.Juju
):
    policy(rehearsal, "GET")
    allowed = explain(rehearsal)
    drift = explain(rehearsal, "client", "web", "PUT", "/", "8000")
    juju.config("mesh", {"says": "denied"})
    denied = explain(rehearsal, "client", "web", "PUT", "/", "8000")
    other_drift = explain(rehearsal)

    assert allowed.stdout.splitlines() == [
        "allowed: told so about client web GET 8000",
        f"  The proxy agrees: {ALLOWS}.",
    ]
    assert drift.stdout.splitlines() == [
        f"denied by the proxy, although mesh says allowed: {DENIES}",
        "  mesh says: told so about client web PUT 8000",
    ]
    assert denied.stdout.splitlines() == [
        "denied: told so about client web PUT 8000",
        f"  The proxy agrees: {DENIES}.",
    ]
    assert other_drift.stdout.splitlines() == [
        f"allowed by the proxy, although mesh says denied: {ALLOWS}",
        "  mesh says: told so about client web GET 8000",
    ]


def test_a_deleted_policy_is_drift(rehearsal: Rehearsal, juju: jubilant.Juju):
    policy(rehearsal, "PUT")
    juju.config("mesh", {"says": "denied"})
    before = explain(rehearsal)

    rehearsal.store.delete("AuthorizationPolicy", "m", "of-web")

    drift = "allowed by the proxy, although mesh says denied: no policy is for Service web"
    assert before.stdout.startswith("denied: told so")
    assert explain(rehearsal).stdout.startswith(drift)


def test_a_policy_that_the_action_writes_is_named(rehearsal: Rehearsal, juju: jubilant.Juju):
    juju.config("mesh", {"says": "denied", "writes": True})

    before = "Before the action `explain` of mesh"
    assert explain(rehearsal).stdout.splitlines() == [
        "denied: told so about client web GET 8000",
        f"  The proxy agrees: {DENIES}.",
        f"  {before} ran, the proxy said allowed: no policy is for Service web.",
        "  The action has created: AuthorizationPolicy late.",
    ]


def test_an_action_that_fails_leaves_the_verdict(rehearsal: Rehearsal, juju: jubilant.Juju):
    policy(rehearsal, "GET")
    juju.config("mesh", {"says": "nothing"})

    allowed = explain(rehearsal)
    denied = explain(rehearsal, "client", "web", "PUT", "/", "8000")

    note = "  mesh does not say why: told to fail"
    assert allowed.stdout.splitlines() == [f"allowed: {ALLOWS}", note]
    assert denied.stdout.splitlines() == [f"denied: {DENIES}", note]


def test_a_mesh_without_the_action_leaves_the_verdict(rehearsal: Rehearsal, juju: jubilant.Juju):
    for app in MEMBERS:
        juju.remove_relation(f"{app}:service-mesh", "mesh:mesh")
    juju.wait(lambda status: not status.apps["mesh"].relations, delay=0.1, timeout=60)
    policy(rehearsal, "GET")

    allowed = explain(rehearsal)
    denied = explain(rehearsal, "client", "web", "PUT", "/", "8000")

    assert allowed.stdout.startswith(f"allowed: {ALLOWS}\n  no application of this model offers")
    assert denied.stdout.startswith(f"denied: {DENIES}\n  no application of this model offers")
    for app in MEMBERS:
        juju.integrate(f"{app}:service-mesh", "mesh:mesh")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("client web GET / 7", "web has no open port 7; its open ports are: 8000. A charm opens"),
        ("client web/0 GET / 7", "web has no open port 7; its open ports are: 8000. A charm opens"),
        ("client web GET data 8000", "path 'data': it has to begin with / and to be ASCII"),
        ("client wbe GET / 8000", "no application wbe in model m; its applications are: "),
        ("clint web GET / 8000", "no application clint in model m; its applications are: "),
        ("client/0 web GET / 8000", "client/0 is a unit; the caller is an application: client"),
        ("client web CONNECT / 8000", "the proxy answers 400: Bad Request"),
        ("idle web GET / 8000", "idle has no units, so it makes no calls"),
    ],
)
def test_a_call_that_cannot_be_made_is_an_error(
    rehearsal: Rehearsal, juju: jubilant.Juju, call: str, error: str
):
    done = explain(rehearsal, *call.split())

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ERROR {error}")
