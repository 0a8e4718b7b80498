"""A fake Kubernetes API for the requests that the charm makes, over real HTTP."""

import http.server
import json
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]


_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


@dataclass
class Cluster:
    """The objects of a cluster, and the requests that it refuses.

    Attributes:
        pods: the labels of an application's pods, without its name, by `model/application`.
        authorization_policies: the AuthorizationPolicies by name.
        network_policies: the NetworkPolicies by name.
        has_istio: whether Istio has defined AuthorizationPolicies.
        running: the programs of Istio that have a running pod.
        trusts: whether the charm may read and write policies.
        private: the models in which the charm may not list pods.
        fails: whether every request for policies fails with 500.
        deletes_early: whether somebody else deletes each policy shortly before the charm does.
        writes_left: the number of writes after which every write fails, if there is one.
    """

    pods: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    authorization_policies: dict[str, Object] = field(default_factory=dict[str, Object])
    network_policies: dict[str, Object] = field(default_factory=dict[str, Object])
    has_istio: bool = True
    running: frozenset[str] = frozenset({"istiod", "ztunnel"})
    trusts: bool = True
    private: frozenset[str] = frozenset()
    fails: bool = False
    deletes_early: bool = False
    writes_left: int | None = None

    def answer(self, method: str, url: str, body: bytes) -> tuple[int, Object | None]:
        """Return the status and the body of the answer. An unknown kind has no body."""
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if path == "/api/v1/pods":
            return self._list_istio(query["labelSelector"][0], query["fieldSelector"][0])
        if path.endswith("/pods"):
            return self._list_pods(path.split("/")[-2], query.get("labelSelector", [""])[0])
        if "authorizationpolicies" in path and not self.has_istio:
            return 404, None
        for refused, code in ((self._is_down(method), 500), (not self.trusts, 403)):
            if refused:
                return _status(code)
        kind = self.network_policies if "networkpolicies" in path else self.authorization_policies
        return self._policies(kind, method, path.rpartition("/")[2], query, body)

    def _is_down(self, method: str) -> bool:
        if self.fails or method == "GET" or self.writes_left is None:
            return self.fails
        self.writes_left -= 1
        return self.writes_left < 0

    def _list_istio(self, labels: str, fields: str) -> tuple[int, Object]:
        """Return the pods of Istio, all of which are running."""
        if not self.trusts:
            return _status(403)
        found = (
            self.running & {labels.removeprefix("app=")} if fields == "status.phase=Running" else ()
        )
        return 200, {"items": [{"metadata": {"name": name}} for name in found]}

    def _list_pods(self, model: str, selector: str) -> tuple[int, Object]:
        if model in self.private:
            return _status(403)
        wanted = dict(pair.split("=") for pair in selector.split(",") if "=" in pair)
        found = [
            {"metadata": {"name": app, "labels": {"app.kubernetes.io/name": app, **labels}}}
            for place, labels in self.pods.items()
            for namespace, app in [place.split("/")]
            if namespace == model and wanted.items() <= labels.items()
        ]
        return 200, {"items": found}

    def _policies(
        self,
        kind: dict[str, Object],
        method: str,
        name: str,
        query: Mapping[str, list[str]],
        body: bytes,
    ) -> tuple[int, Object]:
        if method == "GET":
            return 200, {"items": list(kind.values())}
        if method == "DELETE":
            del kind[name]
            return _status(404, "NotFound") if self.deletes_early else (200, {"kind": "Status"})
        policy: Object = json.loads(body)
        if kind.get(name, policy) != policy and query.get("force") != ["true"]:
            return _status(409)  # a conflict with another field manager
        if not all(map(_VALUE.fullmatch, _label_values(policy["spec"]))):
            return _status(422)
        kind[name] = policy
        return 200, policy


def _status(code: int, reason: str = "") -> tuple[int, Object]:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": "no"}


def _label_values(spec: Any) -> list[str]:
    """Return the values in all selectors, which Kubernetes validates."""
    if isinstance(spec, list):
        return [value for each in cast("list[Any]", spec) for value in _label_values(each)]
    if not isinstance(spec, dict):
        return []
    items = cast("Object", spec).items()
    own = [value for key, values in items if key == "matchLabels" for value in values.values()]
    return own + [value for _, each in items for value in _label_values(each)]


@contextmanager
def served(cluster: Cluster) -> Generator[Object]:
    """Serve the cluster, and yield a kubeconfig for it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        wbufsize = -1

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, found = cluster.answer(self.command, self.path, body)
            answer = json.dumps(found).encode() if found else b"404 page not found\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if found else "text/plain")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PATCH = do_DELETE = _handle  # noqa: N815 (the base class defines these names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class defines it)
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
        yield _kubeconfig(listener.server_port)
        listener.shutdown()


def _kubeconfig(port: int) -> Object:
    return {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {}}],
    }
