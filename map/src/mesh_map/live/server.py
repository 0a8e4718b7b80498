"""Serves the page and its events on a loopback address."""

import functools
import queue
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer

from mesh_map.live.board import Board

_BEAT = 5.0
"""Seconds between two signs of life, by which a page that was closed is noticed."""


class Server:
    """An HTTP server for one board, on a free port.

    Args:
        board: the board.
    """

    def __init__(self, board: Board) -> None:
        self._server = _HttpServer(board)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{self._server.host}/"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End all connections."""
        self._server.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    # A page whose events have no end would block the end of the server.
    block_on_close = False

    def __init__(self, board: Board) -> None:
        self.stopped = threading.Event()
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, board, self.stopped))
        self.host = f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def __init__(
        self,
        board: Board,
        stopped: threading.Event,
        request: socket.socket,
        address: tuple[str, int],
        server: BaseServer,
    ) -> None:
        self._board, self._stopped = board, stopped
        super().__init__(request, address, server)

    def do_GET(self) -> None:
        """Answer with the page or with its events."""
        port = self.connection.getsockname()[1]
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            # A page of another site must not read this one by a name of its own (DNS rebinding).
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._begin("text/html; charset=utf-8")
            self.wfile.write(self._board.page().encode())
        elif self.path == "/events":
            self._begin("text/event-stream")
            self._send_events()
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Log nothing, since the terminal is the user's."""

    def _begin(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def _send_events(self) -> None:
        """Send events until the page is closed or the server stops."""
        with self._board.events() as events:
            while not self._stopped.is_set():
                try:
                    event = events.get(timeout=_BEAT)
                except queue.Empty:
                    event = ": still here\n\n"
                try:
                    self.wfile.write(event.encode())
                except ConnectionError:
                    return
