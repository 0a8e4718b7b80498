"""Asks the mesh of a run about a call, from another process."""

import json
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal.mesh.decision import Decision


class AnswerError(Exception):
    """The mesh has no answer; the message says why."""


@dataclass(frozen=True)
class Question:
    """A call of a pod.

    Attributes:
        model: the model of the target.
        caller_model: the model of the caller.
        pod: the pod that calls.
    """

    model: str
    caller_model: str
    pod: str
    method: str
    url: str


@dataclass(frozen=True)
class Answer:
    """The different decisions of the proxy, and the policies in the model of the target."""

    decisions: Sequence[Decision]
    policies: Sequence[str]

    @property
    def verdict(self) -> str:
        """The verdict on the call, which the pods behind a Service may share or not."""
        verdicts = sorted({decision.verdict for decision in self.decisions})
        return f"{' and '.join(verdicts)}{', by pod' if len(verdicts) > 1 else ''}"

    @property
    def reason(self) -> str:
        """The reasons for the decisions."""
        return "; ".join(dict.fromkeys(decision.reason for decision in self.decisions))


def ask(path: Path, question: Question) -> Answer:
    """Return the answer of the mesh that listens on a socket.

    Raises:
        AnswerError: it has none, or no mesh listens there.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError as error:
            raise AnswerError(f"the rehearsal is not running: {error}") from None
        connection.sendall(json.dumps(asdict(question)).encode() + b"\n")
        line = connection.makefile("rb").readline()
    if not line:
        raise AnswerError("the rehearsal has ended")
    answer = json.loads(line)
    if "error" in answer:
        raise AnswerError(answer["error"])
    return Answer([Decision(**each) for each in answer["decisions"]], answer["policies"])
