"""The policies that were asked for, as the action `policies` shows them."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Literal

import mesh
import words
from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy

_MOST = 120_000
"""Bytes of a result: Linux takes 128 KiB in one argument (MAX_ARG_STRLEN)."""
_LONGEST = 2_000
"""Characters of a refused entry, which may be anything."""


@dataclass(frozen=True)
class Row:
    """One policy that was asked for."""

    app: str
    state: str
    policy: str
    reason: str = ""

    def __str__(self) -> str:
        text = f"{self.reason}: {self.policy}" if self.reason else self.policy
        return f"{self.app}  {self.state}  {textwrap.shorten(text, 160)}"


def listing(outcome: mesh.Outcome, form: Literal["table", "json"]) -> dict[str, str]:
    """Return all policies by application: a `table` for a person, or `rows` (JSON) for a script."""
    accepted = [Row(_app(each), "accepted", words.describe(each)) for each in outcome.accepted]
    refused = [
        Row(each.app, "refused", each.entry[:_LONGEST], each.reason) for each in outcome.refused
    ]
    rows = sorted([*accepted, *refused], key=lambda row: (row.app, row.state))
    lines = _fitting([json.dumps(asdict(row)) if form == "json" else str(row) for row in rows])
    shown = {"rows": f"[{', '.join(lines)}]"} if form == "json" else {"table": "\n".join(lines)}
    omitted = {"omitted": str(len(rows) - len(lines))} if len(lines) < len(rows) else {}
    rest = {"enforcement": outcome.enforcement, "unenforced": outcome.unenforced}
    return {**shown, **omitted, **rest}


def _fitting(lines: Sequence[str]) -> Sequence[str]:
    """Return as many as a result takes: it is an argument of a hook tool, which has a limit."""
    sizes = accumulate(len(line.encode()) + 2 for line in lines)
    return lines[: sum(size <= _MOST for size in sizes)]


def _app(policy: MeshPolicy) -> str:
    """Return the application that a policy opens."""
    named = policy.target_app_name or policy.target_service
    return named or (policy.target_selector_labels or {}).get("app.kubernetes.io/name", "")
