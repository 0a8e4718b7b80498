"""Takes command lines from the `juju` client over a Unix socket."""

import contextlib
import marshal
import select
import socket
import socketserver
from pathlib import Path
from typing import Any, cast

from rehearsal.juju.cli.call import Session, Stream
from rehearsal.juju.cli.commands import (
    actions,
    applications,
    controllers,
    copying,
    deploy,
    execution,
    log,
    models,
    offers,
    operations,
    relations,
    secrets,
    show,
    waiting,
)
from rehearsal.juju.cli.dispatch import run
from rehearsal.juju.pods.unit_command import UnitCommand
from rehearsal.machine.unix_server import UnixServer

MODULES = (
    *(actions, applications, copying, controllers, deploy, execution, log, models),
    *(offers, operations, relations, secrets, show, waiting),
)
"""The modules whose import registers the commands."""


class Server(UnixServer):
    """Carries out the command lines that arrive on a socket, each on a thread of its own.

    Args:
        path: the socket's.
        session: the controller, and the state of the user's client.
    """

    def __init__(self, path: Path, session: Session) -> None:
        super().__init__(path, _Handler, "juju")
        self.session = session


class _Handler(socketserver.StreamRequestHandler):
    """The terminal of one command line."""

    is_interactive = False

    def handle(self) -> None:
        try:
            request: dict[str, Any] = marshal.load(self.rfile)  # noqa: S302 - from the user's client
        except EOFError:
            return
        self.is_interactive = bool(request.get("terminal"))
        status = 1
        try:
            status = run(
                cast("Server", self.server).session,
                request["words"],
                Path(request["folder"]),
                request["environment"],
                self,
            )
        except BrokenPipeError:
            pass  # the client was interrupted; nobody is there to tell
        finally:
            with contextlib.suppress(BrokenPipeError):
                self._send({"status": status})

    def write(self, stream: Stream, text: str) -> None:
        """Have the client print a text."""
        self._send({"stream": stream, "text": text})

    def ask(self, question: str) -> str:
        """Have the client print a question; return the line that is typed."""
        self._send({"ask": question})
        try:
            return str(marshal.load(self.rfile)["line"])  # noqa: S302 - from the user's client
        except EOFError:
            return ""

    def become(self, program: UnitCommand) -> None:
        """Have the client become a program."""
        words, folder = list(program.words), str(program.folder)
        self._send({"words": words, "environment": dict(program.environment), "folder": folder})

    def pause(self, seconds: float) -> None:
        """Wait, or raise BrokenPipeError because the client has gone."""
        ready, _, _ = select.select([self.connection], [], [], seconds)
        if ready and not self.connection.recv(1, socket.MSG_PEEK):
            raise BrokenPipeError

    def _send(self, answer: dict[str, Any]) -> None:
        marshal.dump(answer, self.wfile)
