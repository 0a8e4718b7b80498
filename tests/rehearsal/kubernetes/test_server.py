"""The server around the API: connections, tokens, the log, failures on purpose, and kubectl."""

import shutil
import socket
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from lightkube import ApiError
from lightkube.resources.core_v1 import ConfigMap

from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.server import Entry, Handle, Server
from rehearsal.kubernetes.status import StatusError
from rehearsal.kubernetes.store import Store
from tests.rehearsal.kubernetes.kube import (
    Connect,
    Kube,
    config_map,
    names,
    outcome,
    service_account,
)

PATH = "/api/v1/namespaces/demo/configmaps"


def connection(server: Server) -> httpx.Client:
    """Return a plain HTTP client with the admin's token."""
    config = yaml.safe_load(server.kubeconfig("demo"))
    authority = b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    return httpx.Client(
        base_url=server.url,
        headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
        verify=ssl.create_default_context(cadata=authority.decode()),
        trust_env=False,
    )


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with connection(server) as client:
        yield client


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer guessed", "Basic YWRtaW46"])
def test_who_is_not_known_gets_nothing(http: httpx.Client, authorization: str) -> None:
    answer = http.post(PATH, headers={"Authorization": authorization}, json={})

    assert answer.status_code == 401
    assert answer.json()["reason"] == "Unauthorized"
    assert http.get("/version").json()["gitVersion"].startswith("v1.")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/apis/none.io/v1/things", 404),
        ("GET", "/nowhere", 404),
        ("POST", f"{PATH}/a", 405),
        ("PUT", PATH, 405),
        ("GET", f"{PATH}/a/status", 501),
        ("POST", f"{PATH}?dryRun=All", 501),
        ("POST", PATH, 400),
    ],
)
def test_what_makes_no_sense_is_refused(
    http: httpx.Client, method: str, path: str, code: int
) -> None:
    assert http.request(method, path, content="{").status_code == code


def test_an_object_must_be_what_its_url_says(http: httpx.Client) -> None:
    codes = [
        http.post(PATH, json={"metadata": {"name": "a"}, **wrong}).status_code
        for wrong in (
            {"kind": "Secret"},
            {"apiVersion": "v2"},
            {"metadata": {"namespace": "other"}},
        )
    ]

    assert codes == [400, 400, 400]
    assert http.post(PATH, json={"metadata": {"name": "a"}}).status_code == 201


@pytest.mark.parametrize("wrong", [{"data": {"count": 1}}, {"data": ["a"]}, {"metadata": []}])
def test_an_object_that_cannot_be_decoded_is_refused(
    http: httpx.Client, wrong: dict[str, object]
) -> None:
    answer = http.post(PATH, json={"metadata": {"name": "a"}, **wrong})

    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")


def test_a_collection_is_deleted_by_its_labels(http: httpx.Client, store: Store) -> None:
    for name in ("a", "b"):
        http.post(PATH, json={"metadata": {"name": name, "labels": {"name": name}}})

    http.delete(PATH, params={"labelSelector": "name=a"})

    assert names(store.list("ConfigMap")) == ["b"]


def test_a_delete_keeps_to_its_preconditions(http: httpx.Client) -> None:
    uid = http.post(PATH, json={"metadata": {"name": "a"}}).json()["metadata"]["uid"]

    def delete(uid: str) -> int:
        options = {"preconditions": {"uid": uid}}
        return http.request("DELETE", f"{PATH}/a", json=options).status_code

    assert [delete("another"), delete(uid)] == [409, 200]


def test_a_watch_from_a_forgotten_version_says_that_it_is_gone(
    http: httpx.Client, store: Store
) -> None:
    for number in range(10_001):
        store.put(config_map("a", number=str(number)))

    events = http.get(PATH, params={"watch": "1", "resourceVersion": "1"}).json()

    assert (events["type"], events["object"]["code"]) == ("ERROR", 410)


def test_a_watch_ends_when_its_time_is_over(http: httpx.Client) -> None:
    answer = http.get(PATH, params={"watch": "1", "timeoutSeconds": "0"})

    assert (answer.status_code, answer.text) == (200, "")


def test_a_watch_ends_when_the_server_stops(store: Store) -> None:
    server = Server(store, "127.0.0.1", 0)
    server.start()
    with connection(server) as http, http.stream("GET", PATH, params={"watch": "1"}) as watch:
        server.stop()
        ended = watch.read()

    assert ended == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))


def test_the_log_has_each_request_with_its_user_and_code(
    server: Server, store: Store, connect: Connect, admin: Kube
) -> None:
    store.put(service_account("scraper"))

    admin.create(config_map("a"))
    outcome(lambda: connect("scraper").get(ConfigMap, "a"))

    assert server.log == [
        Entry("admin", "create", "configmaps", "demo", None, 201),
        Entry("system:serviceaccount:demo:scraper", "get", "configmaps", "demo", "a", 403),
    ]


def test_a_request_can_be_made_to_fail_before_it_takes_effect(
    server: Server, admin: Kube, store: Store
) -> None:
    def busy(_request: Request, _handle: Handle) -> Answer:
        raise StatusError(429, "TooManyRequests", "try again later")

    server.around = busy
    with pytest.raises(ApiError, match="try again later"):
        admin.create(config_map("a"))

    assert store.list("ConfigMap") == []
    assert [entry.code for entry in server.log] == [429]


def test_a_connection_can_be_dropped_after_the_request_took_effect(
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


MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web, namespace: demo}
spec:
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: %s, ports: [{containerPort: 80}]}]}
"""


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_kubectl_works(server: Server, store: Store, tmp_path: Path) -> None:
    kubeconfig, manifest = tmp_path / "config", tmp_path / "manifest.yaml"
    kubeconfig.write_text(server.kubeconfig("demo"))

    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {"KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        command = [str(shutil.which("kubectl")), *arguments]
        return subprocess.run(command, env=env, text=True, capture_output=True, check=False)

    def apply(image: str) -> str:
        manifest.write_text(MANIFEST % image)
        return kubectl("apply", "--validate=false", "-f", str(manifest)).stdout

    assert [apply(image) for image in ("one", "one", "two")] == [
        "statefulset.apps/web created\n",
        "statefulset.apps/web unchanged\n",
        "statefulset.apps/web configured\n",
    ]
    assert "labeled" in kubectl("label", "sts", "web", "tier=mesh").stdout
    assert "web" in kubectl("get", "all").stdout
    assert "does not do protobuf" in kubectl("create", "serviceaccount", "web").stderr
    assert "web" in kubectl("get", "pods,svc,sts", "-A", "-l", "tier=mesh").stdout
    assert "web" not in kubectl("get", "sts", "-A", "-l", "tier=other").stdout
    described = kubectl("describe", "sts", "web").stdout
    assert all(text in described for text in ("tier=mesh", "Image:", "two"))
    assert kubectl("delete", "sts", "web").returncode == 0
    assert "NotFound" in kubectl("get", "sts", "web").stderr
    assert store.list("StatefulSet") == []
