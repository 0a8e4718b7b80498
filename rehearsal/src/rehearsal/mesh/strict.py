"""Strict reading of policies: a policy with an unknown part is refused as a whole."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from rehearsal.kubernetes.store import Object


class Strict(BaseModel):
    """Refuses unknown fields, since ignoring a condition would widen a rule."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Refusal:
    """The reason for which a policy, `<namespace>/<name>`, is not enforced as it is written."""

    kind: str
    policy: str
    reason: str


def refusal(policy: Object, why: ValidationError | str) -> Refusal:
    """Return the refusal of a policy, with the fields that caused it."""
    if isinstance(why, ValidationError):
        fields = [".".join(map(str, error["loc"])) or "spec" for error in why.errors()]
        said = [error["msg"].removeprefix("Value error, ") for error in why.errors()]
        why = "; ".join(map("{}: {}".format, fields, said))
    metadata = policy["metadata"]
    return Refusal(policy["kind"], f"{metadata['namespace']}/{metadata['name']}", why)
