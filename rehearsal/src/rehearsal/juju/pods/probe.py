"""HTTP and TCP checks of a container, made in the network of its processes."""

import functools
import socket
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import client
from typing import Any
from urllib.parse import urlsplit

_LOCAL = ("localhost", "127.0.0.1")
MakeSocket = Callable[[], socket.socket]
"""Returns a TCP socket that reaches the processes."""


@dataclass(frozen=True)
class Probe:
    """Finds out whether the processes of a container answer.

    Attributes:
        address: the address at which they listen.
        make_socket: returns a socket that reaches them.
    """

    address: str
    make_socket: MakeSocket

    def answers(self, http: Mapping[str, Any], timeout: float) -> bool:
        """Return whether an HTTP check succeeds."""
        no_proxy = urllib.request.ProxyHandler({})
        https = urllib.request.HTTPSHandler(context=_tls())
        opener = urllib.request.build_opener(no_proxy, https, _Handler(self.make_socket))
        headers = http.get("headers", {})
        try:
            request = urllib.request.Request(self._here(http["url"]), headers=headers)  # noqa: S310 - the charm's own URL
            with opener.open(request, timeout=timeout) as response:
                return 200 <= response.status < 300
        except (OSError, ValueError, client.HTTPException):  # or no HTTP, or no URL
            return False

    def listens(self, tcp: Mapping[str, Any], timeout: float) -> bool:
        """Return whether a TCP check succeeds."""
        host = tcp.get("host", "localhost")
        try:
            with self.make_socket() as connection:
                connection.settimeout(timeout)
                connection.connect((self.address if host in _LOCAL else host, int(tcp["port"])))
        except (OSError, OverflowError):
            return False
        return True

    def _here(self, url: str) -> str:
        """Return a URL in which the container's own address stands for localhost."""
        parts = urlsplit(url)
        if parts.hostname not in _LOCAL:
            return url
        return parts._replace(netloc=f"{self.address}:{parts.port or 80}").geturl()


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the context that each opener would otherwise make, which reads all CAs."""
    return ssl.create_default_context()


class _Handler(urllib.request.HTTPHandler):
    """Opens URLs of http over sockets of another network."""

    def __init__(self, make_socket: MakeSocket) -> None:
        super().__init__()
        self._make_socket = make_socket

    def http_open(self, req: urllib.request.Request) -> client.HTTPResponse:
        def connect(host: str, **options: Any) -> client.HTTPConnection:
            return _Connection(host, self._make_socket, **options)

        return self.do_open(connect, req)


class _Connection(client.HTTPConnection):
    """HTTP over a socket of another network."""

    def __init__(self, host: str, make_socket: MakeSocket, **options: Any) -> None:
        super().__init__(host, **options)
        self._make_socket = make_socket

    def connect(self) -> None:
        self.sock = self._make_socket()
        self.sock.settimeout(self.timeout)
        self.sock.connect((self.host, self.port))
