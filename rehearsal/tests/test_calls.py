"""The calls that the rehearsal tries, by the objects on the Kubernetes API."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from rehearsal.kubernetes.store import Object, Store
from rehearsal.traffic.calls import Call, read
from rehearsal.traffic.observation import observe

Operation = dict[str, list[str]]

HOSTILE: list[Operation] = [
    {
        "paths": [
            "data",
            "a b",
            "\n",
            "\x00",
            "ü",
            "\ud800",
            "?",
            "#",
            "http://x/",
            "//x",
            "[",
            "%",
            "{",
        ]
    },
    {"notPaths": ["data", "*ü*"]},
    {"methods": ["CONNECT", "GET HTTP/1.1", "ü", "get", "\r\n", "TRACE", "OPTIONS", "HEAD"]},
    {"hosts": ["*", "ü", "a b", "http://x", "x:y"], "notHosts": ["\n"]},
    {"ports": ["80", "http", "-1", "0", "99999", "\u0663"]},
]
"""Operations with texts that no call can hold."""


class _Echo(socketserver.StreamRequestHandler):
    """Answers each request with 200."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@pytest.fixture
def echo() -> Iterator[str]:
    """Return the URL of a proxy that answers each request with 200."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield "http://{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


def cluster(*operations: Operation, ports: tuple[int, ...] = (80,), action: str = "ALLOW") -> Store:
    """Return a cluster with the Service `web`, its pod, and a policy for each operation."""
    store = Store()
    store.put(_object("Namespace", "m", None))
    numbered = [{"port": port, "protocol": "TCP"} for port in ports]
    spec = {"selector": {"app": "web"}, "clusterIP": "127.0.0.9", "ports": numbered}
    store.put(_object("Service", "web", "m") | {"spec": spec})
    pod: Object = _object("Pod", "web-0", "m") | {"spec": {}, "status": {"podIP": "127.0.0.8"}}
    pod["metadata"]["labels"] = {"app": "web"}
    store.put(pod)
    for number, operation in enumerate(operations):
        target = {"targetRefs": [{"kind": "Service", "name": "web"}]}
        rules = [{"to": [{"operation": operation}]}]
        policy = _object("AuthorizationPolicy", f"p{number}", "m")
        store.put(policy | {"spec": {**target, "action": action, "rules": rules}})
    return store


def _object(kind: str, name: str, namespace: str | None) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **place}}


def titles(store: Store) -> list[str]:
    return [call.title for call in read(store, "m")["web"]]


def test_an_open_port_without_a_policy_is_tried():
    assert titles(cluster(ports=(80, 81))) == ["GET :80 /", "GET :81 /", "unit :80", "unit :81"]


def test_juju_s_placeholder_is_no_port():
    assert read(cluster(ports=(65535,)), "m") == {"web": []}


def test_named_calls_and_their_variations_are_tried():
    store = cluster({"ports": ["80"], "methods": ["GET", "PUT"], "paths": ["/a"]})

    assert titles(store) == [
        "GET :80 /a",
        "PUT :80 /a",
        "POST :80 /a",
        "GET :80 /other",
        "unit :80",
    ]


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_a_policy_may_name_what_it_does_not_mean(action: str):
    store = cluster({"notPaths": ["/admin"], "notMethods": ["POST"]}, action=action)

    assert titles(store)[:2] == ["POST :80 /admin", "GET :80 /admin"]


def test_a_port_is_tried_with_and_without_a_name_in_policies():
    store = cluster({"ports": ["81"], "paths": ["/a"]}, {"paths": ["/b"]}, ports=(80, 81))
    named = [call.title for call in read(store, "m")["web"] if call.named]

    assert named == ["GET :80 /b", "GET :81 /a", "GET :81 /b"]


def test_a_port_that_a_policy_names_and_nobody_opened_is_tried():
    assert "GET :8080 /" in titles(cluster({"ports": ["8080"]}))


def test_a_port_that_is_no_number_is_left_to_the_mesh_to_refuse():
    assert titles(cluster({"ports": ["http"]})) == ["GET :80 /", "unit :80"]


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*", "/"),
        ("/api/*", "/api/any"),
        ("/api*", "/api"),
        ("*.json", "/any.json"),
        ("*/x", "/any/x"),
        ("/a/{*}/c", "/a/any/c"),
        ("/a/{**}", "/a/any"),
        ("data", "/data"),
        ("data*", "/data"),
        ("{*}", "/any"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/a?b#c", "/a%3Fb%23c"),
        ("/\n", "/%0A"),
        ("/ü", "/%C3%BC"),
        ("/\ud800", "/%3F"),
    ],
)
def test_a_pattern_is_tried_by_a_path_that_fits(pattern: str, path: str):
    assert titles(cluster({"paths": [pattern]}))[0] == f"GET :80 {path}"


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        ("*", "GET"),
        ("P*", "POST"),
        ("*T", "GET"),
        ("*E", "DELETE"),
        ("get", "GET"),
        ("REPORT", "REPORT"),
        ("GET /", "GET"),
        ("ü", "GET"),
    ],
)
def test_a_method_is_one_that_a_client_can_send(pattern: str, method: str):
    assert titles(cluster({"methods": [pattern]}))[0] == f"{method} :80 /"


@pytest.mark.parametrize("ports", [["\u00b2"], ["0"], ["65536"], ["999999"], []])
def test_a_port_that_no_call_can_have_is_left_out(ports: list[str]):
    assert {call.port for call in read(cluster({"ports": ports}), "m")["web"]} == {80}


def test_a_path_of_any_length_is_survived():
    assert titles(cluster({"paths": ["/" + "a" * 70_000]})) == ["GET :80 /", "unit :80"]


@pytest.mark.parametrize("operation", HOSTILE, ids=str)
def test_no_policy_stops_the_calls(echo: str, operation: Operation):
    calls = read(cluster(operation), "m")["web"]

    observed = observe({"caller": echo}, calls)

    assert set(observed.values()) == {"200"}


@pytest.mark.parametrize(("name", "tried"), [("web", "GET :80 /a"), ("other", "GET :80 /")])
def test_the_older_targetref_is_read(name: str, tried: str):
    store = cluster()
    rules = [{"to": [{"operation": {"paths": ["/a"]}}]}]
    spec = {"targetRef": {"kind": "Service", "name": name}, "rules": rules}
    store.put(_object("AuthorizationPolicy", "older", "m") | {"spec": spec})

    assert titles(store)[0] == tried


def test_the_other_path_is_one_that_is_not_named():
    assert "GET :80 /other2" in titles(cluster({"paths": ["/other"]}))


def test_a_unit_is_called_at_its_address_with_a_known_path():
    calls = read(cluster({"paths": ["/a"]}), "m")["web"]

    assert calls[0].urls == ["http://web:80/a"]
    assert calls[-1] == Call("web", 80, "GET", "/a", pods=("127.0.0.8",))
    assert calls[-1].urls == ["http://127.0.0.8:80/a"]


@pytest.mark.parametrize(
    ("label", "tried"), [("web", ["unit :80", "unit :90"]), ("other", ["unit :80"])]
)
def test_a_unit_is_called_at_the_ports_of_its_policies(label: str, tried: list[str]):
    store = cluster()
    rules = [{"to": [{"operation": {"ports": ["90"]}}]}]
    spec = {"selector": {"matchLabels": {"app": label}}, "rules": rules}
    store.put(_object("AuthorizationPolicy", "of-units", "m") | {"spec": spec})

    assert titles(store)[1:] == tried


def test_other_models_are_left_alone():
    assert read(cluster(), "other") == {}
