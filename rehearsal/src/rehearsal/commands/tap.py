"""`juju-rehearsal tap`: the calls of a run in sentences, those so far and those to come."""

import argparse
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rehearsal.mesh.decision import Decision
from rehearsal.traffic.access_log import App, Made, app_of, follow

_INTERRUPTED = 128 + signal.SIGINT
_OUTSIDE = "no rehearsal runs here. Open a shell in one, and type there: juju-rehearsal tap &"
_NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Filters:
    """The calls to print.

    Attributes:
        source: the application that calls.
        target: the application that is called.
        model: the model of either.
        denied: whether to print denied calls alone.
    """

    source: str | None
    target: str | None
    model: str | None
    denied: bool

    def match(self, source: App, target: App, verdict: str) -> bool:
        """Return whether to print a call."""
        return (
            self.source in (None, source[1])
            and self.target in (None, target[1])
            and self.model in (None, source[0], target[0])
            and not (self.denied and verdict != "denied")
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the filters to a command line."""
    parser.add_argument("--from", dest="source", metavar="APPLICATION", help="that calls")
    parser.add_argument("--to", dest="target", metavar="APPLICATION", help="that is called")
    parser.add_argument("--model", help="of the caller or the target")
    parser.add_argument("--denied", action="store_true", help="print denied calls alone")


def tap(filters: Filters) -> int:
    """Print calls until the run ends or the user interrupts, and return the exit status."""
    directory = os.environ.get("REHEARSAL_DIRECTORY")
    if directory is None:
        print(f"ERROR {_OUTSIDE}", file=sys.stderr)
        return 1
    # A shell that starts a program in the background has it ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for made in follow(Path(directory) / "mesh" / "access.log", _pods):
            if sentence := _sentence(made, filters):
                print(sentence, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _pods() -> dict[str, App]:
    """Return the application of each pod, by the address of the pod; none after the run's end."""
    import lightkube  # slow to import, and needed for callers without an identity alone
    from lightkube.resources.core_v1 import Pod

    found: dict[str, App] = {}
    try:
        client: Any = lightkube.Client()
        pods: list[Any] = list(client.list(Pod, namespace="*"))
    except (httpx.TransportError, lightkube.ConfigError):
        return found
    for pod in pods:
        if pod.status and pod.status.podIP:
            labels: dict[str, str] = dict(pod.metadata.labels or ())
            name = labels.get(_NAME) or app_of(pod.metadata.name)
            found[pod.status.podIP] = pod.metadata.namespace, name
    return found


def _sentence(made: Made, filters: Filters) -> str:
    """Return a sentence about a call; nothing if the filters leave it out."""
    if not filters.match(made.source, made.target, made.verdict):
        return ""
    model, app = made.source
    who = f"{app} ({model}) {made.method}"
    if not made.decision:
        return f"{who} {made.host}{made.path}: not delivered, {made.code}"
    there = made.decision.target
    there = there if made.target[0] == model else f"{there} of {made.target[0]}"
    call = f"{who} :{made.port}{made.path} on {there}"
    if made.verdict == "denied":
        return f"{call}: denied: {made.decision.denial('it')}"
    return f"{call}: allowed {_by(made.decision)}, {made.code}"


def _by(decision: Decision) -> str:
    return f"by {decision.policies}" if decision.policies else "without a policy"
