"""The Terraform plan deploys exactly the contents of the bundle."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import hcl2
import pytest

from rehearsal.juju.model import bundle

ROOT = Path(__file__).parents[2]
BUNDLE = bundle.read(ROOT / "bundles" / "demo.yaml", [])
Block = dict[str, Any]


def plain(value: Any) -> Any:
    """Return parsed HCL with unquoted strings and without the marks of the parser."""
    if isinstance(value, dict):
        items = cast("Block", value).items()
        return {plain(k): plain(v) for k, v in items if not k.startswith("__")}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value.strip('"') if isinstance(value, str) else value


def blocks(kind: str) -> Iterator[Block]:
    for file in sorted((ROOT / "terraform").glob("*.tf")):
        with file.open() as opened:
            parsed = cast("Block", hcl2.load(opened))  # pyright: ignore[reportUnknownMemberType]
        yield from plain(parsed).get(kind, [])


def resources(kind: str) -> dict[str, Block]:
    """Return the resources of a kind, by their names in the plan."""
    return {
        name: block
        for resource in blocks("resource")
        for found, named in resource.items()
        for name, block in named.items()
        if found == kind
    }


APPLICATIONS = resources("juju_application")


def name_of(reference: str) -> str:
    """Return the name of the application to which an expression refers."""
    match = re.fullmatch(r"\$\{juju_application\.(\w+)\.name\}", reference)
    assert match, f"{reference} is not the name of an application"
    return APPLICATIONS[match[1]]["name"]


def relations() -> list[frozenset[str]]:
    """Return the endpoints of each relation, one for each element of a for_each."""
    return [
        frozenset(f"{name_of(end['name'])}:{end['endpoint']}" for end in ends)
        for integration in resources("juju_integration").values()
        for value in integration["for_each"].values()
        for ends in [
            [
                {key: text.replace("${each.value}", value) for key, text in end.items()}
                for end in integration["application"]
            ]
        ]
    ]


def test_the_applications_are_those_of_the_bundle():
    planned = {block["name"] for block in APPLICATIONS.values()}

    assert planned == set(BUNDLE.applications)


@pytest.mark.parametrize("name", BUNDLE.applications)
def test_an_application_is_configured_as_in_the_bundle(name: str):
    app = BUNDLE.applications[name]
    [planned] = [block for block in APPLICATIONS.values() if block["name"] == name]

    [charm] = planned["charm"]
    assert charm["name"] == f'${{var.charms["{Path(app.charm).stem}"]}}'
    assert (planned["units"], planned["trust"]) == (app.scale, app.trust)
    assert planned.get("resources", {}) == app.resources
    assert planned.get("config", {}) == app.options


def test_the_relations_are_those_of_the_bundle():
    planned = relations()

    assert sorted(map(sorted, planned)) == sorted(sorted(pair) for pair in BUNDLE.relations)


def test_the_offers_are_those_of_the_bundle():
    planned = {
        (block["name"], name_of(block["application_name"]), *sorted(block["endpoints"]))
        for block in resources("juju_offer").values()
    }

    assert planned == {
        (offer.name, offer.app, *sorted(offer.endpoints))
        for app in BUNDLE.applications.values()
        for offer in app.offers
    }


def test_every_resource_is_in_the_same_model():
    kinds = ("juju_application", "juju_integration", "juju_offer")
    models = {block["model_uuid"] for kind in kinds for block in resources(kind).values()}

    assert models == {f"${{juju_model.{name}.uuid}}" for name in resources("juju_model")}


def test_the_provider_is_pinned():
    [terraform] = blocks("terraform")
    [required] = terraform["required_providers"]

    assert required["juju"]["source"] == "juju/juju"
    assert re.match(r"~> \d+\.\d+", required["juju"]["version"])


def test_variables_and_outputs_are_described_and_variables_used():
    named = [block for kind in ("variable", "output") for block in blocks(kind)]
    text = (ROOT / "terraform" / "main.tf").read_text()

    assert len(named) > 3
    assert all(spec["description"] for block in named for spec in block.values())
    for variable in blocks("variable"):
        assert f"var.{next(iter(variable))}" in text
