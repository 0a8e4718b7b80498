"""How requests arrive: at a listener for each port of a pod and of a waypoint, with its policies.

A Service on the mesh has a waypoint. The policies that target it decide by identity, port, method,
path and host. Each pod on the mesh has a ztunnel. The policies that select it decide by identity
and port. Before both of them, NetworkPolicies decide for the pod that gets the call, as a CNI does.

A question is a request with a header whose name only this run knows. All filters decide on it, but
it is not delivered. The headers of the answer give the decision.

All policies are in one route table. A listener finds its route by a header that it sets, so that a
new route also applies to open connections. A listener without a route lets no call through.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rehearsal.mesh import envoy
from rehearsal.mesh.authorization import ROOT_NAMESPACE, Policies, Policy, rbac
from rehearsal.mesh.egress import CLUSTER, DESTINATION
from rehearsal.mesh.envoy import Address, Json
from rehearsal.mesh.network import Isolation
from rehearsal.mesh.topology import Pod, Service, Topology

TABLE = "inbound"
"""The route table with all policies."""
_TARGET = "x-rehearsal-target"
_RBAC = "filters.http.rbac.v3.RBAC"
_DENY = {**envoy.extension(_RBAC), "name": "DENY"}
_ALLOW = {**envoy.extension(_RBAC, rules={"action": "ALLOW", "policies": {}}), "name": "ALLOW"}
"""Allows nothing unless the route has policies."""
_OPEN: Json = {"permissions": [{"any": True}], "principals": [{"any": True}]}
_NETWORK = {
    **envoy.extension(
        _RBAC,
        rules={"action": "ALLOW", "policies": {"not isolated": _OPEN}},
        rules_stat_prefix=envoy.NETWORK,
    ),
    "name": "NETWORK",
}
"""Allows anything unless the pod has policies, and names the policy that allows."""
# The filter writes a denial into the metadata only after the answer is made.
_SAYS_NOTHING: Json = {
    "metadata_filter": {
        "matcher": {
            "filter": envoy.RBAC,
            "path": [{"key": f"{envoy.NETWORK}enforced_engine_result"}],
            "value": {"string_match": {"exact": "denied"}},
        },
        "match_if_key_not_found": True,
    }
}
_NAME_NETWORK: Json = {
    "filter": {"and_filter": {"filters": [envoy.condition("response.code == 403"), _SAYS_NOTHING]}},
    "body": {"inline_string": "NetworkPolicy: access denied"},
}


_FROM_WAYPOINT = [Policy(ROOT_NAMESPACE, "allow-waypoint", "ALLOW", [], None)]
"""The policy that Istio adds for each pod behind a waypoint if it runs with the setting
PILOT_AUTO_ALLOW_WAYPOINT_POLICY, as Charmed Istio does. It allows calls from the waypoint. A pod
with any policy is closed to all other calls, so this policy closes the pod to them. It has no rule
here, because a waypoint calls the processes directly.
https://istio.io/latest/docs/reference/commands/pilot-discovery/#envvars
"""


@dataclass(frozen=True)
class Backend:
    """The processes of a pod at a port, with the rules of its NetworkPolicies."""

    cluster: str
    address: Address
    network: Json | None


@dataclass(frozen=True)
class Inbound:
    """One listener with its cluster and its policies.

    Attributes:
        filters: the rules of each filter that decides on identity.
        is_waypoint: whether it sees HTTP.
    """

    name: str
    address: Address
    backends: Sequence[Backend]
    filters: Json
    is_waypoint: bool = False


def read(topology: Topology, policies: Policies, isolation: Isolation) -> list[Inbound]:
    """Return the listeners of all pods, and of the Services that have a waypoint."""
    waypoints = [each for each in topology.services if each.ip and each.on_mesh]
    behind = {pod.ip for service in waypoints for pod in service.pods}
    pods: list[Inbound] = []
    for pod in topology.pods:
        deciding = _FROM_WAYPOINT if pod.ip in behind else []
        pods += _pod(pod, [*deciding, *policies.of_pod(pod)] if pod.on_mesh else [], isolation)
    backends = {pod.address: pod.backends[0] for pod in pods}
    services = (_waypoint(service, policies, backends) for service in waypoints)
    return [*pods, *chain.from_iterable(services)]


def _pod(pod: Pod, deciding: Sequence[Policy], isolation: Isolation) -> Iterator[Inbound]:
    filters = _filters(deciding, sees_http=False)
    for port in pod.ports:
        name = f"pod/{pod.namespace}/{pod.name}/{port}"
        backend = Backend(name, (pod.workload_ip, port), isolation.rules(pod, port))
        yield Inbound(name, (pod.ip, port), [backend], filters)


def _waypoint(
    service: Service, policies: Policies, pods: Mapping[Address, Backend]
) -> Iterator[Inbound]:
    deciding = policies.of_service(service.namespace, service.name)
    filters = _filters(deciding, sees_http=True)
    for port, target in service.ports.items():
        name = f"service/{service.namespace}/{service.name}/{port}"
        # Directly to the processes, since for the pods' policies the caller would be the waypoint.
        backends = [pods[pod.ip, target] for pod in service.ready]
        yield Inbound(name, (service.ip or "", port), backends, filters, is_waypoint=True)


def listener(inbound: Inbound, question: str, *, tls: bool) -> Json:
    """Return the listener, which knows a caller by its certificate alone.

    Args:
        inbound: the address, and the policies for it.
        question: the name of the header that makes a request a question.
        tls: whether callers may have certificates.
    """
    plain = {"filters": [_decide(inbound, question)]}
    if not tls:
        return envoy.listener(inbound.name, inbound.address, [plain])
    secure = {
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": envoy.server_tls(),
    }
    inspector = envoy.extension("filters.listener.tls_inspector.v3.TlsInspector")
    chains = [{**secure, **plain}, plain]
    return envoy.listener(inbound.name, inbound.address, chains, listener_filters=[inspector])


def _decide(inbound: Inbound, question: str) -> Json:
    return envoy.http(
        TABLE,
        {_TARGET: inbound.name},
        [_NETWORK, _DENY, _ALLOW, _stop(question)],
        envoy.access_log(inbound.name, f"!('{question}' in request.headers)"),
        # Istio's default: `/a/../b` is `/b`, and `//b` is not.
        # https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
        normalize_path=inbound.is_waypoint,
        local_reply_config={"mappers": [_answer(inbound.name, question), _NAME_NETWORK]},
    )


def _stop(question: str) -> Json:
    """Return the filter that answers a question if no filter before it has denied it."""
    return envoy.extension(
        "filters.http.fault.v3.HTTPFault",
        abort={"http_status": 200, "percentage": {"numerator": 100}},
        headers=[{"name": question, "present_match": True}],
    )


def _answer(listener: str, question: str) -> Json:
    """Return the setting that adds the decision to the answer to a question."""
    asked = {"header_filter": {"header": {"name": question, "present_match": True}}}
    return {"filter": asked, "headers_to_add": envoy.decision_headers(listener, f"{question}-")}


def clusters(inbounds: Sequence[Inbound]) -> list[Json]:
    """Return the clusters behind the listeners."""
    return [_cluster(inbound.backends[0]) for inbound in inbounds if not inbound.is_waypoint]


def _cluster(backend: Backend) -> Json:
    endpoint = {"endpoint": {"address": envoy.socket_address(backend.address)}}
    assignment = {"cluster_name": backend.cluster, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return envoy.cluster(backend.cluster, load_assignment=assignment)


def routes(inbounds: Sequence[Inbound], question: str) -> dict[str, Json]:
    """Return the route of each listener, on which the number in a question chooses the pod."""
    return {inbound.name: _route(inbound, question) for inbound in inbounds}


def tables(routes: Sequence[Json]) -> dict[str, list[Json]]:
    """Return the route table of all listeners, if there are any."""
    host = {"name": TABLE, "domains": ["*"], "routes": routes}
    table = envoy.route_table(TABLE, [host], remove=[CLUSTER, DESTINATION, _TARGET])
    return {TABLE: [table]} if routes else {}


def _route(inbound: Inbound, question: str) -> Json:
    target = {"name": _TARGET, "string_match": {"exact": inbound.name}}
    return {
        "match": {"prefix": "/", "headers": [target]},
        **_lead_to(inbound.backends, question),
        "typed_per_filter_config": inbound.filters,
    }


def _filters(policies: Sequence[Policy], *, sees_http: bool) -> Json:
    return {
        "DENY": _rules(rbac(policies, "DENY", sees_http=sees_http)),
        "ALLOW": _rules(rbac(policies, "ALLOW", sees_http=sees_http)),
    }


def _lead_to(backends: Sequence[Backend], question: str) -> Json:
    """Return the route to a random one of some pods, with its NetworkPolicies."""
    if not backends:
        return envoy.answer(503, "no pod of this Service is ready\n")
    chosen = [{"name": backend.cluster, "weight": 1, **_isolate(backend)} for backend in backends]
    clusters = {"clusters": chosen, "header_name": question}
    return {"route": {"weighted_clusters": clusters, "timeout": "0s"}}


def _isolate(backend: Backend) -> Json:
    if backend.network is None:
        return {}
    return {"typed_per_filter_config": {"NETWORK": _rules(backend.network)}}


def _rules(rules: Json | None) -> Json:
    """Return a route's configuration of a filter. Without rules it disables the filter."""
    brought = {} if rules is None else {"rbac": {"rules": rules}}
    return envoy.extension(f"{_RBAC}PerRoute", **brought)["typed_config"]
