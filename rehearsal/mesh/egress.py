"""How requests leave a pod: by a listener and a cluster of its own, to where a name leads.

The cluster holds the pod's certificate and goes to the address that the route table of the pod's
namespace found. Which cluster and which address travel in headers, set over what a client sent.
"""

import base64
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

from rehearsal.addresses import EGRESS_PORT
from rehearsal.mesh import envoy
from rehearsal.mesh.envoy import Json
from rehearsal.mesh.identity import Authority
from rehearsal.mesh.topology import Pod, Service, Topology

USER = "unit"
"""The user name that goes with a pod's token."""
CLUSTER, DESTINATION = "x-rehearsal-cluster", "x-rehearsal-destination"

_Ips = tuple[str, ...]

_ASK_FOR_TOKEN: Json = {
    "filter": envoy.condition("response.code_details.startsWith('rbac_access_denied')"),
    "status_code": 407,
    "body": {"inline_string": "this proxy is for the processes of one pod, by its token\n"},
    "headers_to_add": [envoy.header("proxy-authenticate", 'Basic realm="mesh"')],
}


def listeners(topology: Topology, token: Callable[[str, str], str]) -> list[Json]:
    """Return a listener for each pod, for who has the token of its namespace and name."""
    return [_listener(pod, token(pod.namespace, pod.name)) for pod in topology.pods]


def clusters(topology: Topology, authority: Authority) -> list[Json]:
    """Return a cluster for each pod, with its certificate if it is on the mesh."""
    return [_cluster(pod, authority) for pod in topology.pods]


def tables(topology: Topology) -> list[Json]:
    """Return a route table for each namespace that has pods."""
    namespaces = sorted({pod.namespace for pod in topology.pods})
    return [_table(namespace, topology) for namespace in namespaces]


def _listener(pod: Pod, token: str) -> Json:
    credentials = base64.b64encode(f"{USER}:{token}".encode()).decode()
    known = {"name": "proxy-authorization", "string_match": {"exact": f"Basic {credentials}"}}
    policy = {"permissions": [{"header": known}], "principals": [{"any": True}]}
    rules = {"action": "ALLOW", "policies": {"token": policy}}
    manager = envoy.http(
        _table_name(pod.namespace),
        {CLUSTER: _name(pod)},
        [envoy.extension("filters.http.rbac.v3.RBAC", rules=rules)],
        # What was let through is logged where it arrives.
        envoy.access_log(_name(pod), "response.code_details != 'via_upstream'"),
        upgrade_configs=[{"upgrade_type": "CONNECT"}],
        local_reply_config={"mappers": [_ASK_FOR_TOKEN]},
    )
    return envoy.listener(_name(pod), (pod.ip, EGRESS_PORT), [{"filters": [manager]}])


def _cluster(pod: Pod, authority: Authority) -> Json:
    tls = {"transport_socket": envoy.client_tls(authority.certificate(pod.principal))}
    return envoy.cluster(
        _name(pod),
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        original_dst_lb_config={"use_http_header": True, "http_header_name": DESTINATION},
        upstream_bind_config={"source_address": {"address": pod.ip, "port_value": 0}},
        **(tls if pod.on_mesh else {}),
    )


def _table(namespace: str, topology: Topology) -> Json:
    spellings: defaultdict[tuple[_Ips, int], list[str]] = defaultdict(list)
    for (name, port), ips in dict(_names(namespace, topology)).items():
        spellings[ips, port] += [f"{name}:{port}", name] if port == 80 else [f"{name}:{port}"]
    hosts = [_host(names, _lead_to(ips, port)) for (ips, port), names in spellings.items()]
    hosts += [_host(["*"], _answer(502, "no Service and no pod is %REQ(:AUTHORITY)%\n"))]
    remove = ["proxy-authorization", "proxy-connection"]
    return envoy.route_table(_table_name(namespace), hosts, remove)


def _names(namespace: str, topology: Topology) -> Iterator[tuple[tuple[str, int], _Ips]]:
    """Yield each name and port that pods of a namespace can call, and the addresses behind it.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
    """
    for one in (*topology.pods, *topology.services):
        if one.ip:
            yield from (((one.ip, port), (one.ip,)) for port in one.ports)
    for service in topology.services:
        for name, ips, ports in _destinations(service):
            full = f"{name}.{service.namespace}"
            names = [full, f"{full}.svc", f"{full}.svc.cluster.local"]
            own = [name] if service.namespace == namespace else []
            yield from (((spelling, port), ips) for spelling in own + names for port in ports)


def _destinations(service: Service) -> Iterator[tuple[str, _Ips, Collection[int]]]:
    """Yield what a Service gives a name to: itself, or if it is headless its pods, all and each."""
    if service.ip:
        yield service.name, (service.ip,), service.ports
        return
    ports = {port for pod in service.pods for port in pod.ports}
    yield service.name, tuple(pod.ip for pod in service.pods), ports
    for pod in service.pods:
        yield f"{pod.name}.{service.name}", (pod.ip,), pod.ports


def _host(names: Sequence[str], route: Json) -> Json:
    no_tunnel = _answer(501, "CONNECT is not served: nothing could decide on what is inside\n")
    routes: list[Json] = [
        {"match": {"connect_matcher": {}}, **no_tunnel},
        {"match": {"prefix": "/"}, **route},
    ]
    return {"name": names[0], "domains": names, "routes": routes}


def _lead_to(ips: _Ips, port: int) -> Json:
    """Return the route to one of some addresses, chosen at random."""
    destinations = [
        {
            "cluster_header": CLUSTER,
            "weight": 1,
            "request_headers_to_add": [envoy.header(DESTINATION, f"{ip}:{port}")],
        }
        for ip in ips
    ]
    return {"route": {"weighted_clusters": {"clusters": destinations}, "timeout": "0s"}}


def _answer(status: int, body: str) -> Json:
    source = {"text_format_source": {"inline_string": body}}
    return {"direct_response": {"status": status, "body_format": source}}


def _name(pod: Pod) -> str:
    return f"egress/{pod.namespace}/{pod.name}"


def _table_name(namespace: str) -> str:
    return f"egress-{namespace}"
