"""The calls that the probe makes, and its results."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ops import testing

import probe
from charm import ScraperCharm
from databags import Producer

Context = testing.Context[ScraperCharm]

SERVICE = "http://producer.demo.svc.cluster.local"
UNIT = "http://producer-{}.producer-endpoints.demo.svc.cluster.local"


def network(units: int, answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    """Return a transport that reaches a producer with this number of units."""

    def handle(request: httpx.Request) -> httpx.Response:
        host = request.url.host
        known = {"producer"} | {f"producer-{number}" for number in range(units)}
        if host.partition(".")[0] not in known:
            raise httpx.ConnectError("Name or service not known")
        return answer(request)

    return httpx.MockTransport(handle)


def test_calls_the_service_and_each_unit():
    calls: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append((request.method, str(request.url)))
        return httpx.Response(200)

    rows = probe.run(Producer("producer", "demo"), network(2, answer))

    assert calls == [
        ("GET", f"{SERVICE}:9090/metrics"),
        ("GET", f"{SERVICE}:8080/data"),
        ("POST", f"{SERVICE}:8080/data"),
        ("GET", f"{SERVICE}:8080/admin"),
        ("GET", f"{UNIT.format(0)}:9090/metrics"),
        ("GET", f"{UNIT.format(0)}:8080/data"),
        ("GET", f"{UNIT.format(1)}:9090/metrics"),
        ("GET", f"{UNIT.format(1)}:8080/data"),
    ]
    assert [(row.request, row.target) for row in rows] == [
        ("GET :9090/metrics", "producer"),
        ("GET :8080/data", "producer"),
        ("POST :8080/data", "producer"),
        ("GET :8080/admin", "producer"),
        ("unit :9090", "producer/0"),
        ("unit :8080", "producer/0"),
        ("unit :9090", "producer/1"),
        ("unit :8080", "producer/1"),
    ]


@pytest.mark.parametrize(
    ("known", "shown"), [(1, {"producer/0"}), (2, {"producer/0", "producer/1"})]
)
def test_known_unit_is_listed_even_if_unreachable(known: int, shown: set[str]):
    transport = network(1, lambda _: httpx.Response(200))

    rows = probe.run(Producer("producer", "demo", known), transport)

    assert {row.target for row in rows if "/" in row.target} == shown


def test_missing_producer_is_unreachable():
    transport = network(0, lambda _: httpx.Response(200))

    rows = probe.run(Producer("nobody", "demo"), transport)

    assert {row.result for row in rows} == {"unreachable"}
    assert rows[-1].target == "nobody/0"


def test_calls_do_without_public_cas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    rows = probe.run(Producer("producer", "demo"))

    assert {row.result for row in rows} == {"unreachable"}


def test_stops_after_100_units_if_a_proxy_denies_any_name():
    transport = httpx.MockTransport(lambda _: httpx.Response(403))

    rows = probe.run(Producer("producer", "demo"), transport)

    assert len(rows) == 4 + 2 * probe.MAX_UNITS


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (httpx.Response(200), "200"),
        (httpx.Response(404), "404"),
        (httpx.Response(500), "500"),
        (httpx.Response(403), "denied"),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), "denied"),
        (httpx.ReadError("Connection reset by peer"), "denied"),
        (httpx.WriteError("Broken pipe"), "denied"),
        (httpx.ConnectError("Name or service not known"), "unreachable"),
        (httpx.Response(502), "unreachable"),
        (httpx.Response(503), "unreachable"),
        (httpx.Response(504), "timeout"),
        (httpx.ConnectTimeout("timed out"), "timeout"),
        (httpx.ReadTimeout("timed out"), "timeout"),
    ],
)
def test_result_of_each_outcome(outcome: httpx.Response | httpx.TransportError, result: str):
    assert probe.classify(outcome) == result


def test_error_of_the_probe_itself_is_raised():
    with pytest.raises(httpx.UnsupportedProtocol):
        probe.classify(httpx.UnsupportedProtocol("ftp"))


def test_table_is_aligned():
    rows = [
        probe.Row("GET :9090/metrics", "producer", "200", 3.14),
        probe.Row("unit :8080", "producer/10", "unreachable", 2000.0),
    ]

    assert probe.table(rows) == (
        "GET :9090/metrics  producer     200             3.1 ms\n"
        "unit :8080         producer/10  unreachable  2000.0 ms"
    )


RELATED = {
    "metrics": {
        "scrape_metadata": json.dumps({"application": "producer", "model": "elsewhere"}),
    },
    "data": {"url": json.dumps("http://producer.elsewhere.svc.cluster.local:8080/data")},
}


@pytest.mark.parametrize("endpoint", ["metrics", "data"])
@pytest.mark.parametrize(
    ("params", "app", "model"),
    [
        ({}, "producer", "elsewhere"),
        ({"app": "other"}, "other", "demo"),
        ({"app": "other", "model": "far"}, "other", "far"),
    ],
)
def test_action_probes_the_named_or_related_producer(
    context: Context,
    container: testing.Container,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    params: dict[str, str],
    app: str,
    model: str,
):
    relation = testing.Relation(
        endpoint, remote_app_name="alias", remote_app_data=RELATED[endpoint]
    )
    state = testing.State(
        model=testing.Model(name="demo"), containers=[container], relations=[relation]
    )
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nothing listens there

    context.run(context.on.action("probe", params), state)

    results = context.action_results or {}
    assert results.keys() == {"app", "model", "table"}
    assert (results["app"], results["model"]) == (app, model)
    assert all("unreachable" in line for line in results["table"].splitlines())


def test_action_returns_json_instead_of_the_table(
    context: Context, container: testing.Container, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nothing listens there
    state = testing.State(model=testing.Model(name="demo"), containers=[container])

    context.run(context.on.action("probe", {"app": "producer", "format": "json"}), state)

    results = context.action_results or {}
    assert results.keys() == {"app", "model", "rows"}
    rows = json.loads(results["rows"])
    assert {row["result"] for row in rows} == {"unreachable"}
    assert rows[0].keys() == {"request", "target", "result", "ms"}


def test_action_sends_no_log_of_its_requests_to_juju(
    context: Context, container: testing.Container, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # nothing listens there
    state = testing.State(model=testing.Model(name="demo"), containers=[container])

    context.run(context.on.action("probe", {"app": "producer"}), state)

    assert [line for line in context.juju_log if "connect_tcp" in line.message] == []


def test_action_rejects_another_format(context: Context, container: testing.Container):
    action = context.on.action("probe", {"app": "producer", "format": "xml"})

    with pytest.raises(testing.ActionFailed, match="'table' or 'json'"):
        context.run(action, testing.State(containers=[container]))
