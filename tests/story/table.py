"""Who may call whom: what each caller should get, and what it got when it tried."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jubilant

CALLS = (
    "GET :9090/metrics",
    "GET :8080/data",
    "POST :8080/data",
    "GET :8080/admin",
    "unit :9090",
    "unit :8080",
)
"""The columns: four calls on the producer's Service, two on each of its units."""

Row = Mapping[str, str]
"""By call, the status code, or `denied`, `unreachable` or `timeout`."""


def row(*results: str) -> Row:
    """Return a row from results in the order of CALLS."""
    return dict(zip(CALLS, results, strict=True))


RELATED = row("200", "200", "denied", "denied", "200", "denied")
NOT_RELATED = row("denied", "denied", "denied", "denied", "denied", "denied")
OFF_THE_MESH = NOT_RELATED
METRICS_ONLY = row("200", "denied", "denied", "denied", "200", "denied")


@dataclass(frozen=True)
class Line:
    """One caller of the table: expected beside observed."""

    caller: str
    expected: Row
    observed: Row

    def differences(self) -> list[str]:
        """Return a sentence for each cell that is not as it should be."""
        return [
            f"{self.caller}, {call}: expected {expected}, observed {self.observed[call]}"
            for call, expected in self.expected.items()
            if self.observed[call] != expected
        ]


def observe(juju: jubilant.Juju, caller: str, producer: str, model: str) -> Row:
    """Have a scraper make every call and return what came of each.

    A call on the units has one cell for all of them; where they differ, it names each.

    Args:
        juju: the caller's model.
        caller: application whose unit 0 makes the calls.
        producer: application that is called.
        model: the producer's model.

    Raises:
        jubilant.TaskError: if the action fails.
    """
    params = {"app": producer, "model": model, "format": "json"}
    task = juju.run(f"{caller}/0", "probe", params)
    results: list[dict[str, str]] = json.loads(task.results["rows"])
    return {call: _cell([r for r in results if r["request"] == call]) for call in CALLS}


def _cell(results: Sequence[Mapping[str, str]]) -> str:
    distinct = {result["result"] for result in results}
    if len(distinct) == 1:
        return distinct.pop()
    return ", ".join(f"{r['target']} {r['result']}" for r in results) or "not tried"
