"""How requests leave a pod: by a listener and a cluster of its own, to the address of a name.

The cluster holds the pod's certificate and goes to the address that the route table of the pod's
namespace found. Two headers name the cluster and the address; Envoy overwrites those of a client.
"""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from rehearsal.machine.addresses import EGRESS_PORT
from rehearsal.mesh import envoy, localhost
from rehearsal.mesh.envoy import Address, Json
from rehearsal.mesh.identity import Authority
from rehearsal.mesh.topology import Pod, Service, Topology

USER = "unit"
"""The user name that goes with a pod's token."""
CLUSTER, DESTINATION = "x-rehearsal-cluster", "x-rehearsal-destination"

_Destinations = tuple[Address, ...]

_ASK_FOR_TOKEN: Json = {
    "filter": envoy.condition("response.code_details.startsWith('rbac_access_denied')"),
    "status_code": 407,
    "body": {"inline_string": "this proxy is for the processes of one pod, by its token\n"},
    "headers_to_add": [envoy.header("proxy-authenticate", 'Basic realm="mesh"')],
}


def listeners(topology: Topology, token: Callable[[str, str], str]) -> list[Json]:
    """Return a listener for each pod, for callers with the token of its namespace and name."""
    return [_listener(pod, token(pod.namespace, pod.name)) for pod in topology.pods]


def clusters(topology: Topology, authority: Authority | None) -> list[Json]:
    """Return a cluster for localhost, and one for each pod, with its certificate on the mesh."""
    return [localhost.cluster(DESTINATION), *(_cluster(pod, authority) for pod in topology.pods)]


def tables(topology: Topology, question: str) -> dict[str, Json]:
    """Return the route tables: in each namespace one for pods on the mesh, one for those off it.

    The number in the header of a question chooses the pod, if a route leads to several.
    """
    kinds = sorted({(pod.namespace, pod.on_mesh) for pod in topology.pods})
    return {_table_name(*kind): _table(*kind, topology, question) for kind in kinds}


def _listener(pod: Pod, token: str) -> Json:
    credentials = base64.b64encode(f"{USER}:{token}".encode()).decode()
    known = {"name": "proxy-authorization", "string_match": {"exact": f"Basic {credentials}"}}
    policy = {"permissions": [{"header": known}], "principals": [{"any": True}]}
    rules = {"action": "ALLOW", "policies": {"token": policy}}
    manager = envoy.http(
        _table_name(pod.namespace, pod.on_mesh),
        {CLUSTER: _name(pod)},
        [envoy.extension("filters.http.rbac.v3.RBAC", rules=rules), localhost.find_processes(pod)],
        # The listener at which a request arrives logs the others.
        envoy.access_log(_name(pod), "response.code_details != 'via_upstream'"),
        upgrade_configs=[{"upgrade_type": "CONNECT"}],
        local_reply_config={"mappers": [_ASK_FOR_TOKEN]},
    )
    return envoy.listener(_name(pod), (pod.ip, EGRESS_PORT), [{"filters": [manager]}])


def _cluster(pod: Pod, authority: Authority | None) -> Json:
    tls: Json = {}
    if authority and pod.on_mesh:
        tls["transport_socket"] = envoy.client_tls(authority.certificate(pod.principal))
    return envoy.cluster(
        _name(pod),
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        original_dst_lb_config={"use_http_header": True, "http_header_name": DESTINATION},
        upstream_bind_config={"source_address": {"address": pod.ip, "port_value": 0}},
        **tls,
    )


def _table(namespace: str, on_mesh: bool, topology: Topology, question: str) -> Json:
    spellings: defaultdict[_Destinations, list[str]] = defaultdict(list)
    for (name, port), destinations in dict(_names(namespace, on_mesh, topology)).items():
        spellings[destinations] += [f"{name}:{port}", name] if port == 80 else [f"{name}:{port}"]
    routes = {destinations: _lead_to(destinations, question) for destinations in spellings}
    hosts = [_host(names, routes[destinations]) for destinations, names in spellings.items()]
    nobody = envoy.answer(502, "no Service and no pod listens at %REQ(:AUTHORITY)%\n")
    hosts += [*localhost.hosts(DESTINATION), _host(["*"], nobody)]
    remove = ["proxy-authorization", "proxy-connection"]
    return envoy.route_table(_table_name(namespace, on_mesh), hosts, remove)


def _names(
    namespace: str, on_mesh: bool, topology: Topology
) -> Iterator[tuple[tuple[str, int], _Destinations]]:
    """Yield each name and port that pods of a namespace can call, and the addresses behind it.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
    """
    for pod in topology.pods:
        yield from (((pod.ip, port), ((pod.ip, port),)) for port in pod.ports)
    for service in topology.services:
        for name, port, destinations in _destinations(service, on_mesh):
            full = f"{name}.{service.namespace}"
            own = [name] if service.namespace == namespace else []
            for spelling in (*own, full, f"{full}.svc", f"{full}.svc.cluster.local"):
                yield (spelling, port), destinations
            if service.ip:
                yield (service.ip, port), destinations


def _destinations(service: Service, on_mesh: bool) -> Iterator[tuple[str, int, _Destinations]]:
    """Yield each address that a Service's names lead to, with its port.

    If the caller and the Service are on the mesh, that is the waypoint. Otherwise it is a pod that
    is ready, as with kube-proxy. A headless Service has a name for all its pods and one for each.
    https://istio.io/latest/docs/ambient/usage/waypoint/
    """
    if service.ip:
        for port, target in service.ports.items():
            pods = tuple((pod.ip, target) for pod in service.ready)
            uses_waypoint = on_mesh and service.on_mesh
            yield service.name, port, ((service.ip, port),) if uses_waypoint else pods
        return
    for port in {port for pod in service.pods for port in pod.ports}:
        yield service.name, port, tuple((pod.ip, port) for pod in service.pods)
    for pod in service.pods:
        for port in pod.ports:
            yield f"{pod.name}.{service.name}", port, ((pod.ip, port),)


def _host(names: Sequence[str], route: Json) -> Json:
    no_tunnel = envoy.answer(501, "CONNECT is not served: nothing could decide on what is inside\n")
    routes: list[Json] = [
        {"match": {"connect_matcher": {}}, **no_tunnel},
        {"match": {"prefix": "/"}, **route},
    ]
    return {"name": names[0], "domains": names, "routes": routes}


def _lead_to(destinations: _Destinations, question: str) -> Json:
    """Return the route to one of some addresses, chosen at random."""
    if not destinations:
        return envoy.answer(503, "no pod of this Service is ready\n")
    chosen = [
        {
            "cluster_header": CLUSTER,
            "weight": 1,
            "request_headers_to_add": [envoy.header(DESTINATION, f"{ip}:{port}")],
        }
        for ip, port in destinations
    ]
    clusters = {"clusters": chosen, "header_name": question}
    return {"route": {"weighted_clusters": clusters, "timeout": "0s"}}


def _name(pod: Pod) -> str:
    return f"egress/{pod.namespace}/{pod.name}"


def _table_name(namespace: str, on_mesh: bool) -> str:
    return f"egress_{namespace}_{'on' if on_mesh else 'off'}"
