"""After any events in any order, policies, identities and labels follow from the relations.

A step makes or breaks a relation, publishes data, changes a label, upgrades the charm, elects a
leader, replaces a pod, or runs the next event of a unit while Kubernetes fails. Now and then, and
at the end, the failures stop and one more event runs. Then the result is checked.
"""

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from properties.application import FAR, HERE, REVISIONS, Application, Link
from properties.faults import PLANS, Fault, Faults
from small_charms import ALIAS
from small_cluster import APP, MODEL, SmallCluster

from charms.istio_beacon_k8s.v0.service_mesh import UnitPolicy

JUJUS = {"app.kubernetes.io/name": APP}
KEYS, VALUES, USER_VALUES = ("a", "b", "x.io/c"), ("1", "2"), ("by_user", "other")
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), min_size=1)
ENDPOINTS = st.sampled_from(["data", "metrics", "upstream"])

# The names of applications that may be related, and their models.
NEIGHBOURS = {"reader": HERE, "scraper": HERE, ALIAS: FAR, "saas": FAR}
NAMES = st.sampled_from([*NEIGHBOURS])
# The application and model that a remote application claims: the true ones, and others.
TRUTH = ("far", "elsewhere")
CLAIMS = (TRUTH, ("", "elsewhere"), ("*", "elsewhere"), ("far", MODEL), ("far", "nowhere"))
UNITS = st.integers(0, 1)
PLACES = st.sampled_from(["StatefulSet", "Service"])


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


# One rule holds all steps: Hypothesis omits rules at random, and most defects take several steps.
STEPS = st.one_of(
    step("relate", ENDPOINTS, NAMES),
    step("unrelate", st.integers(0, 9)),
    step("require_identity", NAMES),
    step("provide_identity", st.sampled_from([ALIAS, "saas"]), st.sampled_from(CLAIMS)),
    step("relate_mesh", st.none() | LABELS),
    step("change_mesh", LABELS),
    step("leave_mesh"),
    step("configure"),
    step("upgrade", st.integers(0, len(REVISIONS) - 1), st.booleans()),
    step("lose_pod", UNITS),
    step("elect", UNITS),
    step("label", PLACES, st.sampled_from([*KEYS, "unrelated"]), st.sampled_from(USER_VALUES)),
    step("check"),
    *[step("run", UNITS, PLANS), step("run_all", UNITS, PLANS)] * 3,
)


class Life(RuleBasedStateMachine):
    """The life of the application, in random steps."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        environment = self._stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        small_cluster = SmallCluster(folder / "kubeconfig")
        small_cluster.put_namespace("elsewhere", FAR)
        self.cluster = self._stack.enter_context(small_cluster.running())
        self.app = Application(self.cluster)
        self._stack.callback(self.app.close)
        self.by_user: dict[str, dict[str, str]] = {"StatefulSet": {}, "Service": {}}

    @initialize(labels=LABELS, plan=PLANS)
    def join(self, labels: dict[str, str], plan: list[Fault | None]) -> None:
        self.relate_mesh(labels)
        self.run_all(0, plan)

    @rule(steps=st.lists(STEPS, min_size=1, max_size=5))
    def take_steps(self, steps: list[tuple[Any, ...]]) -> None:
        for name, *arguments in steps:
            getattr(self, name)(*arguments)

    def relate(self, endpoint: str, name: str) -> None:
        self.app.relate(endpoint, name, NEIGHBOURS[name])

    def unrelate(self, which: int) -> None:
        links = [link for link in self.app.links if link.endpoint != "service-mesh"]
        if links:
            self.app.unrelate(links[which % len(links)])

    def require_identity(self, name: str) -> None:
        self.app.relate("require-cmr-mesh", name, NEIGHBOURS[name])

    def provide_identity(self, name: str, claim: tuple[str, str]) -> None:
        if not any(link.app == name for link in self.app.at("provide-cmr-mesh")):
            link = self.app.relate("provide-cmr-mesh", name, FAR)
            data = dict(zip(("app_name", "juju_model_name"), claim, strict=True))
            self.app.publish(link, cmr_data=json.dumps(data))

    def relate_mesh(self, labels: dict[str, str] | None) -> None:
        if not self.app.at("service-mesh"):
            link = self.app.relate("service-mesh", "mesh")
            if labels:
                self.app.publish(link, labels=json.dumps(labels), mesh_type='"istio"')

    def change_mesh(self, labels: dict[str, str]) -> None:
        for link in self.app.at("service-mesh"):
            self.app.publish(link, labels=json.dumps(labels))

    def leave_mesh(self) -> None:
        for link in self.app.at("service-mesh"):
            self.app.unrelate(link)

    def configure(self) -> None:
        self.app.configure()

    def upgrade(self, revision: int, auto_join: bool) -> None:
        self.app.upgrade(revision, auto_join)

    def lose_pod(self, unit: int) -> None:
        self.app.replace_pod(self.app.units[unit])

    def elect(self, unit: int) -> None:
        self.app.elect(self.app.units[unit])

    def label(self, place: str, key: str, value: str) -> None:
        self.by_user[place][key] = value
        self.cluster.label(place, key, value)

    def run(self, unit: int, plan: list[Fault | None]) -> None:
        self.app.run_next(self.app.units[unit], Faults(plan))

    def run_all(self, unit: int, plan: list[Fault | None]) -> None:
        """Run all pending events of a unit while Kubernetes fails."""
        faults = Faults(plan)
        while self.app.units[unit].events:
            self.app.run_next(self.app.units[unit], faults)

    def check(self) -> None:
        """Run pending events without failures, and check the result."""
        self.app.settle()
        self.check_policies()
        self.check_identities()
        self.check_labels()

    def teardown(self) -> None:
        try:
            self.check()
            self.check_no_writes()
        finally:
            self._stack.close()

    def check_policies(self) -> None:
        for link in self.app.at("service-mesh"):
            assert json.loads(link.ours["policies"]) == self.policies()

    def policies(self) -> list[dict[str, Any]]:
        """Return the expected policies in the form that relation data has."""
        found: list[dict[str, Any]] = []
        for policy in REVISIONS[self.app.revision]:
            unit = isinstance(policy, UnitPolicy)
            for link in self.app.at(policy.relation):
                if not (source := self.source(link)):
                    continue
                ports = [{"ports": policy.ports}] if unit and policy.ports else []
                endpoints = ports if unit else [e.model_dump() for e in policy.endpoints]
                empty = {"hosts": None, "ports": None, "methods": None, "paths": None}
                found.append(
                    {
                        "source_namespace": source[1],
                        "source_app_name": source[0],
                        "target_namespace": MODEL,
                        "target_app_name": APP,
                        "target_selector_labels": None,
                        "target_service": None if unit else policy.service,
                        "target_type": "unit" if unit else "app",
                        "endpoints": [{**empty, **endpoint} for endpoint in endpoints],
                    }
                )
        return [each for at, each in enumerate(found) if each not in found[:at]]

    def source(self, link: Link) -> tuple[str, str] | None:
        """Return the application and model that may call over this relation."""
        if link.model == HERE:
            return link.app, MODEL
        provided = [each for each in self.app.at("provide-cmr-mesh") if each.app == link.app]
        claims = [json.loads(each.theirs["cmr_data"]) for each in provided]
        return TRUTH if [tuple(claim.values()) for claim in claims] == [TRUTH] else None

    def check_identities(self) -> None:
        for link in self.app.at("require-cmr-mesh"):
            assert json.loads(link.ours["cmr_data"]) == {
                "app_name": APP,
                "juju_model_name": MODEL,
            }

    def check_labels(self) -> None:
        meshes = self.app.at("service-mesh")
        if meshes and "labels" not in meshes[0].theirs and self.app.auto_join:
            return  # labels do not change before the mesh publishes some
        joined = meshes and self.app.auto_join
        wanted: dict[str, str] = json.loads(meshes[0].theirs["labels"]) if joined else {}
        pods, service = self.by_user["StatefulSet"], self.by_user["Service"]
        assert self.cluster.pod_labels() == {**JUJUS, **wanted, **pods}
        assert self.cluster.service_labels() == {**wanted, **service}
        ours = {key: value for key, value in wanted.items() if not (key in pods and key in service)}
        assert (self.cluster.ledger() or {}) == ours

    def check_no_writes(self) -> None:
        """Check that a further event writes nothing."""
        self.cluster.forget_calls()
        self.app.settle()
        assert self.cluster.writes() == []


# The newest hypothesis for Python 3.10 has only some of the types.
life: Any = Life
TestLife = life.TestCase
