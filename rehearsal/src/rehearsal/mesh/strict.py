"""How policies are read: to the letter, or not at all."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from rehearsal.kubernetes.store import Object


class Strict(BaseModel):
    """Refuses unknown fields, since ignoring a condition would widen a rule."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Refusal:
    """Why a policy, `<namespace>/<name>`, is not enforced as it is written."""

    kind: str
    policy: str
    reason: str


def refusal(policy: Object, why: ValidationError | str) -> Refusal:
    """Return the refusal of a policy, with the fields that are to blame."""
    if isinstance(why, ValidationError):
        fields = [".".join(map(str, error["loc"])) or "spec" for error in why.errors()]
        said = [error["msg"].removeprefix("Value error, ") for error in why.errors()]
        why = "; ".join(map("{}: {}".format, fields, said))
    metadata = policy["metadata"]
    return Refusal(policy["kind"], f"{metadata['namespace']}/{metadata['name']}", why)
