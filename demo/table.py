"""The table of callers and calls: the expected results, and the observed ones."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import jubilant

from demo import patience

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


NOTHING = row("denied", "denied", "denied", "denied", "denied", "denied")


@dataclass(frozen=True)
class Expected:
    """The results that callers should get, by their relation to the producer.

    Attributes:
        related: on the mesh, and related by `metrics` and `data`.
        metrics_only: on the mesh, and related by `metrics`.
        nothing: not related, not on the mesh, or from another model and not yet known by name.
        denials: results of the probe that mean that a policy has denied the call.
    """

    related: Row
    metrics_only: Row
    denials: frozenset[str]
    nothing: Row = field(default_factory=lambda: NOTHING)


AUTHORIZATION_POLICIES = Expected(
    related=row("200", "200", "denied", "denied", "200", "denied"),
    metrics_only=row("200", "denied", "denied", "denied", "200", "denied"),
    # A proxy answers or hangs up. A target that cannot be reached is down, which is no denial.
    denials=frozenset({"denied", "timeout"}),
)
NETWORK_POLICIES = Expected(
    # They know only pods and ports: on a port that a policy opens, every call is allowed.
    related=row("200", "200", "201", "200", "200", "200"),
    metrics_only=row("200", "denied", "denied", "denied", "200", "denied"),
    # Some networks drop a packet that they deny, others reject the connection.
    denials=frozenset({"denied", "timeout", "unreachable"}),
)
EXPECTED = {"authorization-policy": AUTHORIZATION_POLICIES, "network-policy": NETWORK_POLICIES}
"""The expected results, by the kind of policies that the mesh applies."""


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


def observe(
    juju: jubilant.Juju, caller: str, producer: str, model: str, denials: Collection[str]
) -> Row:
    """Have a unit of a scraper make every call and return the result of each.

    A call on the units has one cell for all of them, which names each unit if they differ.

    Args:
        juju: the caller's model.
        caller: unit that makes the calls.
        producer: application that is called.
        model: the producer's model.
        denials: results of the probe that mean `denied`.

    Raises:
        jubilant.TaskError: if the action fails.
    """
    params = {"app": producer, "model": model, "format": "json"}
    task = patience.run(juju, caller, "probe", params)
    results: list[dict[str, str]] = json.loads(task.results["rows"])
    for result in results:
        result["result"] = "denied" if result["result"] in denials else result["result"]
    return {call: _cell([r for r in results if r["request"] == call]) for call in CALLS}


def _cell(results: Sequence[Mapping[str, str]]) -> str:
    distinct = {result["result"] for result in results}
    if len(distinct) == 1:
        return distinct.pop()
    return ", ".join(f"{r['target']} {r['result']}" for r in results) or "not tried"
