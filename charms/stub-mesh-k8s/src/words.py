"""Policies in words."""

from collections.abc import Iterable

from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, MeshPolicy, PolicyTargetType

_KIND = {PolicyTargetType.app: "Service", PolicyTargetType.unit: "units of"}


def describe(policy: MeshPolicy) -> str:
    """Return who may make which calls, and on what."""
    calls = " or ".join(map(_request, policy.endpoints)) or "anything"
    return (
        f"{policy.source_app_name} of {policy.source_namespace} may call {calls} on {_on(policy)}"
    )


def calls(policies: Iterable[MeshPolicy]) -> str:
    """Return which calls these policies allow together, and on what."""
    found: dict[str, list[str]] = {}
    for policy in policies:
        found.setdefault(_on(policy), []).extend(map(_request, policy.endpoints or [Endpoint()]))
    return " and ".join(f"{', '.join(requests)} on {target}" for target, requests in found.items())


def target(kind: PolicyTargetType, name: object) -> str:
    """Return what is called."""
    return f"{_KIND[kind]} {name}"


def _on(policy: MeshPolicy) -> str:
    name = policy.target_service or policy.target_app_name or policy.target_selector_labels
    return target(policy.target_type, name)


def _request(endpoint: Endpoint) -> str:
    parts = (
        ",".join(method.value for method in endpoint.methods or []),
        ",".join(f":{port}" for port in endpoint.ports or []),
        ",".join(endpoint.paths or []),
        ",".join(f"as {host}" for host in endpoint.hosts or []),
    )
    return " ".join(filter(None, parts)) or "anything"
