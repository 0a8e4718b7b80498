"""A cluster on a mesh: objects in a store, servers behind a real Envoy, calls between them."""

import http.client
import itertools
import json
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

from rehearsal.kubernetes.store import Object, Store
from rehearsal.machine.addresses import EGRESS_PORT, Network, workload_address
from rehearsal.mesh.mesh import Mesh

AMBIENT = {"istio.io/dataplane-mode": "ambient"}
APP = "app.kubernetes.io/name"
PORTS = (8080, 9090)
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """The answer to a call."""

    status: int
    body: str
    headers: dict[str, str]

    @property
    def request(self) -> dict[str, Any]:
        """The request, as the server saw it: `at`, its address, and `headers`."""
        return json.loads(self.body)


@dataclass(frozen=True)
class App:
    """An application as Juju puts it there: a Service, a headless Service, pods."""

    namespace: str
    name: str
    ip: str
    pods: Sequence[str]

    @property
    def principal(self) -> str:
        return f"cluster.local/ns/{self.namespace}/sa/{self.name}"


class Cluster:
    """Adds applications and policies, and calls them as a pod does."""

    def __init__(self, store: Store, mesh: Mesh) -> None:
        self.store = store
        self.mesh = mesh
        self._network = Network()
        self._numbers = itertools.count()
        self._servers: list[_Server] = []

    @contextmanager
    def namespace(self, name: str = "", **labels: str) -> Generator[str]:
        """Add a namespace, by default one that no other test uses, and delete it in the end."""
        name = name or f"model-{next(self._numbers)}"
        metadata = {"name": name, "labels": labels}
        self.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield name
        self.store.delete("Namespace", None, name)

    def app(
        self,
        namespace: str,
        name: str,
        *,
        labels: dict[str, str] = AMBIENT,
        service_labels: dict[str, str] | None = None,
        units: int = 1,
    ) -> App:
        """Add an application; its Service carries the labels of its pods unless told otherwise."""
        ip = self._network.next_service()
        on_service = labels if service_labels is None else service_labels
        self._service(namespace, name, ip, on_service)
        self._service(namespace, f"{name}-endpoints", "None", {})
        pods = [self._pod(namespace, name, number, labels) for number in range(units)]
        return App(namespace, name, ip, pods)

    def policy(self, namespace: str, spec: Object, name: str = "policy") -> None:
        """Put an AuthorizationPolicy, and wait until it is in force."""
        metadata = {"namespace": namespace, "name": name}
        kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
        self.store.put({**kind, "metadata": metadata, "spec": spec})
        self.mesh.settle()

    def network_policy(self, namespace: str, spec: Object, name: str = "policy") -> None:
        """Put a NetworkPolicy, and wait until it is in force."""
        metadata = {"namespace": namespace, "name": name}
        kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
        self.store.put({**kind, "metadata": metadata, "spec": spec})
        self.mesh.settle()

    def label(self, app: App, labels: dict[str, str]) -> None:
        """Give an application's pods these labels for the mesh instead of theirs."""
        for number in range(len(app.pods)):
            pod = self.store.get("Pod", app.namespace, f"{app.name}-{number}")
            assert pod
            pod["metadata"]["labels"] = {APP: app.name, **labels}
            self.store.put(pod)
        self.mesh.settle()

    def token(self, app: App, unit: int = 0) -> str:
        """Return the credentials for the egress proxy of an application's pod."""
        url = urlsplit(self.mesh.environment(app.namespace, f"{app.name}-{unit}")["http_proxy"])
        return "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode()

    def call(
        self, caller: App, url: str, method: str = "GET", headers: Headers = (), unit: int = 0
    ) -> Answer:
        """Call a URL, unchanged, from an application's pod."""
        with closing(proxy(caller, unit)) as connection:
            token = ("proxy-authorization", self.token(caller, unit))
            return send(connection, method, url, [token, *headers])

    def logged(self, path: str, count: int) -> Sequence[dict[str, object]]:
        """Return the access log of calls of a path, once Envoy has written it."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            lines = self.mesh.access_log.read_text().splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith("\n")]
            if len(found := [entry for entry in whole if entry["path"] == path]) == count:
                return found
            time.sleep(0.02)
        raise TimeoutError(path)

    def close(self) -> None:
        """Stop the servers and leave the addresses to others."""
        self._network.close()
        with ThreadPoolExecutor(100) as pool:  # each takes until its next look whether to stop
            pool.map(_Server.stop, self._servers)

    def _service(self, namespace: str, name: str, ip: str, labels: dict[str, str]) -> None:
        selector = {APP: name.removesuffix("-endpoints")}
        ports = [{"port": port} for port in PORTS] + [{"port": 80, "targetPort": 8080}]
        spec = {"clusterIP": ip, "selector": selector, "ports": ports}
        metadata = {"namespace": namespace, "name": name, "labels": labels}
        self.store.put({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})

    def _pod(self, namespace: str, app: str, number: int, labels: dict[str, str]) -> str:
        ip = self._network.next_pod()
        self._servers += [_serve(workload_address(ip), port) for port in PORTS]
        name = f"{app}-{number}"
        labels = {APP: app, "statefulset.kubernetes.io/pod-name": name, **labels}
        self.store.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"namespace": namespace, "name": name, "labels": labels},
                "spec": {"serviceAccountName": app, "containers": []},
                "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
            }
        )
        return ip


@contextmanager
def running(**options: Any) -> Generator[Cluster]:
    """Run a mesh with these options, on a cluster that has nothing yet."""
    store = Store()
    with tempfile.TemporaryDirectory() as directory:  # shorter than tmp_path: it holds a socket
        mesh = Mesh(store, Path(directory), **options)
        cluster = Cluster(store, mesh)
        try:
            mesh.start()
            yield cluster
        finally:
            mesh.stop()
            cluster.close()


def proxy(app: App, unit: int = 0) -> http.client.HTTPConnection:
    """Return a connection to the egress proxy of an application's pod."""
    return http.client.HTTPConnection(app.pods[unit], EGRESS_PORT)


def send(
    connection: http.client.HTTPConnection, method: str, url: str, headers: Headers = ()
) -> Answer:
    """Send a request with a URL as it is; the connection stays open."""
    connection.putrequest(method, url, skip_host=bool(urlsplit(url).netloc))
    if host := urlsplit(url).netloc:
        connection.putheader("host", host)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    return Answer(response.status, response.read().decode(), dict(response.getheaders()))


class _Echo(BaseHTTPRequestHandler):
    """Answers with the request itself."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        headers = list(self.headers.items())
        came_in = {"at": self.connection.getsockname()[0], "headers": headers}
        body = json.dumps(came_in).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Say nothing."""


class _Server(ThreadingTCPServer):
    """Not the one of http.server, which asks the DNS for the name of its address."""

    allow_reuse_address = True
    daemon_threads = True

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def _serve(ip: str, port: int) -> _Server:
    server = _Server((ip, port), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
