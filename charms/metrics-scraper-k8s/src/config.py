"""The options of the charm and the parameters of its action, checked."""

from typing import Annotated, Literal

import pydantic

# Part of a host's name: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_Name = Annotated[str, pydantic.Field(max_length=63, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$")]


class Config(pydantic.BaseModel):
    """The options; charmcraft.yaml says what they mean. Juju itself sees to `auto-join`."""

    scrape_interval: int = pydantic.Field(ge=1, le=3600)


class ProbeParams(pydantic.BaseModel):
    """The parameters of `probe`; charmcraft.yaml says what they mean."""

    app: _Name = ""
    model: _Name = ""
    format: Literal["table", "json"] = "table"


def problem(error: pydantic.ValidationError) -> str:
    """Return which option is wrong, its value and why."""
    first = error.errors()[0]
    option = str(first["loc"][0]).replace("_", "-")
    return f"{option}={first['input']}: {first['msg'].removeprefix('Value error, ')}"
