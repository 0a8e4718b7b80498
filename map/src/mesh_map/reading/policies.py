"""The policies of a mesh, read from its action `policies`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import jubilant

from mesh_map.model import Name, Policy

ACTION = "policies"
"""The action of a mesh that lists its policies."""
_SENTENCE = re.compile(
    r"(?P<app>\S+) of (?P<model>\S+) may call (?P<requests>.+)"
    r" on (?P<kind>Service|units of) (?P<target>.+)"
)


@dataclass(frozen=True)
class Review:
    """The policies of a mesh.

    Attributes:
        policies: the policies, in force or refused.
        enforcement: the kind of policies that enforces them, such as `network-policy`.
        note: the limits of the enforcement, in words.
    """

    policies: tuple[Policy, ...] = ()
    enforcement: str = ""
    note: str = ""


def read(juju: jubilant.Juju, mesh: str) -> Review:
    """Return the policies that a mesh of a model has.

    Raises:
        jubilant.TaskError: the action failed.
    """
    results = juju.run(f"{mesh}/leader", ACTION, {"format": "json"}).results
    rows: list[dict[str, str]] = json.loads(results["rows"])
    policies = tuple(policy for row in rows for policy in parse(row, str(juju.model)))
    return Review(policies, str(results.get("enforcement", "")), str(results["unenforced"]))


def parse(row: dict[str, str], model: str) -> Iterator[Policy]:
    """Yield a policy for each request in a row; none if the row is malformed.

    Args:
        row: the row, which has the policy as a sentence.
        model: the model of the mesh, and of the application that the policy is for.
    """
    if not (match := _SENTENCE.fullmatch(row["policy"])):
        return
    source, target = Name(match["model"], match["app"]), Name(model, row["app"])
    for request in match["requests"].split(" or "):
        yield Policy(source, target, request, match["kind"] != "Service", row["reason"])
