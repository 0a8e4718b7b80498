"""The policies that were asked for, as the action `policies` shows them."""

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import Literal

import mesh
import words


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
    accepted = [
        Row(each.target_app_name or str(each.target_service), "accepted", words.describe(each))
        for each in outcome.accepted
    ]
    refused = [Row(each.app, "refused", each.entry, each.reason) for each in outcome.refused]
    rows = sorted([*accepted, *refused], key=lambda row: (row.app, row.state))
    shown = (
        {"rows": json.dumps([asdict(row) for row in rows])}
        if form == "json"
        else {"table": "\n".join(map(str, rows))}
    )
    return {**shown, "enforcement": outcome.enforcement, "unenforced": outcome.unenforced}
