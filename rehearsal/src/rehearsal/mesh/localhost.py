"""How requests to `localhost` reach the processes of the pod that makes them.

All pods share one machine, so the loopback address itself leads to no pod in particular. The proxy
of a pod therefore sends requests for `localhost` to the address of the pod's own processes. As in a
real pod, no policy decides about them.
"""

from rehearsal.mesh import envoy
from rehearsal.mesh.envoy import Json
from rehearsal.mesh.topology import Pod

_NAMES = ("localhost", "127.0.0.1")
_CLUSTER = "localhost"
_METADATA = "rehearsal.localhost"
_WITH_PORT, _WITHOUT_PORT = "with-port", "without-port"


def find_processes(pod: Pod) -> Json:
    """Return the filter that stores the address to which a request for `localhost` goes."""
    names = "|".join(name.replace(".", r"\.") for name in _NAMES)
    rules = [
        _rule(_WITH_PORT, rf"^({names}):(\d+)$", rf"{pod.workload_ip}:\2"),
        _rule(_WITHOUT_PORT, rf"^({names})$", f"{pod.workload_ip}:80"),
    ]
    return envoy.extension("filters.http.header_to_metadata.v3.Config", request_rules=rules)


def _rule(key: str, regex: str, substitution: str) -> Json:
    rewrite = {"pattern": {"regex": regex}, "substitution": substitution}
    found = {"metadata_namespace": _METADATA, "key": key, "regex_value_rewrite": rewrite}
    return {"header": ":authority", "on_header_present": found, "remove": False}


def hosts(destination: str) -> list[Json]:
    """Return the hosts of a route table for `localhost`; a header takes the address."""
    return [
        _host([f"{name}:*" for name in _NAMES], destination, _WITH_PORT),
        _host(_NAMES, destination, _WITHOUT_PORT),
    ]


def _host(domains: "list[str] | tuple[str, ...]", destination: str, key: str) -> Json:
    address = envoy.header(destination, f"%DYNAMIC_METADATA({_METADATA}:{key})%")
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": _CLUSTER, "timeout": "0s"},
        "request_headers_to_add": [address],
    }
    return {"name": f"localhost {key}", "domains": list(domains), "routes": [route]}


def cluster(destination: str) -> Json:
    """Return the cluster that goes to the address in a header, without a certificate."""
    return envoy.cluster(
        _CLUSTER,
        type="ORIGINAL_DST",
        lb_policy="CLUSTER_PROVIDED",
        original_dst_lb_config={"use_http_header": True, "http_header_name": destination},
    )
