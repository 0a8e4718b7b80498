"""AuthorizationPolicies: read strictly, and compiled to the RBAC rules by which Envoy decides.

Their meaning is Istio's: https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from rehearsal.kubernetes.store import Object
from rehearsal.mesh.conditions import (
    WAYPOINT,
    ZTUNNEL,
    Conditions,
    Matchers,
    all_of,
    are_seen,
    both,
)
from rehearsal.mesh.envoy import Json
from rehearsal.mesh.strict import Refusal, Strict, refusal
from rehearsal.mesh.topology import Pod

Action = Literal["ALLOW", "DENY"]
ROOT_NAMESPACE = "istio-system"
"""Policies in it are for the pods of all namespaces, or for all waypoints."""
_WAYPOINT_CLASS = "istio-waypoint"
_TRUE = {"1", "t", "T", "true", "True", "TRUE"}
"""The words for true in an annotation; any other word is false to Istio."""
_Label = tuple[str, str] | None


def _checked(conditions: dict[Any, Any]) -> dict[Any, Any]:
    """Refuse a policy that Istio refuses; with some of them Envoy would refuse to load."""
    if not any(conditions.values()):
        raise ValueError("at least one condition is needed")
    all_of("rule", conditions, WAYPOINT)
    accounts = {"serviceAccounts", "notServiceAccounts"}
    if accounts & conditions.keys() and conditions.keys() - accounts:
        raise ValueError("serviceAccounts exclude principals and namespaces")
    return conditions


_Values = list[Annotated[str, Field(min_length=1)]]
_What = Literal[
    "hosts",
    "notHosts",
    "methods",
    "notMethods",
    "paths",
    "notPaths",
    "ports",
    "notPorts",
]
_Who = Literal[
    "principals",
    "notPrincipals",
    "namespaces",
    "notNamespaces",
    "serviceAccounts",
    "notServiceAccounts",
]
_Source = Annotated[dict[_Who, _Values], AfterValidator(_checked)]
_Operation = Annotated[dict[_What, _Values], AfterValidator(_checked)]
_KEYS = {
    "source.principal": ("id", "principals", "notPrincipals"),
    "source.namespace": ("id", "namespaces", "notNamespaces"),
    "destination.port": ("rule", "ports", "notPorts"),
}


class _From(Strict):
    source: _Source


class _To(Strict):
    operation: _Operation


class _When(Strict):
    key: Literal["source.principal", "source.namespace", "destination.port"]
    values: _Values = Field(default=[])
    notValues: _Values = Field(default=[])  # noqa: N815 - its name in Istio

    @model_validator(mode="after")
    def _is_a_condition(self) -> "_When":
        _checked(dict(self.conditions))
        return self

    @property
    def kind(self) -> str:
        return _KEYS[self.key][0]

    @property
    def conditions(self) -> Conditions:
        _, positive, negative = _KEYS[self.key]
        return {positive: self.values, negative: self.notValues}


class _Rule(Strict):
    """A rule; an empty list asks for nothing, as one that is missing."""

    from_: list[_From] | None = Field(None, alias="from")
    to: list[_To] | None = None
    when: list[_When] | None = None


class _Service(Strict):
    group: Literal["", "core"] = ""
    kind: Literal["Service"]
    name: str


class _GatewayClass(Strict):
    group: Literal["gateway.networking.k8s.io"]
    kind: Literal["GatewayClass"]
    name: str


_Reference = Annotated[_Service | _GatewayClass, Field(discriminator="kind")]


class _Target(Strict):
    """The target of a policy: references, or else the pods with some labels, which may be none."""

    selector: dict[Literal["matchLabels"], dict[str, str]] | None = None
    targetRef: _Reference | None = None  # noqa: N815 - its name in Istio
    targetRefs: Sequence[_Reference] | None = None  # noqa: N815 - its name in Istio

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "_Target":
        if [self.selector, self.targetRef, self.targetRefs].count(None) < 2:
            raise ValueError("selector, targetRef and targetRefs exclude each other")
        return self

    @property
    def references(self) -> Sequence[_Service | _GatewayClass]:
        """The references; `targetRef` is the older form, for one."""
        return [self.targetRef] if self.targetRef else self.targetRefs or []


class _TargetAlone(_Target):
    """The target of a policy of which other parts may be invalid."""

    model_config = ConfigDict(extra="ignore")


class _Spec(_Target):
    action: Literal["ALLOW", "DENY", "AUDIT"] = "ALLOW"
    rules: Sequence[_Rule] = ()


@dataclass(frozen=True)
class Policy:
    """A policy that is enforced.

    Attributes:
        rules: the policy matches a request if one of its rules does.
        target: its target, or None if that is unknown; then the policy applies to all targets.
    """

    namespace: str
    name: str
    action: str
    rules: Sequence[_Rule]
    target: _Target | None

    @property
    def full_name(self) -> str:
        """The namespace and the name."""
        return f"{self.namespace}/{self.name}"

    @property
    def references(self) -> Sequence[_Service | _GatewayClass]:
        """The Services and the classes of Gateways that it targets, instead of pods."""
        return self.target.references if self.target else []

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the pods that it selects, if it selects pods."""
        selector = (self.target and self.target.selector) or {}
        return selector.get("matchLabels", {})

    def closed(self) -> "Policy":
        """Return a policy for the same target that allows nothing, or denies everything."""
        rules = [_Rule.model_validate({})] if self.action == "DENY" else []
        return replace(self, rules=rules)


class Policies:
    """The policies that are enforced, by target."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._of_service: defaultdict[tuple[str, str], list[Policy]] = defaultdict(list)
        self._of_pods: defaultdict[tuple[str, _Label], list[Policy]] = defaultdict(list)
        self._of_waypoints: defaultdict[str, list[Policy]] = defaultdict(list)
        for policy in policies:
            self._add_to_waypoints(policy)
            if not policy.references:
                self._of_pods[policy.namespace, _first(policy.labels)].append(policy)

    def _add_to_waypoints(self, policy: Policy) -> None:
        """Add a policy to the Services that it targets, which are all if its target is unknown."""
        waypoints = ROOT_NAMESPACE, _WAYPOINT_CLASS
        if policy.target is None:
            self._of_waypoints[policy.namespace].append(policy)
        for reference in policy.references:
            if isinstance(reference, _Service):
                self._of_service[policy.namespace, reference.name].append(policy)
            elif (policy.namespace, reference.name) == waypoints:
                self._of_waypoints[ROOT_NAMESPACE].append(policy)

    def of_service(self, namespace: str, name: str) -> list[Policy]:
        """Return the policies that the waypoint of a Service enforces.

        They target the Service or the class of waypoints. Policies for pods are not among them.
        https://istio.io/latest/docs/ambient/usage/l4-policy/#authorization-policy-attachment
        """
        everywhere = [self._of_waypoints[each] for each in {namespace, ROOT_NAMESPACE}]
        return [*self._of_service[namespace, name], *chain.from_iterable(everywhere)]

    def of_pod(self, pod: Pod) -> list[Policy]:
        """Return the policies that the ztunnel of a pod enforces, of its namespace and the root."""
        keys = product({pod.namespace, ROOT_NAMESPACE}, (None, *pod.labels.items()))
        candidates = chain.from_iterable(self._of_pods[key] for key in keys)
        return [policy for policy in candidates if policy.labels.items() <= pod.labels.items()]


def _first(labels: Mapping[str, str]) -> _Label:
    """Return one label, by which an index finds the pods that may have all of them."""
    return next(iter(labels.items()), None)


def read(objects: Iterable[Object]) -> tuple[list[Policy], list[Refusal]]:
    """Read AuthorizationPolicies except dry runs; for each refusal there is a closed policy."""
    policies: list[Policy] = []
    refusals: list[Refusal] = []
    for obj in (each for each in objects if not _is_dry_run(each)):
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        written: Any = obj.get("spec")
        try:
            spec = _Spec.model_validate(written or {})
            policies.append(Policy(namespace, name, spec.action, spec.rules, spec))
        except ValidationError as error:
            policies.append(_closed(namespace, name, written))
            refusals.append(refusal(obj, error))
    return policies, refusals


def _is_dry_run(obj: Object) -> bool:
    """Return whether a policy is a dry run, which decides nothing."""
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    return annotations.get("istio.io/dry-run") in _TRUE


def _closed(namespace: str, name: str, written: Any) -> Policy:
    """Return a closed policy in the place of an invalid one, for its target if that is valid."""
    fields = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
    action = "ALLOW" if fields.get("action", "ALLOW") == "ALLOW" else "DENY"
    try:
        target = _TargetAlone.model_validate(written)
    except ValidationError:
        target = None
    return Policy(namespace, name, action, [], target).closed()


def rbac(policies: Iterable[Policy], action: Action, *, sees_http: bool) -> Json | None:
    """Return Envoy's rules for the policies of one action, or None if there are none.

    Args:
        policies: the policies for one target.
        action: ALLOW or DENY; Istio has Envoy check DENY first.
        sees_http: whether the enforcer is a waypoint. A ztunnel sees no HTTP: there, a rule with
            conditions on HTTP never allows, and denies by its other conditions alone.
            https://istio.io/latest/docs/ambient/usage/l4-policy/#allowed-policy-attributes
    """
    # Ztunnels of today skip a rule that denies by HTTP alone. Here it denies every call, as it is
    # documented: a policy that has no effect would look like one that works.
    chosen = [policy for policy in policies if policy.action == action]
    matchers = WAYPOINT if sees_http else ZTUNNEL
    rules = {
        f"{policy.full_name}[{number}]": _compile(rule, policy.namespace, matchers)
        for policy in chosen
        for number, rule in enumerate(policy.rules)
        if action == "DENY" or all(are_seen(to.operation, matchers) for to in rule.to or ())
    }
    return {"action": action, "policies": rules} if chosen else None


def _compile(rule: _Rule, namespace: str, matchers: Matchers) -> Json:
    """Return a rule for Envoy, with its `when` conditions in each alternative."""
    when = [(each.kind, all_of(each.kind, each.conditions, matchers)) for each in rule.when or ()]
    ids = [match for kind, match in when if kind == "id"]
    rules = [match for kind, match in when if kind == "rule"]
    sources = [_qualified(each.source, namespace) for each in rule.from_ or ()] or [{}]
    operations = [each.operation for each in rule.to or ()] or [{}]
    return {
        "permissions": [
            both("rule", [all_of("rule", each, matchers), *rules]) for each in operations
        ],
        "principals": [both("id", [all_of("id", each, matchers), *ids]) for each in sources],
    }


def _qualified(source: Conditions, namespace: str) -> Conditions:
    """Return a source in which service accounts have a namespace, by default the policy's."""

    def qualified(value: str) -> str:
        return value if "/" in value else f"{namespace}/{value}"

    accounts = {k: [*map(qualified, v)] for k, v in source.items() if k.endswith("Accounts")}
    return {**source, **accounts}
