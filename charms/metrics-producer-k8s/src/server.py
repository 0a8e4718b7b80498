"""The program in the producer's container: metrics on one port, a small JSON service on another.

It needs only the standard library and is set up by its environment: METRICS_PORT, DATA_PORT,
VERSION and, where not all interfaces are meant, BIND_ADDRESS.
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


class Answer(NamedTuple):
    """What a request gets: a status code, a body and its media type."""

    code: int
    body: str
    media_type: str


def in_json(code: int, content: object) -> Answer:
    """Return an answer that ends its line, as a terminal likes it."""
    return Answer(code, json.dumps(content) + "\n", "application/json")


class State:
    """What all requests share: the latest items posted, and how often each call was made."""

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


def metrics(_: str) -> Answer:
    """Render the counters in Prometheus' text format."""
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
    return Answer(200, "\n".join(lines) + "\n", "text/plain; version=0.0.4; charset=utf-8")


def read_items(_: str) -> Answer:
    """Return the items."""
    return in_json(200, {"items": list(STATE.items)})


def add_item(body: str) -> Answer:
    """Keep the body as one more item."""
    STATE.items.append(body)
    return in_json(201, {"items": len(STATE.items)})


def admin(_: str) -> Answer:
    """Return what only an administrator should see."""
    return in_json(200, {"process": os.getpid(), "calls": STATE.snapshot()})


def health(_: str) -> Answer:
    """Answer Pebble's check."""
    return in_json(200, {"version": os.environ["VERSION"]})


class Handler(http.server.BaseHTTPRequestHandler):
    """Looks a request up in the routes of its port."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one segment; else Nagle's algorithm holds the second back for 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 60
    routes: ClassVar[dict[tuple[str, str], Callable[[str], Answer]]] = {}

    def _handle(self) -> None:
        path = self.path.partition("?")[0]
        route = self.routes.get((self.command, path))
        # Paths are labels of a counter: those that nobody serves would grow without end.
        STATE.count(self.connection.getsockname()[1], self.command, path if route else "other")
        body = self._body()
        if body is None:
            self._send(in_json(400, {"error": "a body needs a length, below 100 kB"}))
        elif route is None:
            self._send(in_json(404, {"error": "no such call"}))
        else:
            self._send(route(body))

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 (the names are the base class's)

    def _body(self) -> str | None:
        """Return the body, or None where its end is not known and the connection has to end."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,5}", length):
            self.close_connection = True
            return None
        return self.rfile.read(int(length)).decode(errors="replace")

    def _send(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 (the signature is the base class's)
        """Print the one line that each request gets."""
        print(f"{self.client_address[0]} {self.requestline!r} {code}", flush=True)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 (the signature is the base class's)
        """Print nothing: `log_request` has the line."""


class MetricsHandler(Handler):
    """What a scraper calls."""

    routes: ClassVar = {("GET", "/metrics"): metrics}


class DataHandler(Handler):
    """What a reader of the data calls, and what only the mesh keeps it from calling."""

    routes: ClassVar = {
        ("GET", "/data"): read_items,
        ("POST", "/data"): add_item,
        ("GET", "/admin"): admin,
        ("GET", "/health"): health,
    }


class Server(socketserver.ThreadingTCPServer):
    """An HTTP server. Python's own asks the DNS for its name first, which can take seconds."""

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
