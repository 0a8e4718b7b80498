"""The options of the charm, checked."""

import re
from typing import Annotated, Literal

import pydantic

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/"
_LABEL = re.compile(rf"({_PREFIX})?{_NAME}=({_NAME})?")


def parse_labels(option: str) -> dict[str, str]:
    """Return the labels of `key=value,key=value`; a mesh without any could not be joined.

    Raises:
        ValueError: if one of them is not what Kubernetes takes as a label.
    """
    pairs = [pair.strip() for pair in option.split(",")]
    for pair in pairs:
        if not _LABEL.fullmatch(pair):
            raise ValueError(f"{pair!r} is no label of Kubernetes as key=value")
    return dict(pair.split("=") for pair in pairs)


class Config(pydantic.BaseModel):
    """The options; charmcraft.yaml says what they mean."""

    labels: Annotated[dict[str, str], pydantic.BeforeValidator(parse_labels)]
    enforcement: Literal["auto", "authorization-policy", "network-policy", "none"]
    hardened: bool


def problem(error: pydantic.ValidationError) -> str:
    """Return which option is wrong, its value and why."""
    first = error.errors()[0]
    option = str(first["loc"][0]).replace("_", "-")
    return f"{option}={first['input']}: {first['msg'].removeprefix('Value error, ')}"
