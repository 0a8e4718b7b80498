"""`juju-rehearsal tap`: the calls of a run in sentences, those so far and those to come."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rehearsal.mesh.decision import Decision
from rehearsal.mesh.identity import SPIFFE

_INTERRUPTED = 128 + signal.SIGINT
_OUTSIDE = "no rehearsal runs here. Open a shell in one, and type there: juju-rehearsal tap &"
_PAUSE = 0.1
"""Seconds between two looks at the log."""
_NAME = "app.kubernetes.io/name"
_App = tuple[str, str]
"""The model of an application, and its name."""


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

    def match(self, source: _App, target: _App, verdict: str) -> bool:
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
    callers = _Callers()
    # A shell that starts a program in the background has it ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for line in _lines(Path(directory) / "mesh" / "access.log"):
            if sentence := _sentence(json.loads(line), callers, filters):
                print(sentence, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _lines(log: Path) -> Iterator[str]:
    """Yield the lines of a log as they are written, until it is deleted.

    It is not there before the run has a pod.
    """
    while not log.exists():
        if not log.parent.exists():
            return
        time.sleep(_PAUSE)
    with log.open() as file:
        line = ""
        while True:
            goes_on = log.exists()  # before the last look, so that nothing is missed
            line += file.readline()
            if line.endswith("\n"):
                yield line
                line = ""
            elif goes_on:
                time.sleep(_PAUSE)
            else:
                return


class _Callers:
    """The applications behind the entries of the log."""

    def __init__(self) -> None:
        self._by_ip: dict[str, _App] = {}

    def find(self, entry: Mapping[str, Any]) -> _App:
        """Return the application that calls, by its identity or else by its address."""
        kind, model, name, *_ = entry["listener"].split("/")
        if kind == "egress":
            return model, _app_of(name)
        if principal := entry["principal"]:
            _, _, model, _, app = principal.removeprefix(SPIFFE).split("/")
            return model, app
        if entry["source"] not in self._by_ip:
            self._by_ip |= {entry["source"]: ("", entry["source"]), **_pods()}
        return self._by_ip[entry["source"]]


def _pods() -> dict[str, _App]:
    """Return the application of each pod, by the address of the pod; none after the run's end."""
    import lightkube  # slow to import, and needed for callers without an identity alone
    from lightkube.resources.core_v1 import Pod

    found: dict[str, _App] = {}
    try:
        client: Any = lightkube.Client()
        pods: list[Any] = list(client.list(Pod, namespace="*"))
    except (httpx.TransportError, lightkube.ConfigError):
        return found
    for pod in pods:
        if pod.status and pod.status.podIP:
            labels: dict[str, str] = dict(pod.metadata.labels or ())
            name = labels.get(_NAME) or _app_of(pod.metadata.name)
            found[pod.status.podIP] = pod.metadata.namespace, name
    return found


def _app_of(pod: str) -> str:
    return pod.rpartition("-")[0]


def _sentence(entry: Mapping[str, Any], callers: _Callers, filters: Filters) -> str:
    """Return a sentence about a call; nothing if the filters leave it out."""
    decision = Decision.read(entry)
    kind, model, name, *port = entry["listener"].split("/")
    source = callers.find(entry)
    who = f"{source[1]} ({source[0]}) {entry['method']}"
    if kind == "egress":
        target = model, str(entry["host"]).partition(":")[0].partition(".")[0]
        lost = f"{who} {entry['host']}{entry['path']}: not delivered, {entry['code']}"
        return lost if filters.match(source, target, "") else ""
    target = model, _app_of(name) if kind == "pod" else name
    if not filters.match(source, target, decision.verdict):
        return ""
    there = decision.target if model == source[0] else f"{decision.target} of {model}"
    call = f"{who} :{port[0]}{entry['path']} on {there}"
    if decision.verdict == "denied":
        return f"{call}: denied: {decision.denial('it')}"
    return f"{call}: allowed {_by(decision)}, {entry['code']}"


def _by(decision: Decision) -> str:
    return f"by {decision.policies}" if decision.policies else "without a policy"
