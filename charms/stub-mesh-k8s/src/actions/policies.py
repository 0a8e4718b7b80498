"""The action `policies`: the requested policies, accepted and refused."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Literal

from actions import words
from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy, Refusal
from enforcement import Outcome

# A result is an argument of a hook tool. Linux limits an argument to 128 KiB (MAX_ARG_STRLEN).
_MOST_BYTES = 120_000
# A malformed entry can have any length.
_MOST_CHARACTERS = 2_000


@dataclass(frozen=True)
class Row:
    """A requested policy in words, or a malformed entry as it was published."""

    app: str
    state: Literal["accepted", "refused"]
    policy: str
    reason: str = ""

    def __str__(self) -> str:
        text = f"{self.reason}: {self.policy}" if self.reason else self.policy
        return f"{self.app}  {self.state}  {textwrap.shorten(text, 160)}"


def results(outcome: Outcome, form: Literal["table", "json"]) -> dict[str, str]:
    """Return the results of the action: a table to read, or rows in JSON for a script."""
    rows = [*map(_accepted, outcome.accepted), *map(_refused, outcome.refused)]
    rows.sort(key=lambda row: (row.app, row.state))
    lines = [json.dumps(asdict(row)) if form == "json" else str(row) for row in rows]
    shown = _fitting(lines)
    results = {"rows": f"[{', '.join(shown)}]"} if form == "json" else {"table": "\n".join(shown)}
    if len(shown) < len(lines):
        results["omitted"] = str(len(lines) - len(shown))
    return {**results, "enforcement": outcome.enforcement, "unenforced": outcome.unenforced}


def _accepted(policy: MeshPolicy) -> Row:
    app = policy.target_app_name or policy.target_service
    selector = policy.target_selector_labels or {}
    return Row(
        app or selector.get("app.kubernetes.io/name", ""), "accepted", words.describe(policy)
    )


def _refused(refusal: Refusal) -> Row:
    policy = words.describe(refusal.policy) if refusal.policy else refusal.entry
    return Row(refusal.app, "refused", policy[:_MOST_CHARACTERS], refusal.reason)


def _fitting(lines: Sequence[str]) -> Sequence[str]:
    """Return the first lines, as many as a result can hold."""
    sizes = accumulate(len(line.encode()) + 2 for line in lines)
    return lines[: sum(size <= _MOST_BYTES for size in sizes)]
