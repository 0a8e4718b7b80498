"""The cases in the tables beside this file: policies, and calls with their documented outcome."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import yaml
from pydantic import BaseModel, ConfigDict, Field

_CALL = re.compile(r"((?P<namespace>\S+)/)?(?P<caller>\S+) (?P<method>\S+) (?P<url>\S+)")


class Call(BaseModel):
    """A call, by a pod of an application or by one that is named, such as producer-1."""

    namespace: str
    caller: str
    method: str
    url: str

    @classmethod
    def read(cls, text: str) -> "Call":
        """Read `[NAMESPACE/]CALLER METHOD HOST[:PORT]/PATH`; the namespace is demo by default."""
        match = _CALL.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no call")
        namespace = match["namespace"] or "demo"
        url = f"http://{match['url']}"
        return cls(namespace=namespace, caller=match["caller"], method=match["method"], url=url)


class Case(BaseModel):
    """Some policies, and their documented effect.

    Attributes:
        about: the rule that is shown.
        docs: where it is documented.
        policies: the spec of each, with its `annotations`; `in` is its namespace if not demo.
        allowed: calls that arrive.
        denied: calls that are turned away.
        some: calls of which some arrive and others are turned away.
        refused: why policies are not enforced as they are written.
        differs: how the rehearsal differs from what is documented, and why.
    """

    model_config = ConfigDict(extra="forbid")

    kind: str
    about: str
    docs: str
    policies: list[dict[str, Any]]
    allowed: list[str] = Field(min_length=1)
    denied: list[str] = []
    some: list[str] = []
    refused: list[str] = []
    differs: str = ""


def cases() -> Iterator[Case]:
    """Yield the cases of all tables. A table names the common parts of its cases once."""
    for file in sorted(Path(__file__).parent.glob("*.yaml")):
        table = yaml.safe_load(file.read_text())
        for case in table["cases"]:
            docs = urljoin(table["docs"], case.get("docs", ""))
            yield Case.model_validate({"kind": table["kind"], **case, "docs": docs})
