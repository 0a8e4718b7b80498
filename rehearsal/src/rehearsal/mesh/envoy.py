"""The parts of Envoy's configuration that egress and inbound share.

Paths are relative: Envoy runs in the folder of its files. The words are those of
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.mesh.identity import Authority, Certificate

Json = dict[str, Any]
Address = tuple[str, int]

ACCESS_LOG = "access.log"
ADMIN, WORKER = "admin.sock", "worker.sock"
CLUSTERS, LISTENERS = "clusters", "listeners"
"""Names of the two files besides those of the route tables."""

CDS, LDS, RDS = "cluster_manager.cds", "listener_manager.lds", "http.mesh.rds"
"""Names of statistics: of the files with clusters, with listeners, and with each route table."""

RBAC, NETWORK = "envoy.filters.http.rbac", "network_"
"""The metadata of the filters, and the prefix of the keys of the filter for NetworkPolicies."""
_ROOT, _SERVER = "root", "server"
_LIMITS = {"re2.max_program_size.error_level": 32768}
"""Istio's limit for regular expressions; by Envoy's own, two long names are too many."""
_TYPE = "type.googleapis.com/envoy"
_LOG_FORMAT = {
    "time": "%START_TIME%",
    "principal": "%DOWNSTREAM_PEER_URI_SAN%",
    "source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "destination": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(:PATH)%",
    "code": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "network_policy": f"%DYNAMIC_METADATA({RBAC}:{NETWORK}enforced_effective_policy_id)%",
    "policy": f"%DYNAMIC_METADATA({RBAC}:enforced_effective_policy_id)%",
}

_DECISION = ("principal", "details", "network_policy", "policy")
"""The fields of the log with the caller and the reason for the answer."""


def bootstrap(authority: Authority | None) -> Json:
    """Return Envoy's first configuration, which names the files with the rest."""
    kept = [{"prefix": prefix} for prefix in ("cluster_manager.", "listener_manager.", RDS)]
    return {
        # The other statistics would take most of the memory, and most of each answer.
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": kept}}},
        "static_resources": {
            "secrets": _secrets(authority) if authority else [],
            "listeners": [_worker()],
        },
        "node": {"id": "rehearsal", "cluster": "rehearsal"},
        "admin": {"address": {"pipe": {"path": ADMIN, "mode": 0o600}}},
        "dynamic_resources": {"lds_config": _file(LISTENERS), "cds_config": _file(CLUSTERS)},
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": _LIMITS}]},
    }


def _worker() -> Json:
    """Return a listener that answers each request, and so shows that the worker thread is free."""
    route = {"match": {"prefix": "/"}, **answer(200, "")}
    host = {"name": "worker", "domains": ["*"], "routes": [route]}
    kind = "filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = extension("filters.http.router.v3.Router")
    manager = extension(
        kind, stat_prefix="worker", route_config={"virtual_hosts": [host]}, http_filters=[router]
    )
    address = {"pipe": {"path": WORKER, "mode": 0o600}}
    return {"name": "worker", "address": address, "filter_chains": [{"filters": [manager]}]}


def _secrets(authority: Authority) -> list[Json]:
    trust = {"trusted_ca": {"inline_string": authority.root}}
    return [
        {"name": _ROOT, "validation_context": trust},
        {"name": _SERVER, "tls_certificate": _pair(authority.server)},
    ]


def extension(kind: str, **config: Any) -> Json:
    """Return the configuration of an extension of Envoy."""
    return {"name": kind, "typed_config": {"@type": f"{_TYPE}.extensions.{kind}", **config}}


def listener(name: str, address: Address, chains: Sequence[Json], **more: Any) -> Json:
    """Return a listener; each chain is for one kind of connections."""
    kind = f"{_TYPE}.config.listener.v3.Listener"
    where = socket_address(address)
    return {"@type": kind, "name": name, "address": where, "filter_chains": chains, **more}


def cluster(name: str, **more: Any) -> Json:
    """Return a cluster."""
    kind = f"{_TYPE}.config.cluster.v3.Cluster"
    return {"@type": kind, "name": name, "connect_timeout": "2s", **more}


def route_table(name: str, hosts: Sequence[Json], remove: Sequence[str]) -> Json:
    """Return a route table, past which the headers in `remove` do not get."""
    return {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": hosts,
        "request_headers_to_remove": remove,
    }


def http(
    table: str, headers: Mapping[str, str], filters: Sequence[Json], log: Json, **more: Any
) -> Json:
    """Return the filter that serves HTTP.

    Args:
        table: the name of its route table.
        headers: headers that replace those of the client before a filter sees the request.
        filters: look at each request before it goes out.
        log: its access log.
        more: further settings.
    """
    # Remove the headers by which a client could give orders to Envoy.
    steering = {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}}
    mutations = [steering, *({"append": header(*item)} for item in headers.items())]
    mutation = "http.early_header_mutation.header_mutation.v3.HeaderMutation"
    router = extension("filters.http.router.v3.Router", suppress_envoy_headers=True)
    return extension(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="mesh",
        rds={"route_config_name": table, "config_source": _file(table)},
        early_header_mutation_extensions=[extension(mutation, mutations=mutations)],
        http_filters=[*filters, router],
        access_log=[log],
        http_protocol_options={"accept_http_10": True},
        generate_request_id=False,
        stream_idle_timeout="0s",
        **more,
    )


def access_log(listener: str, which: str = "true") -> Json:
    """Return the log of a listener's requests, or of those that meet a condition in CEL."""
    log_format = {"json_format": {"listener": listener, **_LOG_FORMAT}}
    file = extension("access_loggers.file.v3.FileAccessLog", path=ACCESS_LOG, log_format=log_format)
    return {**file, "filter": condition(which)}


def decision_headers(listener: str, prefix: str) -> list[Json]:
    """Return response headers with the decision on a request, in the words of the access log."""
    formats = {"listener": listener, **{name: _LOG_FORMAT[name] for name in _DECISION}}
    return [header(prefix + name, text) for name, text in formats.items()]


def condition(expression: str) -> Json:
    """Return a condition on a request and its answer, in CEL."""
    kind = "access_loggers.filters.cel.v3.ExpressionFilter"
    return {"extension_filter": extension(kind, expression=expression)}


def answer(status: int, body: str) -> Json:
    """Return a route that answers without a destination."""
    source = {"text_format_source": {"inline_string": body}}
    return {"direct_response": {"status": status, "body_format": source}}


def header(name: str, value: str) -> Json:
    """Return the setting that adds a header, or replaces it."""
    action = "OVERWRITE_IF_EXISTS_OR_ADD"
    return {"header": {"key": name, "value": value}, "append_action": action}


def socket_address(address: Address) -> Json:
    """Return an address as Envoy takes it."""
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def client_tls(certificate: Certificate) -> Json:
    """Return the client's side of TLS."""
    return _tls("Upstream", {"tls_certificates": [_pair(certificate)]})


def server_tls() -> Json:
    """Return the server's side of TLS, which verifies a certificate but does not require one."""
    common = {"tls_certificate_sds_secret_configs": [{"name": _SERVER}]}
    return _tls("Downstream", common, require_client_certificate=False)


def _tls(side: str, common: Json, **more: Any) -> Json:
    trust = {"validation_context_sds_secret_config": {"name": _ROOT}}
    kind = f"transport_sockets.tls.v3.{side}TlsContext"
    return extension(kind, common_tls_context={**common, **trust}, **more)


def _pair(certificate: Certificate) -> Json:
    chain, key = ({"inline_string": pem} for pem in certificate)
    return {"certificate_chain": chain, "private_key": key}


def _file(name: str) -> Json:
    return {"path_config_source": {"path": f"./{name}.json"}}
