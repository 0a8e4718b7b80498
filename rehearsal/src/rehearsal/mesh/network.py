"""NetworkPolicies: read strictly, and compiled to the RBAC rules by which Envoy decides.

A pod is known by its address, whether it is on the mesh or not. A rule applies to the pod that gets
the call and to the port of that pod, even if the call was made to a Service.
https://kubernetes.io/docs/concepts/services-networking/network-policies/

This differs from a CNI in three ways. A CNI drops a denied call, so that the caller runs into a
timeout; here the caller gets a 403 at once. Between ambient pods, a CNI sees calls to port 15008,
which a policy has to allow as well; here a rule sees the port that the caller named. A CNI always
admits the node itself; here a caller without the address of a pod needs a rule for all callers.
https://istio.io/latest/docs/ambient/usage/networkpolicy/
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from rehearsal.kubernetes.store import Object
from rehearsal.mesh.envoy import Json
from rehearsal.mesh.strict import Refusal, Strict, refusal
from rehearsal.mesh.topology import Pod, Topology

_Labels = Mapping[str, str]

_EGRESS = "egress is not rehearsed: calls are let out of the pods that it selects"


class _Requirement(Strict):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Sequence[str] = ()

    def matches(self, labels: _Labels) -> bool:
        if self.operator in ("In", "NotIn"):
            found = labels.get(self.key) in self.values
        else:
            found = self.key in labels
        return found is (self.operator in ("In", "Exists"))


class _Selector(Strict):
    """A selector of labels, with Kubernetes' names for its fields. An empty one selects all."""

    matchLabels: dict[str, str] = Field(default={})  # noqa: N815
    matchExpressions: Sequence[_Requirement] = ()  # noqa: N815

    def matches(self, labels: _Labels) -> bool:
        return self.matchLabels.items() <= labels.items() and all(
            requirement.matches(labels) for requirement in self.matchExpressions
        )


def _no_block(_: object) -> None:
    raise ValueError("it is not rehearsed: pods have loopback addresses, which no block is about")


def _is_number(port: object) -> object:
    if isinstance(port, str):
        raise ValueError(f"{port!r} is the name of a port, and names are not rehearsed")
    return port


class _Peer(Strict):
    podSelector: _Selector | None = None  # noqa: N815
    namespaceSelector: _Selector | None = None  # noqa: N815
    ipBlock: Annotated[None, BeforeValidator(_no_block)] = None  # noqa: N815

    @model_validator(mode="after")
    def _is_somebody(self) -> "_Peer":
        if self.podSelector is None and self.namespaceSelector is None:
            raise ValueError("a podSelector or a namespaceSelector is needed")
        return self

    def matches(self, pod: Pod, namespace: str, labels: _Labels) -> bool:
        """Return whether a pod is this peer of a policy.

        Args:
            pod: the pod.
            namespace: the namespace of the policy.
            labels: the labels of the pod's namespace.
        """
        if self.namespaceSelector is None:
            is_there = pod.namespace == namespace
        else:
            is_there = self.namespaceSelector.matches(labels)
        return is_there and (self.podSelector is None or self.podSelector.matches(pod.labels))


class _Port(Strict):
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    port: Annotated[int | None, BeforeValidator(_is_number)] = None
    endPort: int | None = None  # noqa: N815

    @model_validator(mode="after")
    def _is_a_range(self) -> "_Port":
        if self.endPort is not None and (self.port is None or self.port > self.endPort):
            raise ValueError("endPort needs a port, which is not above it")
        return self

    def matches(self, port: int) -> bool:
        first = port if self.port is None else self.port
        last = self.endPort or first
        return self.protocol == "TCP" and first <= port <= last


class _Rule(Strict):
    from_: Sequence[_Peer] = Field(default=(), alias="from")
    ports: Sequence[_Port] = ()

    def is_for(self, port: int) -> bool:
        return not self.ports or any(each.matches(port) for each in self.ports)


class _Spec(Strict):
    podSelector: _Selector = _Selector()  # noqa: N815
    policyTypes: Sequence[Literal["Ingress", "Egress"]] = ()  # noqa: N815
    ingress: Sequence[_Rule] = ()
    egress: Sequence[Any] = ()


@dataclass(frozen=True)
class NetworkPolicy:
    """A policy for incoming calls: the pods that it selects accept the calls that a rule allows."""

    namespace: str
    name: str
    selector: _Selector
    rules: Sequence[_Rule]

    def isolates(self, pod: Pod) -> bool:
        """Return whether this policy restricts a pod to the calls that policies allow."""
        return pod.namespace == self.namespace and self.selector.matches(pod.labels)


def read(objects: Iterable[Object]) -> tuple[list[NetworkPolicy], list[Refusal]]:
    """Return the policies, and the refusals of those that cannot be enforced as they are written.

    A refused policy still isolates its pods and allows nothing. Rules for egress are refused but
    not enforced, and the rules for ingress of the same policy are enforced.
    """
    policies: list[NetworkPolicy] = []
    refusals: list[Refusal] = []
    for obj in objects:
        try:
            spec = _Spec.model_validate(obj.get("spec") or {})
        except ValidationError as error:
            refusals.append(refusal(obj, error))
            spec = _Spec(podSelector=_selector(obj))
        if spec.egress or "Egress" in spec.policyTypes:
            refusals.append(refusal(obj, _EGRESS))
        if "Ingress" in (spec.policyTypes or ["Ingress"]):
            names = obj["metadata"]["namespace"], obj["metadata"]["name"]
            policies.append(NetworkPolicy(*names, spec.podSelector, spec.ingress))
    return policies, refusals


def _selector(obj: Object) -> _Selector:
    """Return the selector of a refused policy, or one for all pods if it cannot be read."""
    try:
        return _Selector.model_validate(obj["spec"]["podSelector"])
    except (LookupError, TypeError, ValidationError):
        return _Selector()


class Isolation:
    """Determines the callers of each pod, from all NetworkPolicies together."""

    def __init__(self, policies: Iterable[NetworkPolicy], topology: Topology) -> None:
        self._policies = [
            (policy, [_callers(rule, policy.namespace, topology) for rule in policy.rules])
            for policy in policies
        ]

    def rules(self, pod: Pod, port: int) -> Json | None:
        """Return Envoy's rules for calls to a port of a pod, or None if the pod is not isolated."""
        isolating = [(policy, rules) for policy, rules in self._policies if policy.isolates(pod)]
        allowing = {
            f"{policy.namespace}/{policy.name}[{number}]": callers
            for policy, rules in isolating
            for number, callers in enumerate(rules)
            if callers and policy.rules[number].is_for(port)
        }
        # A pod may always call itself.
        callers_by_name = {**allowing, "itself": [_address(pod)]}
        return _allow(callers_by_name) if isolating else None


def _callers(rule: _Rule, namespace: str, topology: Topology) -> list[Json]:
    """Return the callers that a rule allows, as Envoy's principals."""
    if not rule.from_:
        return [{"any": True}]
    return [
        _address(pod)
        for pod in topology.pods
        if any(
            peer.matches(pod, namespace, topology.labels.get(pod.namespace, {}))
            for peer in rule.from_
        )
    ]


def _address(pod: Pod) -> Json:
    return {"direct_remote_ip": {"address_prefix": pod.ip, "prefix_len": 32}}


def _allow(callers: Mapping[str, Sequence[Json]]) -> Json:
    anything = {"permissions": [{"any": True}]}
    policies = {name: {**anything, "principals": who} for name, who in callers.items()}
    return {"action": "ALLOW", "policies": policies}
