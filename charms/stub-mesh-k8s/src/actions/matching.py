"""The match between one policy and one call."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from actions.call import Call
from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, MeshPolicy, PolicyTargetType


@dataclass(frozen=True)
class Match:
    """An endpoint of a policy, compared with a call.

    Args:
        policy: the policy.
        mismatches: the properties of the call that the policy does not name.
    """

    policy: MeshPolicy
    mismatches: tuple[str, ...]


def is_from_source(policy: MeshPolicy, call: Call) -> bool:
    """Return whether the caller is the source of the policy."""
    return (policy.source_app_name, policy.source_namespace) == (call.source, call.source_model)


def targets_service(policy: MeshPolicy, service: str) -> bool:
    """Return whether the policy targets a Service."""
    target = policy.target_service or policy.target_app_name
    return policy.target_type is PolicyTargetType.app and target == service


def selects(policy: MeshPolicy, labels: Mapping[str, str]) -> bool:
    """Return whether the policy targets pods with these labels. Without a target, it does."""
    name = policy.target_app_name or policy.target_service or labels["app.kubernetes.io/name"]
    selector = policy.target_selector_labels or {"app.kubernetes.io/name": name}
    return selector.items() <= labels.items()


def matches(policies: Iterable[MeshPolicy], call: Call) -> list[Match]:
    """Return a match for each endpoint of the policies. Without endpoints, all calls match."""
    return [
        Match(policy, tuple(_mismatches(policy, endpoint, call)))
        for policy in policies
        for endpoint in policy.endpoints or [Endpoint()]
    ]


def _mismatches(policy: MeshPolicy, endpoint: Endpoint, call: Call) -> Iterable[str]:
    path = call.path.partition("?")[0]
    host = call.host or _default_host(policy.target_namespace, call)
    if policy.target_type is not call.target_type:
        yield "target"
    if endpoint.hosts and not any(host_matches(each, host) for each in endpoint.hosts):
        yield "host"
    if endpoint.ports and call.port not in endpoint.ports:
        yield "port"
    if endpoint.methods and call.method.upper() not in endpoint.methods:
        yield "method"
    if endpoint.paths and not any(path_matches(each, path) for each in endpoint.paths):
        yield "path"


def _default_host(namespace: str, call: Call) -> str:
    """Return the Host header of a call to the full name of a Service. It omits port 80."""
    name = f"{call.app}.{namespace}.svc.cluster.local"
    return name if call.port == 80 else f"{name}:{call.port}"


def host_matches(pattern: str, host: str) -> bool:
    """Return whether a Host header, with its port, matches a pattern with `*` at one end.

    https://istio.io/latest/docs/reference/config/security/authorization-policy/#Operation
    """
    return _matches_wildcard(pattern.lower(), host.lower())


def path_matches(pattern: str, path: str) -> bool:
    """Return whether a path matches a pattern: `*` at one end, or `{*}` and `{**}` as segments."""
    if "{" in pattern:
        expression = re.escape(pattern).replace(r"\{\*\*\}", ".*").replace(r"\{\*\}", "[^/]+")
        return re.fullmatch(expression, path) is not None
    return _matches_wildcard(pattern, path)


def _matches_wildcard(pattern: str, text: str) -> bool:
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern
