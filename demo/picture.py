"""The picture of the mesh that the story saves, with the calls that it has made."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import jubilant

from mesh_map.accesses import derive
from mesh_map.model import Call, Map, Name
from mesh_map.page.file import save
from mesh_map.reading.snapshot import Reader

PRODUCER = "producer"
_NOTE = "Saved by the demo: applications, relations and policies as juju shows them, and its calls."
_PATHS = {9090: "/metrics", 8080: "/data"}
"""The paths that the probe calls on a unit, by port."""
_FAILURES = (jubilant.CLIError, jubilant.TaskError, TimeoutError, ValueError)


class Picture:
    """Collects the calls of the story, and draws the mesh at one moment of it."""

    def __init__(self) -> None:
        self._calls: dict[tuple[Name, str], Call] = {}
        self._reasons: dict[tuple[Name, str, str], str] = {}
        self._taken: tuple[Map, list[Call]] | None = None

    def add(self, model: str, caller: str, producer_model: str, results: Mapping[str, str]) -> None:
        """Add the results of the calls of a unit, by the call as the table names it."""
        source = Name(model, caller.partition("/")[0])
        for call, result in results.items():
            if result == "denied" or result.isdecimal():
                made = parse(source, Name(producer_model, PRODUCER), call, result)
                self._calls[source, call] = made

    def explain(self, model: str, caller: str, method: str, path: str, reason: str) -> None:
        """Add the reason that the mesh gives for its decision on a call to the Service."""
        self._reasons[Name(model, caller), method, path] = reason

    def take(self, models: list[str]) -> None:
        """Draw models as they are now. If juju cannot show them, there is no picture."""
        calls = [self._explained(call) for call in self._calls.values()]
        with contextlib.suppress(*_FAILURES):
            self._taken = derive(Reader(models).read(), calls), calls

    def save(self, folder: Path) -> Path | None:
        """Write the picture to a folder, and return the path of its page if there is one."""
        if self._taken is None:
            return None
        drawn, calls = self._taken
        return save(folder, drawn, calls, _NOTE)

    def _explained(self, call: Call) -> Call:
        key = call.source, call.method, call.path
        return call if call.unit else replace(call, reason=self._reasons.get(key, ""))


def parse(source: Name, target: Name, named: str, result: str) -> Call:
    """Return a call that the table names, such as `GET :8080/data` or `unit :8080`."""
    method, _, address = named.partition(" :")
    port, slash, path = address.partition("/")
    if method == "unit":
        unit = f"{target.app}/0"
        return Call(source, target, unit, "GET", int(port), _PATHS[int(port)], result)
    return Call(source, target, "", method, int(port), slash + path, result)
