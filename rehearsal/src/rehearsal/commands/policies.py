"""Policies in words: their targets, the calls that they name, and the applications without any."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from rehearsal.kubernetes.store import Object, Store
from rehearsal.mesh import topology

_PRINCIPAL = re.compile(r"[^/]+/ns/([^/]+)/sa/([^/]+)")
_ANYONE, _ANY_CALL = "everyone", "every call"
_REF = "targetRef"
"""The older form of `targetRefs`, for one."""
_ISTIO = "authorizationpolicies.security.istio.io"

Conditions = Mapping[str, Sequence[str]]
"""The values of each field of a source or an operation."""


def target(policy: Object) -> str:
    """Return the Services or the pods that a policy is for."""
    spec: Object = policy.get("spec") or {}
    refs: list[Object] = spec.get("targetRefs") or [spec[name] for name in spec if name == _REF]
    if refs:
        return ", ".join(f"{ref['kind']} {ref['name']}" for ref in refs)
    return _pods(spec.get("selector") or spec.get("podSelector") or {}) or "every pod"


def _pods(selector: Object) -> str:
    labels: dict[str, str] = selector.get("matchLabels") or {}
    shown = [f"{key.rpartition('/')[2]}={value}" for key, value in labels.items()]
    shown += ["..." for _ in selector.get("matchExpressions") or ()]
    return f"pods {','.join(shown)}" if shown else ""


def rules(policy: Object) -> list[str]:
    """Return a line for each rule of a policy: the callers, and the calls that they may make."""
    spec: Object = policy.get("spec") or {}
    namespace: str = policy["metadata"].get("namespace", "")
    if "podSelector" in spec:
        lines = [f"ingress from {_ingress(rule)}" for rule in spec.get("ingress") or ()]
        return lines or ["ingress from nowhere"]
    action = spec.get("action", "ALLOW")
    lines = [f"{action} {_rule(rule, namespace)}" for rule in spec.get("rules") or ()]
    return lines or [f"{action} nothing"]


def _rule(rule: Object, namespace: str) -> str:
    sources = [_source(each.get("source") or {}, namespace) for each in rule.get("from") or ()]
    operations = [_operation(each.get("operation") or {}) for each in rule.get("to") or ()]
    callers = " or ".join(sources) or _ANYONE
    calls = "; ".join(operations) or _ANY_CALL
    return f"{callers}: {calls}" + "".join(map(_when, rule.get("when") or ()))


def _source(source: Conditions, namespace: str) -> str:
    """Return the callers of a source; those of the policy's own namespace by their name alone."""

    def name(principal: str) -> str:
        match = _PRINCIPAL.fullmatch(principal)
        if not match:
            return principal
        return match[2] if match[1] == namespace else f"{match[1]}.{match[2]}"

    known = [
        _values(source, "principals", "", name),
        _values(source, "serviceAccounts", "service account "),
        _values(source, "namespaces", "namespace "),
    ]
    return _joined([*known, *_others(source, "principals", "serviceAccounts", "namespaces")])


def _operation(operation: Conditions) -> str:
    """Return the calls of an operation, such as `GET /data on 8080`."""
    request = _joined([_values(operation, "methods"), _values(operation, "paths")])
    ports = _values(operation, "ports")
    where = (f"on {ports}" if request else f"port {ports}") if ports else ""
    hosts = _values(operation, "hosts", "at host ")
    others = _others(operation, "methods", "paths", "ports", "hosts")
    return _joined([request, where, hosts, *others]) or _ANY_CALL


def _values(
    conditions: Conditions, field: str, before: str = "", show: Callable[[str], str] = str
) -> str:
    """Return the values of a field and of its opposite, or an empty text."""
    wanted = ", ".join(map(show, conditions.get(field) or ()))
    opposite = f"not{field[0].upper()}{field[1:]}"
    excluded = ", ".join(map(show, conditions.get(opposite) or ()))
    texts = [wanted, f"any but {excluded}" if excluded else ""]
    return f"{before}{_joined(texts)}" if any(texts) else ""


def _others(conditions: Conditions, *known: str) -> list[str]:
    """Return the conditions on other fields, in the words of Istio."""
    shown = {*known, *(f"not{name[0].upper()}{name[1:]}" for name in known)}
    rest = {name: values for name, values in conditions.items() if name not in shown and values}
    return [f"{name} {', '.join(values)}" for name, values in rest.items()]


def _when(condition: Object) -> str:
    terms = (("values", "is"), ("notValues", "is not"))
    given = [f"{word} {', '.join(condition[name])}" for name, word in terms if condition.get(name)]
    return f" when {condition.get('key')} {' and '.join(given)}"


def _ingress(rule: Object) -> str:
    """Return the peers of a NetworkPolicy's rule and the ports that are open to them."""
    ports: list[Object] = rule.get("ports") or []
    numbers = ", ".join(str(port.get("port", "every port")) for port in ports)
    peers = " or ".join(_peer(each) for each in rule.get("from") or ()) or "everywhere"
    return f"{peers}: {f'port {numbers}' if numbers else 'every port'}"


def _peer(peer: Object) -> str:
    if block := peer.get("ipBlock"):
        return str(block.get("cidr"))
    pods = _pods(peer.get("podSelector") or {}) or "every pod"
    if "namespaceSelector" not in peer:
        return pods
    labels = _pods(peer["namespaceSelector"]).removeprefix("pods ").removeprefix("metadata.name=")
    return f"{pods} of {labels or 'every namespace'}"


def _joined(texts: Iterable[str]) -> str:
    return " ".join(filter(None, texts))


def unguarded(store: Store, model: str) -> list[str]:
    """Return the applications of which no pod is on the mesh or selected by a NetworkPolicy."""
    istio = store.get("CustomResourceDefinition", None, _ISTIO) is not None
    policies = store.list("NetworkPolicy", model)
    selectors: list[Object] = [each["spec"].get("podSelector") or {} for each in policies]
    services = topology.read(store, istio=istio).services
    own = [each for each in services if each.namespace == model and each.ip and each.pods]
    return sorted({each.name for each in own if not _is_guarded(each, selectors)})


def _is_guarded(service: topology.Service, selectors: Sequence[Object]) -> bool:
    return any(
        pod.on_mesh or any(_selects(selector, pod.labels) for selector in selectors)
        for pod in service.pods
    )


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items()
