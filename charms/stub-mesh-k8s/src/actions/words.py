"""Policies in words."""

from collections.abc import Iterable

from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, MeshPolicy, PolicyTargetType


def describe(policy: MeshPolicy) -> str:
    """Return a sentence with the source, the requests and the target of a policy."""
    source = f"{policy.source_app_name} of {policy.source_namespace}"
    return f"{source} may call {' or '.join(_requests(policy))} on {_target(policy)}"


def requests(policies: Iterable[MeshPolicy]) -> str:
    """Return the requests that policies allow together, by target."""
    by_target: dict[str, list[str]] = {}
    for policy in policies:
        by_target.setdefault(_target(policy), []).extend(_requests(policy))
    return " and ".join(f"{', '.join(found)} on {target}" for target, found in by_target.items())


def target(kind: PolicyTargetType, name: object) -> str:
    """Return the name of a target after its kind."""
    return f"Service {name}" if kind is PolicyTargetType.app else f"units of {name}"


def _target(policy: MeshPolicy) -> str:
    name = policy.target_service or policy.target_app_name or policy.target_selector_labels
    return target(policy.target_type, name)


def _requests(policy: MeshPolicy) -> list[str]:
    return [_request(endpoint) for endpoint in policy.endpoints or [Endpoint()]]


def _request(endpoint: Endpoint) -> str:
    parts = (
        ",".join(method.value for method in endpoint.methods or []),
        ",".join(f":{port}" for port in endpoint.ports or []),
        ",".join(endpoint.paths or []),
        ",".join(f"as {host}" for host in endpoint.hosts or []),
    )
    return " ".join(filter(None, parts)) or "anything"
