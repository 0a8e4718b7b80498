"""Takes questions about calls over a Unix socket, one a connection, and answers them in JSON."""

import http.client
import json
import socketserver
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rehearsal.kubernetes.store import Store
from rehearsal.machine.unix_server import UnixServer
from rehearsal.mesh.authorization import ROOT_NAMESPACE
from rehearsal.mesh.mesh import Mesh
from rehearsal.mesh.proxy import EnvoyError
from rehearsal.mesh.question import NotDecidedError

_KINDS = ("AuthorizationPolicy", "NetworkPolicy")


class Server(UnixServer):
    """Answers questions about calls.

    Args:
        path: path of the socket.
        mesh: decides.
        store: the cluster, in which the policies are.
    """

    def __init__(self, path: Path, mesh: Mesh, store: Store) -> None:
        super().__init__(path, _Handler, "questions")
        self._mesh = mesh
        self._store = store

    def answer(self, question: dict[str, str]) -> dict[str, Any]:
        """Return the decisions on a call and the policies of its target's model, or an error."""
        call = (question[name] for name in ("caller_model", "pod", "method", "url"))
        try:
            decisions = [asdict(decision) for decision in self._mesh.ask(*call)]
        except (
            EnvoyError,
            LookupError,
            NotDecidedError,
            OSError,
            http.client.HTTPException,
        ) as error:
            return {"error": str(error)}
        return {"decisions": decisions, "policies": self._policies(question["model"])}

    def _policies(self, model: str) -> list[str]:
        """Return the policies that may decide on calls in a model."""
        objects = [
            policy
            for kind in _KINDS
            for namespace in (model, ROOT_NAMESPACE)
            for policy in self._store.list(kind, namespace)
        ]
        return [f"{policy['kind']} {policy['metadata']['name']}" for policy in objects]


class _Handler(socketserver.StreamRequestHandler):
    """One question."""

    def handle(self) -> None:
        if line := self.rfile.readline():
            answer = cast("Server", self.server).answer(json.loads(line))
            self.wfile.write(json.dumps(answer).encode() + b"\n")
