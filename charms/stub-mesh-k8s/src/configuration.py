"""The charm's options, validated."""

import re
from typing import Annotated, Literal

import pydantic

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/"
_LABEL = re.compile(rf"({_PREFIX})?{_NAME}=({_NAME})?")


def parse_labels(option: str) -> dict[str, str]:
    """Return the labels of `key=value,key=value`. No pod could join a mesh without labels.

    Raises:
        ValueError: names the first part that is not a label.
    """
    pairs = [pair.strip() for pair in option.split(",")]
    for pair in pairs:
        if not _LABEL.fullmatch(pair):
            raise ValueError(f"{pair!r} is not a Kubernetes label, write it as key=value")
    return dict(pair.split("=") for pair in pairs)


class Config(pydantic.BaseModel):
    """The options of charmcraft.yaml, which describes them."""

    labels: Annotated[dict[str, str], pydantic.BeforeValidator(parse_labels)]
    enforcement: Literal["auto", "authorization-policy", "network-policy", "none"]
    hardened: bool


def describe(error: pydantic.ValidationError) -> str:
    """Return the first wrong option with its value and the reason."""
    first = error.errors()[0]
    option = str(first["loc"][0]).replace("_", "-")
    return f"{option}={first['input']}: {first['msg'].removeprefix('Value error, ')}"
