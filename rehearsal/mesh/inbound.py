"""How requests arrive: at a listener for each port of a Service and of a pod, past its policies.

A Service on the mesh has a waypoint: the policies that target it decide, by all that HTTP says. Any
other Service merely spreads connections over its pods. Each pod has a ztunnel: the policies that
select it decide, by identity and port.

The policies are in one route table, where each listener finds its own by a header that it sets: a
change of routes reaches connections that are open. A listener that finds no route is closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.mesh import envoy
from rehearsal.mesh.authorization import Policy, rbac
from rehearsal.mesh.egress import CLUSTER, DESTINATION
from rehearsal.mesh.envoy import Address, Json
from rehearsal.mesh.topology import Pod, Service, Topology

_TABLE = "inbound"
_TARGET = "x-rehearsal-target"
_RBAC = "filters.http.rbac.v3.RBAC"
_DENY = {**envoy.extension(_RBAC), "name": "DENY"}
_ALLOW = {**envoy.extension(_RBAC, rules={"action": "ALLOW", "policies": {}}), "name": "ALLOW"}
"""Allows nothing, unless a route brings policies."""


@dataclass(frozen=True)
class Inbound:
    """One listener, what is behind it, and what decides.

    Attributes:
        policies: without any it is open; None if nothing is decided here.
        is_waypoint: whether it sees HTTP.
    """

    name: str
    address: Address
    backends: Sequence[Address]
    policies: Sequence[Policy] | None
    is_waypoint: bool = False

    @property
    def cluster(self) -> str:
        """What is behind it: never the same for what is decided here and for what is not."""
        return f"{self.name}/{'undecided' if self.policies is None else 'decided'}"


def read(topology: Topology, policies: Sequence[Policy]) -> list[Inbound]:
    """Return all that can be called."""
    pods = [_pod(pod, port, policies) for pod in topology.pods for port in pod.ports]
    return pods + [
        _service(service, service.ip, port, policies)
        for service in topology.services
        if service.ip
        for port in service.ports
    ]


def _pod(pod: Pod, port: int, policies: Sequence[Policy]) -> Inbound:
    deciding = [p for p in policies if pod.on_mesh and p.governs_pod(pod.namespace, pod.labels)]
    name = f"pod/{pod.namespace}/{pod.name}/{port}"
    return Inbound(name, (pod.ip, port), [(pod.workload_ip, port)], deciding)


def _service(service: Service, ip: str, port: int, policies: Sequence[Policy]) -> Inbound:
    name = f"service/{service.namespace}/{service.name}/{port}"
    target, ready = service.ports[port], [pod for pod in service.pods if pod.ready]
    if not service.on_mesh:
        return Inbound(name, (ip, port), [(pod.ip, target) for pod in ready], None)
    deciding = [p for p in policies if p.governs_service(service.namespace, service.name)]
    # Straight to the processes: the pods trust their waypoint. Istio has them do so, and deny what
    # callers off the mesh, whom it leads past the waypoint, ask of them, when it is run with
    # PILOT_AUTO_ALLOW_WAYPOINT_POLICY, as Charmed Istio is. Here such callers meet the waypoint,
    # without an identity.
    backends = [(pod.workload_ip, target) for pod in ready]
    return Inbound(name, (ip, port), backends, deciding, is_waypoint=True)


def listener(inbound: Inbound) -> Json:
    """Return the listener. It knows a caller by a certificate and by nothing that it says."""
    if inbound.policies is None:
        return envoy.listener(inbound.name, inbound.address, [{"filters": [_pass_on(inbound)]}])
    secure = {
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": envoy.server_tls(),
    }
    filters = {"filters": [_decide(inbound)]}
    inspector = envoy.extension("filters.listener.tls_inspector.v3.TlsInspector")
    return envoy.listener(
        inbound.name,
        inbound.address,
        [{**secure, **filters}, filters],
        listener_filters=[inspector],
    )


def _pass_on(inbound: Inbound) -> Json:
    kind = "filters.network.tcp_proxy.v3.TcpProxy"
    return envoy.extension(kind, stat_prefix="tcp", cluster=inbound.cluster)


def _decide(inbound: Inbound) -> Json:
    return envoy.http(
        _TABLE,
        {_TARGET: inbound.name},
        [_DENY, _ALLOW],
        envoy.access_log(inbound.name),
        # Istio's default: `/a/../b` is `/b`, and `//b` is not.
        # https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
        normalize_path=inbound.is_waypoint,
    )


def cluster(inbound: Inbound) -> Json:
    """Return what is behind the listener."""
    endpoints = [{"endpoint": {"address": envoy.socket_address(a)}} for a in inbound.backends]
    assignment = {"cluster_name": inbound.cluster, "endpoints": [{"lb_endpoints": endpoints}]}
    return envoy.cluster(inbound.cluster, load_assignment=assignment)


def tables(inbounds: Sequence[Inbound]) -> list[Json]:
    """Return the route table of all listeners that decide, if there are any."""
    routes = [_route(each, each.policies) for each in inbounds if each.policies is not None]
    host = {"name": _TABLE, "domains": ["*"], "routes": routes}
    table = envoy.route_table(_TABLE, [host], remove=[CLUSTER, DESTINATION, _TARGET])
    return [table] if routes else []


def _route(inbound: Inbound, policies: Sequence[Policy]) -> Json:
    target = {"name": _TARGET, "string_match": {"exact": inbound.name}}
    return {
        "match": {"prefix": "/", "headers": [target]},
        "route": {"cluster": inbound.cluster, "timeout": "0s"},
        "typed_per_filter_config": {
            "DENY": _rules(rbac(policies, "DENY", sees_http=inbound.is_waypoint)),
            "ALLOW": _rules(rbac(policies, "ALLOW", sees_http=inbound.is_waypoint)),
        },
    }


def _rules(rules: Json | None) -> Json:
    """Return what a route brings to a filter; without any rules the filter stands aside."""
    brought = {} if rules is None else {"rbac": {"rules": rules}}
    return envoy.extension(f"{_RBAC}PerRoute", **brought)["typed_config"]
