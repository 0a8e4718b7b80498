"""Calls every endpoint of a producer and reports each result. Only the demo needs this module."""

import dataclasses
import json
import ssl
import time
from collections.abc import Sequence
from typing import Literal

import httpx

from databags import Producer

METRICS_PORT = 9090
DATA_PORT = 8080
TIMEOUT = 2.0
MAX_UNITS = 100


@dataclasses.dataclass(frozen=True)
class Call:
    """A call. `request` names it in the table, and `target` is an application or a unit."""

    request: str
    target: str
    method: str
    url: str


@dataclasses.dataclass(frozen=True)
class Row:
    """The result of a call: a status code, `denied`, `unreachable` or `timeout`."""

    request: str
    target: str
    result: str
    ms: float


def run(producer: Producer, transport: httpx.BaseTransport | None = None) -> list[Row]:
    """Make all calls and return their results.

    Without a transport, the calls go through the proxies that the environment names.

    A producer without a relation to this application does not publish its number of units.
    Kubernetes numbers them from 0 without gaps, so the first unit that is entirely unreachable,
    beyond the known ones, does not exist.
    """
    # A connection that one call opened must not decide the result of the next.
    limits = httpx.Limits(max_keepalive_connections=0)
    # All calls are plain HTTP. By default, httpx loads all public CAs, once for each proxy.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with httpx.Client(timeout=TIMEOUT, limits=limits, verify=tls, transport=transport) as client:
        rows = [observe(client, call) for call in service_calls(producer)]
        for number in range(MAX_UNITS):
            unit = [observe(client, call) for call in unit_calls(producer, number)]
            if number >= max(producer.units, 1) and {row.result for row in unit} == {"unreachable"}:
                break
            rows += unit
    return rows


def service_calls(producer: Producer) -> list[Call]:
    """Return the calls to the producer's Service, which a mesh decides by method and path."""
    host = f"{producer.app}.{producer.model}.svc.cluster.local"
    return [
        Call(f"{method} :{port}{path}", producer.app, method, f"http://{host}:{port}{path}")
        for method, port, path in (
            ("GET", METRICS_PORT, "/metrics"),
            ("GET", DATA_PORT, "/data"),
            ("POST", DATA_PORT, "/data"),
            ("GET", DATA_PORT, "/admin"),
        )
    ]


def unit_calls(producer: Producer, number: int) -> list[Call]:
    """Return the calls to a unit's own address, which a mesh decides by port alone."""
    app = producer.app
    host = f"{app}-{number}.{app}-endpoints.{producer.model}.svc.cluster.local"
    return [
        Call(f"unit :{port}", f"{app}/{number}", "GET", f"http://{host}:{port}{path}")
        for port, path in ((METRICS_PORT, "/metrics"), (DATA_PORT, "/data"))
    ]


def observe(client: httpx.Client, call: Call) -> Row:
    """Make one call and return its result."""
    start = time.perf_counter()
    outcome: httpx.Response | httpx.TransportError
    try:
        outcome = client.request(call.method, call.url)
    except httpx.TransportError as error:
        outcome = error
    ms = round((time.perf_counter() - start) * 1000, 1)
    return Row(call.request, call.target, classify(outcome), ms)


def classify(outcome: httpx.Response | httpx.TransportError) -> str:
    """Return the status code of a response, or the reason that the producer gave none.

    The producer itself never responds with 403 or 502 to 504, so these come from a proxy on the
    way. If a policy denies a call, Istio's waypoint responds with 403. Istio's ztunnel, which does
    not speak HTTP, drops the connection after accepting it. It also drops a connection to a closed
    port, so `denied` without a 403 is an interpretation and not a proof.
    """
    match outcome:
        case httpx.Response(status_code=502 | 503) | httpx.ConnectError():
            return "unreachable"
        case httpx.Response(status_code=504) | httpx.TimeoutException():
            return "timeout"
        case httpx.Response(status_code=403) | httpx.NetworkError() | httpx.RemoteProtocolError():
            return "denied"
        case httpx.Response():
            return str(outcome.status_code)
        case _:
            raise outcome


def results(rows: Sequence[Row], form: Literal["table", "json"]) -> dict[str, str]:
    """Return the rows as an action result: a table for people or JSON for scripts."""
    if form == "json":
        return {"rows": json.dumps([dataclasses.asdict(row) for row in rows])}
    return {"table": table(rows)}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    width = max(len(row.target) for row in rows)
    return "\n".join(
        f"{row.request:<18} {row.target:<{width}}  {row.result:<11} {row.ms:>7.1f} ms"
        for row in rows
    )
