"""A server on a Unix socket in the folder of a run."""

import socketserver
import threading
from pathlib import Path


class UnixServer(socketserver.ThreadingUnixStreamServer):
    """Handles each connection on a thread of its own.

    Args:
        path: path of the socket.
        handler: handles a connection.
        name: name of the thread that accepts connections.
    """

    daemon_threads = True

    def __init__(
        self, path: Path, handler: type[socketserver.BaseRequestHandler], name: str
    ) -> None:
        super().__init__(str(path), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name=name)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self.shutdown()
        self._thread.join()
        self.server_close()
