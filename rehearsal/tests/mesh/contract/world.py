"""The world of the cases: each call is a real one, through a real Envoy, to a real server."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rehearsal.kubernetes.store import Object
from tests.mesh.cluster import AMBIENT, App, Cluster, running
from tests.mesh.contract.case import Call, Case

Answer = tuple[int, str]
"""A status, and the text of what is not the server's."""

ALLOWED = (200, "")
DENIED = {
    "AuthorizationPolicy": (403, "RBAC: access denied"),
    "NetworkPolicy": (403, "NetworkPolicy: access denied"),
}
VERSION = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}
OPEN: Object = {
    "apiVersion": VERSION["AuthorizationPolicy"],
    "kind": "AuthorizationPolicy",
    "metadata": {"namespace": "istio-system", "name": "open"},
    "spec": {"rules": [{}]},
}
"""Opens all pods, also those behind a waypoint, to all calls."""
MANY = 40
"""Calls of which it is next to impossible that all go to the same of two pods."""


@contextmanager
def world(**options: Any) -> Generator["World"]:
    """Run applications in two namespaces: on the mesh, off it, and on it without a waypoint."""
    with (
        running(**options) as cluster,
        cluster.namespace("demo"),
        cluster.namespace("elsewhere", team="other"),
    ):
        apps = [
            cluster.app("demo", "producer", units=2),
            cluster.app("demo", "scraper"),
            cluster.app("demo", "outsider"),
            cluster.app("demo", "stranger", labels={}),
            cluster.app("demo", "legacy", labels={}),
            cluster.app("demo", "half", labels=AMBIENT, service_labels={}, units=2),
            cluster.app("elsewhere", "producer"),
            cluster.app("elsewhere", "scraper"),
            cluster.app("elsewhere", "half", labels=AMBIENT, service_labels={}),
        ]
        yield World(cluster, {f"{app.namespace}/{app.name}": app for app in apps})


@dataclass(frozen=True)
class Outcome:
    """The answers to calls, those to calls that were made again and again, and the refusals.

    Attributes:
        asked: the verdicts of the proxy when it is asked about each call.
    """

    answers: Mapping[str, Answer]
    some: Mapping[str, set[Answer]]
    refused: Sequence[str]
    asked: Mapping[str, set[str]]


def documented(case: Case) -> Outcome:
    """Return the documented outcome of a case."""
    denied = DENIED[case.kind]
    answers = dict.fromkeys(case.allowed, ALLOWED) | dict.fromkeys(case.denied, denied)
    asked = {text: {"allowed"} for text in case.allowed}
    asked |= {text: {"denied"} for text in case.denied}
    asked |= {text: {"allowed", "denied"} for text in case.some}
    return Outcome(answers, {text: {ALLOWED, denied} for text in case.some}, case.refused, asked)


@dataclass
class World:
    """Some applications, known by namespace and name."""

    cluster: Cluster
    apps: Mapping[str, App]

    def observe(self, case: Case) -> Outcome:
        """Put the policies of a case, make its calls, and return the outcome."""
        policies = self._policies(case)
        for policy in policies:
            self.cluster.store.put(policy)
        self.cluster.mesh.settle()
        outcome = Outcome(
            {text: self._call(text) for text in case.allowed + case.denied},
            {text: {self._call(text) for _ in range(MANY)} for text in case.some},
            [refusal.reason for refusal in self.cluster.mesh.refused],
            {text: self._ask(text) for text in case.allowed + case.denied + case.some},
        )
        for policy in policies:
            metadata = policy["metadata"]
            self.cluster.store.delete(policy["kind"], metadata["namespace"], metadata["name"])
        return outcome

    def _policies(self, case: Case) -> list[Object]:
        """Return the policies of a case, with the means to let NetworkPolicies decide alone."""
        policies: list[Object] = [OPEN] if case.kind == "NetworkPolicy" else []
        for number, written in enumerate(case.policies):
            spec = dict(written)
            metadata = {
                "namespace": spec.pop("in", "demo"),
                "name": f"policy-{number}",
                "annotations": spec.pop("annotations", {}),
            }
            kind = {"apiVersion": VERSION[case.kind], "kind": case.kind}
            policies.append({**kind, "metadata": metadata, "spec": spec})
        return policies

    def _ask(self, text: str) -> set[str]:
        """Return the verdicts of the proxy on a call."""
        call = Call.read(text)
        pod = call.caller if "-" in call.caller else f"{call.caller}-0"
        decisions = self.cluster.mesh.ask(call.namespace, pod, call.method, call.url)
        return {decision.verdict for decision in decisions}

    def _call(self, text: str) -> Answer:
        """Make a call; return the status of the answer, and its text if it is not the server's."""
        call = Call.read(text)
        app, _, number = call.caller.partition("-")
        caller = self.apps[f"{call.namespace}/{app}"]
        answer = self.cluster.call(caller, call.url, call.method, unit=int(number or 0))
        return answer.status, "" if answer.status == 200 else answer.body
