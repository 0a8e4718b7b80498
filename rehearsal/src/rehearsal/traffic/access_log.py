"""The calls of a run, read from the access log of the mesh as they are made."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.mesh.decision import Decision
from rehearsal.mesh.identity import SPIFFE

_PAUSE = 0.05
"""Seconds between two looks at the log."""
App = tuple[str, str]
"""The model of an application, and its name."""


@dataclass(frozen=True)
class Made:
    """A call in the access log.

    Attributes:
        source: the application that called.
        target: the application that was called.
        unit: the unit that was called by its own address; empty for a call to a Service.
        port: the port; 0 for a call that was not delivered.
        method: the HTTP method.
        host: the host that the caller named.
        path: the path.
        code: the status code.
        time: the time of the call, in UTC.
        decision: the decision of the proxy; None if the call was not delivered to any.
    """

    source: App
    target: App
    unit: str
    port: int
    method: str
    host: str
    path: str
    code: int
    time: str
    decision: Decision | None

    @property
    def verdict(self) -> str:
        """The word for the decision; empty if the call was not delivered."""
        return self.decision.verdict if self.decision else ""


def follow(log: Path, find_pods: Callable[[], Mapping[str, App]]) -> Iterator[Made]:
    """Yield the calls of a log, those so far and those to come, until it is deleted.

    Args:
        log: the access log of the mesh.
        find_pods: returns the application of each pod, by the address of the pod. It is called for
            callers without an identity.
    """
    callers = _Callers(find_pods)
    for line in _lines(log):
        yield _read(json.loads(line), callers)


def app_of(pod: str) -> str:
    """Return the application of a pod."""
    return pod.rpartition("-")[0]


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

    def __init__(self, find_pods: Callable[[], Mapping[str, App]]) -> None:
        self._find_pods = find_pods
        self._by_ip: dict[str, App] = {}

    def find(self, entry: Mapping[str, Any]) -> App:
        """Return the application that calls, by its identity or else by its address."""
        kind, model, name, *_ = entry["listener"].split("/")
        if kind == "egress":
            return model, app_of(name)
        if principal := entry["principal"]:
            _, _, model, _, app = principal.removeprefix(SPIFFE).split("/")
            return model, app
        if entry["source"] not in self._by_ip:
            self._by_ip |= {entry["source"]: ("", entry["source"]), **self._find_pods()}
        return self._by_ip[entry["source"]]


def _read(entry: Mapping[str, Any], callers: _Callers) -> Made:
    kind, model, name, *port = entry["listener"].split("/")
    host, is_lost, is_pod = str(entry["host"]), kind == "egress", kind == "pod"
    named = host.partition(":")[0].partition(".")[0]
    app = named if is_lost else app_of(name) if is_pod else name
    # Off the mesh, the pod itself gets a call to its Service.
    is_unit = is_pod and named != app
    return Made(
        source=callers.find(entry),
        target=(model, app),
        unit=f"{app}/{name.rpartition('-')[2]}" if is_unit else "",
        port=0 if is_lost else int(port[0]),
        method=entry["method"],
        host=host,
        path=entry["path"],
        code=entry["code"],
        time=entry["time"],
        decision=None if is_lost else Decision.read(entry),
    )
