"""Which calls are tried, by what stands on the Kubernetes API."""

import pytest

from rehearsal.kubernetes.store import Object, Store
from rehearsal.traffic.calls import Call, read

Operation = dict[str, list[str]]


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


def test_what_a_policy_names_is_tried_and_so_is_another_method_and_another_path():
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


def test_a_port_is_tried_for_what_names_it_and_for_what_names_none():
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
    ],
)
def test_a_pattern_is_tried_by_a_path_that_fits(pattern: str, path: str):
    assert titles(cluster({"paths": [pattern]}))[0] == f"GET :80 {path}"


def test_the_other_path_is_one_that_is_not_named():
    assert "GET :80 /other2" in titles(cluster({"paths": ["/other"]}))


def test_a_unit_is_called_at_its_own_address_with_a_path_that_is_there():
    calls = read(cluster({"paths": ["/a"]}), "m")["web"]

    assert calls[0].urls == ["http://web:80/a"]
    assert calls[-1] == Call("web", 80, "GET", "/a", pods=("127.0.0.8",))
    assert calls[-1].urls == ["http://127.0.0.8:80/a"]


@pytest.mark.parametrize(
    ("label", "tried"), [("web", ["unit :80", "unit :90"]), ("other", ["unit :80"])]
)
def test_a_unit_is_called_at_the_ports_that_a_policy_names_for_it(label: str, tried: list[str]):
    store = cluster()
    rules = [{"to": [{"operation": {"ports": ["90"]}}]}]
    spec = {"selector": {"matchLabels": {"app": label}}, "rules": rules}
    store.put(_object("AuthorizationPolicy", "of-units", "m") | {"spec": spec})

    assert titles(store)[1:] == tried


def test_other_models_are_left_alone():
    assert read(cluster(), "other") == {}
