"""An HTTPS server for loopback whose threads do not keep the process alive."""

import contextlib
import json
import socket
import socketserver
import ssl
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from rehearsal.kubernetes.requests import Answer
from rehearsal.kubernetes.store import Object


class HttpsServer(socketserver.ThreadingTCPServer):
    """Passes each request and its body to `answer`, and keeps connections open between requests."""

    daemon_threads = True

    def __init__(
        self,
        listener: socket.socket,
        answer: Callable[["Handler", bytes], Answer],
        tls: ssl.SSLContext,
    ) -> None:
        self.answer = answer
        self._tls = tls
        self._connections: set[socket.socket] = set()
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        connection, address = super().get_request()
        # The handshake waits for the client, so the thread that first reads does it.
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections.add(wrapped)
        return wrapped, address

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, unless it is a client that went away."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """End all connections, each after its thread has written its answer."""
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):  # closed meanwhile by its own thread
                # SSLSocket.shutdown would end the encryption for a thread that still writes.
                socket.socket.shutdown(connection, socket.SHUT_RD)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: HttpsServer  # pyright: ignore[reportIncompatibleVariableOverride] (it has no other)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        answer = self.server.answer(self, body)
        if isinstance(answer.body, str):
            self._send(answer.code, "text/plain; charset=utf-8", answer.body)
        elif isinstance(answer.body, dict):
            self._send(answer.code, "application/json", json.dumps(answer.body))
        else:
            self._stream(answer.code, answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (http.server's names)

    def _send(self, code: int, content_type: str, text: str) -> None:
        content = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, code: int, events: Iterator[Object]) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name in the base class)
        """Print nothing, since the server has a log of its own."""
