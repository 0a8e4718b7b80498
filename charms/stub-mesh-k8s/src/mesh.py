"""Who may call whom, decided from policies alone. Nothing here talks to Juju or Kubernetes.

The rules are those of Istio's ambient mode. A call on a Service is decided by the policies that
target the Service. One on a unit's own address is decided by those that select its pod, and there
ports are known, but no methods or paths.
https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from charms.istio_beacon_k8s.v0.service_mesh import (
    Endpoint,
    MeshPolicy,
    PolicyTargetType,
    Refusal,
)


@dataclass(frozen=True)
class Outcome:
    """What became of the policies that were asked for, and why none is enforced, if none is."""

    accepted: Sequence[MeshPolicy]
    refused: Sequence[Refusal]
    unenforced: str = ""


@dataclass(frozen=True)
class Call:
    """One request, to an application through its Service or to a unit at its own address."""

    source: str
    source_model: str
    target: str
    port: int
    method: str = "GET"
    path: str = "/"

    @property
    def app(self) -> str:
        """The application that is called."""
        return self.target.partition("/")[0]

    @property
    def target_type(self) -> PolicyTargetType:
        """Whether it is the application or one of its units that is called."""
        return PolicyTargetType.unit if "/" in self.target else PolicyTargetType.app


@dataclass(frozen=True)
class Verdict:
    """Whether a call is allowed, and by what or for want of what."""

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Mesh:
    """The mesh of one model: the applications whose pods are on it, and what they asked for."""

    model: str
    members: frozenset[str]
    hardened: bool
    outcome: Outcome

    def decide(self, call: Call) -> Verdict:
        """Return whether the call is allowed, if a caller in another model is on a mesh there."""
        if self.outcome.unenforced:
            return Verdict(True, f"nothing is enforced: {self.outcome.unenforced}")
        if call.app not in self.members:
            return Verdict(True, f"{self._absent(call.app)}, so nothing is enforced there")
        relevant = [policy for policy in self.outcome.accepted if self._is_about(policy, call)]
        if not (relevant or self.hardened):
            return Verdict(True, f"no policy is about {call.target}, and the mesh is not hardened")
        if call.source_model == self.model and call.source not in self.members:
            return Verdict(False, f"{self._absent(call.source)}, so the caller has no identity")
        return _judge([policy for policy in relevant if _is_for(policy, call)], call)

    def _absent(self, app: str) -> str:
        """Return words that are true both of who has left and of who was never there."""
        return f"no application {app} in model {self.model} is on this mesh"

    def _is_about(self, policy: MeshPolicy, call: Call) -> bool:
        if (policy.target_namespace, policy.target_type) != (self.model, call.target_type):
            return False
        if selector := policy.target_selector_labels:
            return selector == {"app.kubernetes.io/name": call.app}
        return call.app == (policy.target_service or policy.target_app_name)


def _is_for(policy: MeshPolicy, call: Call) -> bool:
    return (policy.source_app_name, policy.source_namespace) == (call.source, call.source_model)


def _judge(policies: Sequence[MeshPolicy], call: Call) -> Verdict:
    """Return the verdict of the caller's own policies."""
    for policy in policies:
        if not policy.endpoints or any(_covers(endpoint, call) for endpoint in policy.endpoints):
            return Verdict(True, describe(policy))
    calls = [_describe(endpoint) for policy in policies for endpoint in policy.endpoints]
    may = f"{call.source} may call {', '.join(calls) or 'nothing'}"
    return Verdict(False, f"no policy allows it; {may} on {_KIND[call.target_type]} {call.app}")


def _covers(endpoint: Endpoint, call: Call) -> bool:
    """Return whether each field that the endpoint has fits the call."""
    methods = [method.value for method in endpoint.methods or []]
    return (
        (not endpoint.ports or call.port in endpoint.ports)
        and (not methods or call.method.upper() in methods)
        and (not endpoint.paths or any(path_matches(path, call.path) for path in endpoint.paths))
    )


def path_matches(pattern: str, path: str) -> bool:
    """Return whether a path fits: `*` at one end, or `{*}` and `{**}` as whole segments."""
    if "{" in pattern:
        expression = re.escape(pattern).replace(r"\{\*\*\}", ".*").replace(r"\{\*\}", "[^/]+")
        return re.fullmatch(expression, path) is not None
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return path.endswith(pattern[1:])
    return path == pattern


_KIND = {PolicyTargetType.app: "Service", PolicyTargetType.unit: "units of"}


def describe(policy: MeshPolicy) -> str:
    """Return the policy in words."""
    calls = " or ".join(map(_describe, policy.endpoints)) or "anything"
    target = policy.target_service or policy.target_app_name or policy.target_selector_labels
    source = f"{policy.source_app_name} of {policy.source_namespace}"
    return f"{source} may call {calls} on {_KIND[policy.target_type]} {target}"


def _describe(endpoint: Endpoint) -> str:
    parts = (
        ",".join(method.value for method in endpoint.methods or []),
        ",".join(f":{port}" for port in endpoint.ports or []),
        ",".join(endpoint.paths or []),
        ",".join(f"as {host}" for host in endpoint.hosts or []),
    )
    return " ".join(filter(None, parts)) or "anything"


@dataclass(frozen=True)
class Row:
    """One policy that was asked for."""

    app: str
    state: str
    policy: str
    reason: str = ""

    def __str__(self) -> str:
        text = f"{self.reason}: {self.policy}" if self.reason else self.policy
        return f"{self.app}  {self.state}  {textwrap.shorten(text, 160)}"


def listing(outcome: Outcome, form: Literal["table", "json"]) -> dict[str, str]:
    """Return all policies by application: a `table` for a person, or `rows` (JSON) for a script."""
    accepted = [
        Row(policy.target_app_name or str(policy.target_service), "accepted", describe(policy))
        for policy in outcome.accepted
    ]
    refused = [Row(each.app, "refused", each.entry, each.reason) for each in outcome.refused]
    rows = sorted([*accepted, *refused], key=lambda row: (row.app, row.state))
    shown = (
        {"rows": json.dumps([asdict(row) for row in rows])}
        if form == "json"
        else {"table": "\n".join(map(str, rows))}
    )
    return {**shown, "unenforced": outcome.unenforced}
