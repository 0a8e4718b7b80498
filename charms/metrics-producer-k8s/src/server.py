"""The program in the producer's container: metrics on one port, a small JSON service on another.

It needs only the standard library. Environment variables configure it: METRICS_PORT, DATA_PORT,
VERSION and optionally BIND_ADDRESS, without which it listens on all interfaces.
"""

import collections
import http.server
import json
import os
import re
import signal
import socketserver
import threading
from collections.abc import Callable
from typing import ClassVar, NamedTuple


class Response(NamedTuple):
    """A response to a request."""

    code: int
    body: str
    media_type: str


def json_response(code: int, content: object) -> Response:
    """Return the content as JSON, with a newline at the end for terminals."""
    return Response(code, json.dumps(content) + "\n", "application/json")


class State:
    """The state that all requests share: the latest items, and the number of calls of each kind."""

    def __init__(self) -> None:
        self.items: collections.deque[str] = collections.deque(maxlen=100)
        self.calls: collections.Counter[tuple[int, str, str]] = collections.Counter()
        self._lock = threading.Lock()

    def count(self, port: int, method: str, path: str) -> None:
        """Count one call."""
        with self._lock:
            self.calls[port, method, path] += 1

    def snapshot(self) -> list[tuple[int, str, str, int]]:
        """Return port, method, path and number of the calls so far, sorted."""
        with self._lock:
            return sorted((*call, number) for call, number in self.calls.items())


STATE = State()


def metrics(_: str) -> Response:
    """Return the counters in the text format of Prometheus."""
    lines = [
        "# HELP producer_requests_total Requests that reached this unit.",
        "# TYPE producer_requests_total counter",
        *(
            f'producer_requests_total{{port="{port}",method="{method}",path="{path}"}} {number}'
            for port, method, path, number in STATE.snapshot()
        ),
        "# HELP producer_items Items that this unit holds.",
        "# TYPE producer_items gauge",
        f"producer_items {len(STATE.items)}",
        "# HELP producer_build_info The version of the program.",
        "# TYPE producer_build_info gauge",
        f'producer_build_info{{version="{os.environ["VERSION"]}"}} 1',
    ]
    return Response(200, "\n".join(lines) + "\n", "text/plain; version=0.0.4; charset=utf-8")


def read_items(_: str) -> Response:
    """Return the items."""
    return json_response(200, {"items": list(STATE.items)})


def add_item(body: str) -> Response:
    """Add the body as an item."""
    STATE.items.append(body)
    return json_response(201, {"items": len(STATE.items)})


def admin(_: str) -> Response:
    """Return details for administrators. No policy of the charm allows this call."""
    return json_response(200, {"process": os.getpid(), "calls": STATE.snapshot()})


def health(_: str) -> Response:
    """Return the version. Pebble's health check calls this."""
    return json_response(200, {"version": os.environ["VERSION"]})


class Handler(http.server.BaseHTTPRequestHandler):
    """Passes each request to the function that its port has for the method and path."""

    protocol_version = "HTTP/1.1"
    # Send headers and body in one segment; else Nagle's algorithm delays the body by 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60
    routes: ClassVar[dict[tuple[str, str], Callable[[str], Response]]] = {}

    def _handle(self) -> None:
        path = self.path.partition("?")[0]
        route = self.routes.get((self.command, path))
        # Unknown paths share one label, as a counter for each would grow without end.
        STATE.count(self.connection.getsockname()[1], self.command, path if route else "other")
        body = self._body()
        if body is None:
            error = "the request body needs a Content-Length below 100 kB"
            self._send(json_response(400, {"error": error}))
        elif route is None:
            self._send(json_response(404, {"error": f"{self.command} {path} is not served here"}))
        else:
            self._send(route(body))

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 (the names are the base class's)

    def _body(self) -> str | None:
        """Return the body, or None if its length is unknown and the connection has to be closed."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,5}", length):
            self.close_connection = True
            return None
        return self.rfile.read(int(length)).decode(errors="replace")

    def _send(self, response: Response) -> None:
        body = response.body.encode()
        self.send_response(response.code)
        self.send_header("Content-Type", response.media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 (the signature is the base class's)
        """Print one line for each request."""
        print(f"{self.client_address[0]} {self.requestline!r} {code}", flush=True)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 (the signature is the base class's)
        """Print nothing, as `log_request` prints a line for errors, too."""


class MetricsHandler(Handler):
    """Serves the metrics."""

    routes: ClassVar = {("GET", "/metrics"): metrics}


class DataHandler(Handler):
    """Serves the data. It answers all callers, so only the mesh can deny a call."""

    routes: ClassVar = {
        ("GET", "/data"): read_items,
        ("POST", "/data"): add_item,
        ("GET", "/admin"): admin,
        ("GET", "/health"): health,
    }


class Server(socketserver.ThreadingTCPServer):
    """An HTTP server that starts without the DNS lookup of http.server, which can take seconds."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    address = os.environ.get("BIND_ADDRESS", "")
    for port, handler in (("METRICS_PORT", MetricsHandler), ("DATA_PORT", DataHandler)):
        server = Server((address, int(os.environ[port])), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
