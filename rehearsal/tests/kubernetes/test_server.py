"""The server around the API: connections, tokens, the log, and injected failures."""

import socket

import httpx
import pytest

from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.server import Entry, Handle, Server
from rehearsal.kubernetes.status import StatusError
from rehearsal.kubernetes.store import Store
from tests.kubernetes.kube import ConfigMap, Connect, Kube, RefusedError, names, outcome
from tests.kubernetes.objects import (
    binding,
    config_map,
    role,
    rule,
    service_account,
)

PATH = "/api/v1/namespaces/demo/configmaps"
SCRAPER = {"kind": "ServiceAccount", "namespace": "demo", "name": "scraper"}


@pytest.fixture
def http(admin: Kube) -> httpx.Client:
    """A plain HTTP client with the admin's token."""
    return admin.http


@pytest.fixture
def scraper(store: Store, connect: Connect) -> Kube:
    """The service account scraper, which may get ConfigMaps."""
    store.put(config_map("a", "demo"))
    store.put(service_account("scraper", "demo"))
    store.put(role("Role", "scraper", rule("get", "", "configmaps"), place="demo"))
    store.put(binding("RoleBinding", "scraper", "Role", SCRAPER, "demo"))
    return connect("scraper")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer guessed", "Basic YWRtaW46"])
def test_an_unknown_token_is_refused(http: httpx.Client, authorization: str) -> None:
    answer = http.post(PATH, headers={"Authorization": authorization}, json={})

    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"
    assert http.get("/version").json()["gitVersion"].startswith("v1.")


def test_a_token_acts_as_its_service_account(scraper: Kube) -> None:
    assert outcome(lambda: scraper.get(ConfigMap, "a")) == 200
    assert outcome(lambda: scraper.delete(ConfigMap, "a")) == 403


@pytest.mark.parametrize(("scheme", "code"), [("bearer", 200), ("BEARER", 200), ("Token", 401)])
def test_the_scheme_of_a_token_may_be_in_small_letters(
    scraper: Kube, scheme: str, code: int
) -> None:
    """Python's client of Kubernetes writes it so, inside of a pod."""
    token = scraper.http.headers["Authorization"].split()[1]

    answer = scraper.http.get(
        scraper.path(ConfigMap, "a"), headers={"Authorization": f"{scheme} {token}"}
    )

    assert answer.status_code == code


def test_a_token_ends_with_its_service_account(store: Store, scraper: Kube) -> None:
    before = outcome(lambda: scraper.get(ConfigMap, "a"))

    store.delete("ServiceAccount", "demo", "scraper")

    assert (before, outcome(lambda: scraper.get(ConfigMap, "a"))) == (200, 401)


def test_a_right_to_impersonate_acts_as_another_user(store: Store, scraper: Kube) -> None:
    producer = {"Impersonate-User": "system:serviceaccount:demo:producer"}
    path = scraper.path(ConfigMap, "a")

    def refusal() -> str:
        return scraper.http.get(path, headers=producer).json()["message"]

    assert refusal() == (
        'serviceaccounts "producer" is forbidden: User "system:serviceaccount:demo:scraper" cannot'
        ' impersonate resource "serviceaccounts" in API group "" in the namespace "demo"'
    )
    allowed = rule("get impersonate", "", "configmaps serviceaccounts")
    store.put(role("Role", "scraper", allowed, place="demo"))

    assert 'User "system:serviceaccount:demo:producer" cannot get' in refusal()


def test_methods_that_a_resource_lacks_are_refused(http: httpx.Client) -> None:
    requests = (("POST", f"{PATH}/a"), ("PUT", PATH), ("PATCH", PATH))
    codes = [http.request(method, path, json={}).status_code for method, path in requests]

    assert codes == [405, 405, 405]
    assert http.get("/nowhere").text == "404 page not found\n"


def test_a_watch_from_a_discarded_version_is_gone(http: httpx.Client, store: Store) -> None:
    for number in range(10_001):
        store.put(config_map("a", "demo", number=str(number)))

    events = http.get(PATH, params={"watch": "1", "resourceVersion": "1"}).json()

    assert (events["type"], events["object"]["code"]) == ("ERROR", 410)


def test_a_watch_ends_when_the_server_stops(store: Store) -> None:
    server = Server(store, "127.0.0.1", 0)
    server.start()
    client = Kube(server.kubeconfig("demo"), "demo")
    with client.http as http, http.stream("GET", PATH, params={"watch": "1"}) as watch:
        server.stop()
        ended = watch.read()

    assert ended == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))


def test_the_log_has_each_request_with_its_user_and_code(
    server: Server, admin: Kube, scraper: Kube
) -> None:
    admin.create(config_map("b"))
    outcome(lambda: scraper.delete(ConfigMap, "a"))

    assert server.log == [
        Entry("admin", "create", "configmaps", "demo", None, 201),
        Entry("system:serviceaccount:demo:scraper", "delete", "configmaps", "demo", "a", 403),
    ]


def test_a_request_can_be_made_to_fail_before_it_takes_effect(
    server: Server, admin: Kube, store: Store
) -> None:
    def busy(_request: Request, _handle: Handle) -> Answer:
        raise StatusError(429, "TooManyRequests", "try again later")

    server.around = busy
    with pytest.raises(RefusedError, match="try again later"):
        admin.create(config_map("a"))

    assert store.list("ConfigMap") == []
    assert [entry.code for entry in server.log] == [429]


def test_a_connection_can_drop_after_the_effect(
    server: Server, http: httpx.Client, store: Store
) -> None:
    def drop(request: Request, handle: Handle) -> Answer:
        handle(request)
        raise ConnectionAbortedError

    server.around = drop
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(PATH, json={"metadata": {"name": "a"}})

    assert names(store.list("ConfigMap")) == ["a"]
    assert [entry.code for entry in server.log] == [0]
