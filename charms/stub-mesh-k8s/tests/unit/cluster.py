"""A cluster as far as the charm sees it, over real HTTP."""

import http.server
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]


@dataclass
class Cluster:
    """Pods by application, policies by name, and what the cluster refuses."""

    pods: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    policies: dict[str, Object] = field(default_factory=dict[str, Object])
    knows_istio: bool = True
    trusts: bool = True
    fails: bool = False

    def answer(self, method: str, url: str, body: bytes) -> tuple[int, Object | None]:
        """Return what the API answers; of a kind that it does not know, nothing in JSON."""
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if path.endswith("/pods"):
            return 200, {"items": self._selected(query.get("labelSelector", [""])[0])}
        if not self.knows_istio:
            return 404, None
        for refused, code in ((self.fails, 500), (not self.trusts, 403)):
            if refused:
                return code, {"kind": "Status", "code": code, "message": "no"}
        return 200, self._policies(method, path.rpartition("/")[2], body)

    def _selected(self, selector: str) -> list[Object]:
        wanted = dict(pair.split("=") for pair in selector.split(",") if pair)
        return [
            {"metadata": {"name": app, "labels": {"app.kubernetes.io/name": app, **labels}}}
            for app, labels in self.pods.items()
            if wanted.items() <= labels.items()
        ]

    def _policies(self, method: str, name: str, body: bytes) -> Object:
        match method:
            case "PATCH":
                self.policies[name] = json.loads(body)
                return self.policies[name]
            case "DELETE":
                del self.policies[name]
                return {"kind": "Status", "status": "Success"}
            case _:
                return {"items": list(self.policies.values())}


@contextmanager
def served(cluster: Cluster) -> Generator[Object]:
    """Serve the cluster, and yield the kubeconfig that leads there."""

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

        do_GET = do_PATCH = do_DELETE = _handle  # noqa: N815 (the names are the base class's)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's)
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
