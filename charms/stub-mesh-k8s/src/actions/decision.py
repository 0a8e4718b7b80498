"""The decision of a mesh about one call, derived from policies without a look at the cluster.

With AuthorizationPolicies, the rules are those of Istio's ambient mode. The policies that target a
Service decide about a call to it. The policies that select a pod decide about a call to its own
address. Those know ports, but no methods, paths or hosts.
https://istio.io/latest/docs/reference/config/security/authorization-policy/

With NetworkPolicies, only pods and ports count, for both kinds of calls.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from actions import words
from actions.call import Call
from actions.matching import Match, is_from_source, matches, selects, targets_service
from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy, PolicyTargetType, Refusal
from enforcement import Outcome

# The name that Juju gives to a remote application in the model of the offer.
_ALIAS = re.compile(r"remote-[0-9a-f]{32}")
_PAST_WAYPOINT = "; an Istio that is running may deny calls past a waypoint by itself"
_INTEGRATE = "integrate its require-cmr-mesh with the same offer"


@dataclass(frozen=True)
class Verdict:
    """A decision, with the policy or the obstacle behind it."""

    allowed: bool
    reason: str


@dataclass(frozen=True)
class Mesh:
    """The mesh of one model.

    Args:
        model: the model.
        members: the applications on the mesh, in this model and others, as model and name.
        hardened: whether the mesh denies a call to a Service that no policy covers.
        outcome: the policies.
    """

    model: str
    members: frozenset[tuple[str, str]]
    hardened: bool
    outcome: Outcome

    def decide(self, call: Call) -> Verdict:
        """Return whether the mesh allows a call, and why."""
        if self.outcome.enforcement == "none":
            to_unit = call.target_type is PolicyTargetType.unit
            return Verdict(True, self.outcome.unenforced + (_PAST_WAYPOINT if to_unit else ""))
        app = self._app_behind(call)
        if (self.model, app) not in self.members:
            return Verdict(True, f"{app} is not on this mesh, so the mesh enforces nothing there")
        has_identity = (call.source_model, call.source) in self.members
        if not (self.hardened or self._is_governed(call, has_identity)):
            return Verdict(True, f"no policy covers {call.target}, and the mesh is not hardened")
        if not has_identity:
            caller = f"application {call.source} in model {call.source_model}"
            return Verdict(False, f"no {caller} is on this mesh, so the caller has no identity")
        return self._decide_by_policies(call)

    def _is_governed(self, call: Call, has_identity: bool) -> bool:
        """Return whether policies decide about the call, also if the mesh is not hardened.

        With AuthorizationPolicies, units accept calls from their waypoint, and other calls only if
        a policy allows them: Charmed Istio sets PILOT_AUTO_ALLOW_WAYPOINT_POLICY. A call to a unit
        goes past the waypoint, and so does every call of a caller without identity.
        """
        goes_past_waypoint = call.target_type is PolicyTargetType.unit or not has_identity
        if goes_past_waypoint and self.outcome.enforcement == "authorization-policy":
            return True
        return bool(self._covering(call))

    def _decide_by_policies(self, call: Call) -> Verdict:
        """Return the verdict of the endpoint that comes nearest to allowing the call."""
        covering = self._covering(call)
        own = [policy for policy in covering if is_from_source(policy, call)]
        nearest = min(matches(own, call), key=_distance, default=None)
        if nearest and not self._decisive(nearest):
            limits = f"; {self.outcome.unenforced}" if nearest.mismatches else ""
            return Verdict(True, f"{words.describe(nearest.policy)}{limits}")
        if refusal := self._refusal(call):
            refused = f"this mesh refused a policy of {refusal.app} for this call"
            return Verdict(False, f"{refused}: {refusal.reason}")
        if nearest:
            wrong = " and ".join(self._decisive(nearest))
            return Verdict(False, f"wrong {wrong}; {call.source} may call {words.requests(own)}")
        return Verdict(False, self._lack(covering, call))

    def _covering(self, call: Call) -> list[MeshPolicy]:
        return [policy for policy in self.outcome.accepted if self._covers(policy, call)]

    def _covers(self, policy: MeshPolicy, call: Call) -> bool:
        """Return whether a policy, of any source, targets the receiver of the call."""
        if policy.target_namespace != self.model:
            return False
        if self.outcome.enforcement == "network-policy":
            return selects(policy, call.pod_labels(self._app_behind(call)))
        if call.target_type is PolicyTargetType.app:
            return targets_service(policy, call.app)
        is_for_units = policy.target_type is PolicyTargetType.unit
        return is_for_units and selects(policy, call.pod_labels(call.app))

    def _decisive(self, match: Match) -> Sequence[str]:
        """Return the mismatches for which the enforcement denies the call."""
        if self.outcome.enforcement == "network-policy":
            return [each for each in match.mismatches if each == "port"]
        return match.mismatches

    def _app_behind(self, call: Call) -> str:
        """Return the application of the pods that receive a call to an additional Service."""
        policies = self.outcome.accepted
        owners = [each.target_app_name for each in policies if each.target_service == call.app]
        return next(filter(None, owners), call.app)

    def _refusal(self, call: Call) -> Refusal | None:
        """Return the refusal of a policy that would allow the call, if there is one."""
        refused = self.outcome.refused
        return next((each for each in refused if self._would_allow(each, call)), None)

    def _would_allow(self, refusal: Refusal, call: Call) -> bool:
        policy = refusal.policy
        if policy is None:
            # The entry is malformed. If it names the caller, it probably was for the caller.
            return refusal.app == call.app and call.source in refusal.entry
        if not (self._covers(policy, call) and is_from_source(policy, call)):
            return False
        return any(not self._decisive(match) for match in matches([policy], call))

    def _lack(self, covering: Sequence[MeshPolicy], call: Call) -> str:
        """Return why no policy covers the call for its source."""
        own = [policy for policy in self.outcome.accepted if is_from_source(policy, call)]
        if elsewhere := [policy for policy in own if policy.target_app_name == call.app]:
            there = words.target(call.target_type, call.app)
            may = f"{call.source} may call {words.requests(elsewhere)}"
            return f"no policy allows calls to {there}; {may}"
        if call.source_model == self.model:
            return f"no relation allows it: {call.app} has no policy for {call.source}"
        return _lack_of_identity([policy.source_app_name for policy in covering], call)


def _distance(match: Match) -> tuple[bool, int]:
    return "port" in match.mismatches, len(match.mismatches)


def _lack_of_identity(sources: Sequence[str], call: Call) -> str:
    """Return why no policy is for a caller in another model."""
    if alias := next(filter(_ALIAS.fullmatch, sources), None):
        known = f"{call.app} knows a caller only by the alias {alias}"
        return f"{known}, because its identity is missing: {_INTEGRATE}"
    caller = f"{call.source} of {call.source_model}"
    missing = f"it is not related, or its identity is missing: {_INTEGRATE}"
    return f"{call.app} has no policy for {caller}: {missing}"
