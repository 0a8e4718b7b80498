"""One call and one policy: whether the policy is about the call, and what does not fit."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, MeshPolicy, PolicyTargetType


@dataclass(frozen=True)
class Call:
    """One request, to an application through its Service or to a unit at its own address.

    Made from the parameters of the action `explain`, whose names are the aliases.
    """

    source: str = field(metadata={"alias": "from"})
    source_model: str = field(metadata={"alias": "model"})
    target: str = field(metadata={"alias": "to"})
    port: int
    method: str = "GET"
    path: str = "/"
    host: str = ""

    @property
    def app(self) -> str:
        """The application that is called."""
        return self.target.partition("/")[0]

    @property
    def target_labels(self) -> dict[str, str]:
        """The labels that Kubernetes and Juju give to the pod, or pods, that are called."""
        name = {"app.kubernetes.io/name": self.app}
        _, of_unit, number = self.target.partition("/")
        pod = {"statefulset.kubernetes.io/pod-name": f"{self.app}-{number}"}
        return {**name, **pod, "apps.kubernetes.io/pod-index": number} if of_unit else name

    @property
    def target_type(self) -> PolicyTargetType:
        """Whether it is the application or one of its units that is called."""
        return PolicyTargetType.unit if "/" in self.target else PolicyTargetType.app


@dataclass(frozen=True)
class Fit:
    """A policy, and what of a call one of its endpoints does not allow."""

    policy: MeshPolicy
    wrong: Sequence[str]

    @property
    def port(self) -> bool:
        """Whether the port is allowed."""
        return "port" not in self.wrong


def is_for(policy: MeshPolicy, call: Call) -> bool:
    """Return whether the caller is the policy's source."""
    return (policy.source_app_name, policy.source_namespace) == (call.source, call.source_model)


def targets_service(policy: MeshPolicy, service: str) -> bool:
    """Return whether the policy is about the calls to a Service."""
    target = policy.target_service or policy.target_app_name
    return policy.target_type is PolicyTargetType.app and target == service


def selects(policy: MeshPolicy, labels: Mapping[str, str]) -> bool:
    """Return whether the policy is about the pods with these labels. Without a target it is."""
    name = policy.target_app_name or policy.target_service or labels["app.kubernetes.io/name"]
    selector = policy.target_selector_labels or {"app.kubernetes.io/name": name}
    return selector.items() <= labels.items()


def fits(policy: MeshPolicy, call: Call) -> list[Fit]:
    """Return how each endpoint fits; a policy that has none allows everything."""
    target = [] if policy.target_type is call.target_type else ["target"]
    endpoints = policy.endpoints or [Endpoint()]
    host = call.host or _host(policy.target_namespace, call)
    return [Fit(policy, [*target, *_wrong(endpoint, call, host)]) for endpoint in endpoints]


def _host(namespace: str, call: Call) -> str:
    """Return the Host header of a call on the full name of a Service, which leaves out port 80."""
    name = f"{call.app}.{namespace}.svc.cluster.local"
    return name if call.port == 80 else f"{name}:{call.port}"


def _wrong(endpoint: Endpoint, call: Call, host: str) -> list[str]:
    """Return the fields of an endpoint that do not fit a call. Paths are compared without query."""
    path = call.path.partition("?")[0]
    methods = [method.value for method in endpoint.methods or []]
    right = {
        "host": not endpoint.hosts or any(host_matches(each, host) for each in endpoint.hosts),
        "port": not endpoint.ports or call.port in endpoint.ports,
        "method": not methods or call.method.upper() in methods,
        "path": not endpoint.paths or any(path_matches(each, path) for each in endpoint.paths),
    }
    return [name for name, is_right in right.items() if not is_right]


def host_matches(pattern: str, host: str) -> bool:
    """Return whether a Host header fits, port and all. `*` at one end stands for anything.

    https://istio.io/latest/docs/reference/config/security/authorization-policy/#Operation
    """
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    return host.startswith(pattern[:-1]) if pattern.endswith("*") else host == pattern


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
