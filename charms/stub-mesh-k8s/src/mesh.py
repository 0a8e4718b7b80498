"""Who may call whom, decided from policies alone. Nothing here talks to Juju or Kubernetes.

With AuthorizationPolicies the rules are those of Istio's ambient mode. A call on a Service is
decided by the policies that target the Service. One on a unit's own address is decided by those
that select its pod, and there ports are known, but no methods or paths.
https://istio.io/latest/docs/reference/config/security/authorization-policy/

With NetworkPolicies pods and ports decide, whichever way a call takes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import words
from calls import Call, Fit, fits, is_for, selects, targets_service
from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy, PolicyTargetType, Refusal

Enforcement = Literal["authorization-policy", "network-policy", "none"]

Member = tuple[str, str]
"""The model of an application that is on the mesh, and its name."""

# The name that Juju gives to a remote application on the side that made the offer.
_ALIAS = re.compile(r"remote-[0-9a-f]{32}")


@dataclass(frozen=True)
class Outcome:
    """What became of the policies that were asked for, what enforces them, and what it does not."""

    accepted: Sequence[MeshPolicy]
    refused: Sequence[Refusal]
    enforcement: Enforcement
    unenforced: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether a call is allowed, and by what or for want of what."""

    allowed: bool
    reason: str

    def results(self) -> dict[str, str]:
        """Return the verdict as results of an action."""
        return {"verdict": "allowed" if self.allowed else "denied", "reason": self.reason}


@dataclass(frozen=True)
class Mesh:
    """The mesh of one model: whose pods are on it, there and elsewhere, and what they asked for."""

    model: str
    members: frozenset[Member]
    hardened: bool
    outcome: Outcome

    def decide(self, call: Call) -> Verdict:
        """Return whether the call is allowed, with the policy or the obstacle that decides it."""
        if self.outcome.enforcement == "none":
            return Verdict(True, self.outcome.unenforced)
        if absent := self._absent(self.model, self._app_behind(call)):
            return Verdict(True, f"{absent}, so nothing is enforced there")
        relevant = [policy for policy in self.outcome.accepted if self._is_about(policy, call)]
        absent = self._absent(call.source_model, call.source)
        if not (self.hardened or self._governed(call, past_waypoint=bool(absent))):
            return Verdict(True, f"no policy is about {call.target}, and the mesh is not hardened")
        if absent:
            return Verdict(False, f"{absent}, so the caller has no identity")
        return self._judge(relevant, call)

    def _judge(self, relevant: Sequence[MeshPolicy], call: Call) -> Verdict:
        """Return the verdict of what comes nearest to allowing the call."""
        own = [policy for policy in relevant if is_for(policy, call)]
        every = (fit for policy in own for fit in fits(policy, call))
        nearest = min(every, key=lambda fit: (not fit.port, len(fit.wrong)), default=None)
        if nearest and self._lets_in(nearest):
            beyond = f"; {self.outcome.unenforced}" if nearest.wrong else ""
            return Verdict(True, f"{words.describe(nearest.policy)}{beyond}")
        obstacle = self._wrong(nearest, own, call) if nearest else self._missing(relevant, call)
        return Verdict(False, self._refused(call) or obstacle)

    def _governed(self, call: Call, *, past_waypoint: bool) -> bool:
        """Return whether any policy decides on the call.

        A call on a Service goes past its waypoint if the caller is not on the mesh, and ends at a
        unit. Units behind a waypoint that decides take calls from it, and no others that no policy
        allows: so Charmed Istio is set up (PILOT_AUTO_ALLOW_WAYPOINT_POLICY).
        """
        direct = past_waypoint or call.target_type is PolicyTargetType.unit
        ways = [call, replace(call, target=call.app), replace(call, target=f"{call.app}/0")]
        about = self.outcome.accepted, ways if direct else [call]
        return any(self._is_about(policy, way) for policy, way in product(*about))

    @property
    def _at_l4(self) -> bool:
        return self.outcome.enforcement == "network-policy"

    def _lets_in(self, fit: Fit) -> bool:
        return fit.port if self._at_l4 else not fit.wrong

    def _is_about(self, policy: MeshPolicy, call: Call) -> bool:
        if policy.target_namespace != self.model:
            return False
        if self._at_l4:
            app = self._app_behind(call)
            return selects(policy, {**call.target_labels, "app.kubernetes.io/name": app})
        if call.target_type is PolicyTargetType.app:
            return targets_service(policy, call.app)
        return policy.target_type is PolicyTargetType.unit and selects(policy, call.target_labels)

    def _app_behind(self, call: Call) -> str:
        """Return the application that is called, also through a Service of another name."""
        policies = self.outcome.accepted
        owners = (each.target_app_name for each in policies if each.target_service == call.app)
        return next(filter(None, owners), call.app)

    def _absent(self, model: str, app: str) -> str | None:
        """Return words that are true both of who has left and of who was never there."""
        on_mesh = (model, app) in self.members
        return None if on_mesh else f"no application {app} in model {model} is on this mesh"

    def _refused(self, call: Call) -> str | None:
        """Return why what would allow the call was refused, if somebody asked for it."""
        return next(
            (
                f"{refusal.app} asked for it and was refused: {refusal.reason}"
                for refusal in self.outcome.refused
                if self._would_allow(refusal, call)
            ),
            None,
        )

    def _would_allow(self, refusal: Refusal, call: Call) -> bool:
        policy = refusal.policy
        if policy is None:
            # It is malformed. If it names the caller, it was meant for the caller.
            return refusal.app == call.app and call.source in refusal.entry
        meant = self._is_about(policy, call) and is_for(policy, call)
        return meant and any(map(self._lets_in, fits(policy, call)))

    def _wrong(self, fit: Fit, own: Iterable[MeshPolicy], call: Call) -> str:
        wrong = "port" if self._at_l4 else " and ".join(fit.wrong)
        return f"wrong {wrong}; {call.source} may call {words.calls(own)}"

    def _missing(self, relevant: Iterable[MeshPolicy], call: Call) -> str:
        """Return why there is no policy for the caller."""
        mine = (policy for policy in self.outcome.accepted if is_for(policy, call))
        if elsewhere := [policy for policy in mine if policy.target_app_name == call.app]:
            there = words.target(call.target_type, call.app)
            return f"nothing is allowed on {there}; {call.source} may call {words.calls(elsewhere)}"
        if call.source_model == self.model:
            return f"no relation gives it: {call.app} has no policy for {call.source}"
        return _unidentified([policy.source_app_name for policy in relevant], call)


def _unidentified(sources: Sequence[str], call: Call) -> str:
    """Return why a caller of another model is not known."""
    what_to_do = "integrate its require-cmr-mesh with the same offer"
    if alias := next(filter(_ALIAS.fullmatch, sources), None):
        return f"{call.app} knows a caller as {alias} alone, its identity is missing: {what_to_do}"
    caller = f"{call.source} of {call.source_model}"
    return (
        f"{call.app} has no policy for {caller}: "
        f"it is not related, or its identity is missing: {what_to_do}"
    )
