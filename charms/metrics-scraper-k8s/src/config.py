"""Models of the charm's options and of its action's parameters. charmcraft.yaml describes each."""

from typing import Annotated, Literal

import pydantic

# An empty string, or a DNS label as Kubernetes defines it:
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_Name = Annotated[str, pydantic.Field(max_length=63, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$")]


class MeshConfig(pydantic.BaseModel):
    """The option that the charm needs for every event, even if another option is invalid."""

    auto_join: bool


class Config(MeshConfig):
    """All options."""

    scrape_interval: int = pydantic.Field(ge=1, le=3600)


class ProbeParams(pydantic.BaseModel):
    """The parameters of the action `probe`."""

    app: _Name = ""
    model: _Name = ""
    format: Literal["table", "json"] = "table"


def problem(error: pydantic.ValidationError) -> str:
    """Return the first invalid option, its value and the reason."""
    first = error.errors()[0]
    option = str(first["loc"][0]).replace("_", "-")
    return f"{option}={first['input']}: {first['msg']}"
