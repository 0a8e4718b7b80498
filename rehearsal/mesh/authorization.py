"""AuthorizationPolicies: read strictly, and compiled to the RBAC rules by which Envoy decides.

Their meaning is Istio's: https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from rehearsal.kubernetes.store import Object
from rehearsal.mesh.envoy import Json, extension
from rehearsal.mesh.identity import SPIFFE, TRUST_DOMAIN

Action = Literal["ALLOW", "DENY"]
_Conditions = dict[str, list[str]]


def _checked(conditions: _Conditions) -> _Conditions:
    """Refuse what Istio refuses; Envoy would refuse its whole configuration for some of it."""
    if not any(conditions.values()):
        raise ValueError("at least one condition is needed")
    _all("rule", conditions)
    return conditions


_Values = list[Annotated[str, Field(min_length=1)]]
_L4 = Literal["ports", "notPorts"]
_L7 = Literal["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"]
_Who = Literal["principals", "notPrincipals", "namespaces", "notNamespaces"]
_Source = Annotated[dict[_Who, _Values], AfterValidator(_checked)]
_Operation = Annotated[dict[_L4 | _L7, _Values], AfterValidator(_checked)]


class _Strict(BaseModel):
    """Refuses what it does not know: to ignore a condition would be to widen a rule."""

    model_config = ConfigDict(extra="forbid")


class _From(_Strict):
    source: _Source


class _To(_Strict):
    operation: _Operation


class _Rule(_Strict):
    from_: Annotated[list[_From], Field(min_length=1)] | None = Field(None, alias="from")
    to: Annotated[list[_To], Field(min_length=1)] | None = None


class _Service(_Strict):
    group: Literal["", "core"] = ""
    kind: Literal["Service"]
    name: str


class _Target(_Strict):
    """What a policy is for: some Services, or else the pods that it selects, which may be all."""

    selector: dict[Literal["matchLabels"], dict[str, str]] | None = None
    targetRefs: list[_Service] = []  # noqa: N815 - its name in Kubernetes

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "_Target":
        if self.selector and self.targetRefs:
            raise ValueError("selector and targetRefs exclude each other")
        return self


class _Spec(_Target):
    action: Literal["ALLOW", "DENY", "AUDIT"] = "ALLOW"
    rules: list[_Rule] = []


@dataclass(frozen=True)
class Refusal:
    """Why a policy, `<namespace>/<name>`, is closed and not enforced as it is written."""

    policy: str
    reason: str


@dataclass(frozen=True)
class Policy:
    """A policy that is enforced.

    Attributes:
        rules: it matches a request that one of them does.
        target: what it governs; None for everything in its namespace.
    """

    namespace: str
    name: str
    action: str
    rules: Sequence[_Rule]
    target: _Target | None

    def governs_service(self, namespace: str, name: str) -> bool:
        """Tell whether the waypoint of a Service enforces it."""
        names = {ref.name for ref in self.target.targetRefs} if self.target else {name}
        return namespace == self.namespace and name in names

    def governs_pod(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Tell whether the ztunnel of a pod enforces it."""
        if namespace != self.namespace or (self.target and self.target.targetRefs):
            return False
        selector = (self.target and self.target.selector) or {}
        return selector.get("matchLabels", {}).items() <= labels.items()


def read(objects: Iterable[Object]) -> tuple[list[Policy], list[Refusal]]:
    """Read AuthorizationPolicies; one that is refused is among the policies too, closed."""
    policies: list[Policy] = []
    refusals: list[Refusal] = []
    for obj in objects:
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        written: dict[str, Any] = obj.get("spec") or {}
        try:
            spec = _Spec.model_validate(written)
            policies.append(Policy(namespace, name, spec.action, spec.rules, spec))
        except ValidationError as error:
            policies.append(_closed(namespace, name, written))
            reasons = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            refusals.append(Refusal(f"{namespace}/{name}", "; ".join(reasons)))
    return policies, refusals


def _closed(namespace: str, name: str, written: Mapping[str, Any]) -> Policy:
    """Return what allows nothing, or denies everything, where the policy as written would count."""
    try:
        target = _Target(**{k: written[k] for k in written.keys() & _Target.model_fields.keys()})
    except ValidationError:
        target = None
    if written.get("action", "ALLOW") == "ALLOW":
        return Policy(namespace, name, "ALLOW", [], target)
    return Policy(namespace, name, "DENY", [_Rule.model_validate({})], target)


def rbac(policies: Iterable[Policy], action: Action, *, sees_http: bool) -> Json | None:
    """Return Envoy's rules for the policies of one action, or None if there are none.

    Args:
        policies: those that govern a target.
        action: ALLOW or DENY; Istio has Envoy check DENY first.
        sees_http: as a waypoint does. A ztunnel does not, and is on the safe side: a rule with
            HTTP in it never allows, and denies whatever the rest of it matches.
            https://istio.io/latest/docs/ambient/usage/l4-policy/#allowed-policy-attributes
    """
    chosen = [policy for policy in policies if policy.action == action]
    unseen = frozenset[str]() if sees_http else frozenset(get_args(_L7))
    rules = {
        f"{policy.namespace}/{policy.name}[{number}]": _compile(rule, unseen)
        for policy in chosen
        for number, rule in enumerate(policy.rules)
        if action == "DENY" or not _says(rule, unseen)
    }
    return {"action": action, "policies": rules} if chosen else None


def _says(rule: _Rule, fields: Collection[str]) -> bool:
    conditions = (item for to in rule.to or () for item in to.operation.items())
    return any(values and name in fields for name, values in conditions)


def _compile(rule: _Rule, unseen: Collection[str]) -> Json:
    to = [_all("rule", to.operation, unseen) for to in rule.to or ()]
    from_ = [_all("id", from_.source) for from_ in rule.from_ or ()]
    return {"permissions": to or [{"any": True}], "principals": from_ or [{"any": True}]}


def _all(kind: str, conditions: Mapping[Any, Sequence[str]], unseen: Collection[str] = ()) -> Json:
    """Return what holds where every condition does: one of its values, or none if it is a `not`."""
    seen = {name: values for name, values in conditions.items() if values and name not in unseen}
    each = [_one(kind, name, values) for name, values in seen.items()]
    return {f"and_{kind}s": {f"{kind}s": each}} if each else {"any": True}


def _one(kind: str, name: str, values: Sequence[str]) -> Json:
    positive = name.removeprefix("not").lower()
    any_of = {f"or_{kind}s": {f"{kind}s": [_MATCHERS[positive](value) for value in values]}}
    return any_of if name == positive else {f"not_{kind}": any_of}


def _port(value: str) -> Json:
    if not re.fullmatch("[0-9]{1,5}", value) or not 0 < int(value) < 65536:
        raise ValueError(f"{value!r} is not a port")
    return {"destination_port": int(value)}


def _path(value: str) -> Json:
    return _template(value) if re.search("[{}]", value) else {"url_path": {"path": _text(value)}}


def _template(value: str) -> Json:
    """Match a path where `{*}` is one segment and `{**}`, once and last of these, any number."""
    if len(value) > 256 or not _TEMPLATE.fullmatch(value):
        raise ValueError(f"{value!r} is not a path template")
    template = value.replace("{*}", "*").replace("{**}", "**")
    kind = "path.match.uri_template.v3.UriTemplateMatchConfig"
    return {"uri_template": extension(kind, path_template=template)}


def _principal(value: str) -> Json:
    return _caller(_text(value if value.startswith("*") and value != "*" else SPIFFE + value))


def _namespace(value: str) -> Json:
    """Match the namespace in a principal; all principals are of one form."""
    if value.startswith("*"):
        return _caller({"contains": f"{value[1:]}/sa/"})
    start = f"{SPIFFE}{TRUST_DOMAIN}/ns/{value}"
    return _caller(_text(start if value.endswith("*") else f"{start}/*"))


def _caller(uri: Json) -> Json:
    return {"authenticated": {"principal_name": uri}}


def _header(name: str, match: Json) -> Json:
    return {"header": {"name": name, "string_match": match}}


def _text(value: str) -> Json:
    """Match a text, its end where `*` comes first, its start where `*` comes last."""
    if value == "*":
        return {"safe_regex": {"regex": ".+"}}
    if value.startswith("*"):
        return {"suffix": value[1:]}
    return {"prefix": value[:-1]} if value.endswith("*") else {"exact": value}


_LITERAL = r"[\w.~%!$&'()+,;:@=-]+"
_TEMPLATE = re.compile(rf"(/(\{{\*\}}|{_LITERAL}))*(/\{{\*\*\}})?(/{_LITERAL})*/?", re.ASCII)
_MATCHERS: Mapping[str, Callable[[str], Json]] = {
    "principals": _principal,
    "namespaces": _namespace,
    "hosts": lambda value: _header(":authority", {**_text(value), "ignore_case": True}),
    "ports": _port,
    "methods": lambda value: _header(":method", _text(value)),
    "paths": _path,
}
