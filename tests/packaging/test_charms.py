"""The charms' metadata: valid for charmcraft, consistent with the code, readable on Charmhub."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from charmcraft.models.project import PlatformCharm  # pyright: ignore[reportMissingTypeStubs]
from craft_application.errors import CraftValidationError
from craft_parts.executor.filesets import Fileset, migratable_filesets

CHARMS = sorted(path.parent for path in Path(__file__).parents[2].glob("charms/*/charmcraft.yaml"))
Metadata = dict[str, Any]

pytestmark = pytest.mark.parametrize("charm", CHARMS, ids=lambda charm: charm.name)


def metadata_of(charm: Path) -> Metadata:
    return yaml.safe_load((charm / "charmcraft.yaml").read_text())


def nodes(folder: Path) -> Iterator[ast.AST]:
    """Yield the syntax nodes of all code in a folder."""
    for source in folder.rglob("*.py"):
        yield from ast.walk(ast.parse(source.read_text()))


def strings(folder: Path) -> set[str]:
    """Return all strings in the code."""
    constants = (node for node in nodes(folder) if isinstance(node, ast.Constant))
    return {node.value for node in constants if isinstance(node.value, str)}


def subscripted(folder: Path, name: str) -> set[str]:
    """Return the x of every object.name["x"] in the code, for any object."""
    return {
        str(key)
        for node in nodes(folder)
        if isinstance(node, ast.Subscript)
        for value, key in [(node.value, getattr(node.slice, "value", None))]
        if isinstance(key, str) and getattr(value, "attr", None) == name
    }


def endpoints_used(folder: Path) -> set[str]:
    """Return the endpoints that the code observes, reads, or names in a policy."""
    policies = {
        str(node.value.value)
        for node in nodes(folder)
        if isinstance(node, ast.keyword) and node.arg == "relation"
        if isinstance(node.value, ast.Constant)
    }
    return policies | subscripted(folder, "on") | subscripted(folder, "relations")


def options_used(folder: Path) -> set[str]:
    """Return the options that the code reads, one by one or by a model."""
    fields = {
        ast.unparse(field.target).replace("_", "-")
        for node in nodes(folder)
        if isinstance(node, ast.ClassDef) and node.name in ("Config", "MeshConfig")
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    }
    return fields | subscripted(folder, "config")


def actions_used(folder: Path) -> set[str]:
    attributes = (node.attr for node in nodes(folder) if isinstance(node, ast.Attribute))
    return {name.removesuffix("_action") for name in attributes if name.endswith("_action")}


def containers_used(folder: Path) -> set[str]:
    """Return the names of containers from the constants CONTAINER in the code."""
    return {
        str(node.value.value)
        for node in nodes(folder)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if ast.unparse(node.targets[0]) == "CONTAINER"
    }


def section(metadata: Metadata, *keys: str) -> Metadata:
    for key in keys:
        metadata = metadata.get(key) or {}
    return metadata


def endpoints(metadata: Metadata) -> Metadata:
    return section(metadata, "provides") | section(metadata, "requires")


# charmcraft's model warns about its own field when it checks whether that field is set.
@pytest.mark.filterwarnings("ignore:The 'charmhub' field is deprecated:DeprecationWarning")
def test_charmcraft_accepts_the_metadata(charm: Path):
    project = PlatformCharm.from_yaml_file(charm / "charmcraft.yaml")

    assert project.name == charm.name
    assert set(project.platforms) == {"amd64", "arm64"}


def test_charmcraft_rejects_an_unknown_field(charm: Path, tmp_path: Path):
    wrong: Metadata = {**metadata_of(charm), "contains": {}}
    (tmp_path / "charmcraft.yaml").write_text(yaml.safe_dump(wrong))

    with pytest.raises(CraftValidationError, match="contains"):
        PlatformCharm.from_yaml_file(tmp_path / "charmcraft.yaml")


def test_declared_endpoints_are_those_of_the_code(charm: Path):
    declared = set(endpoints(metadata_of(charm)))
    used = endpoints_used(charm / "src")

    assert used
    assert used - declared == set(), "used and not declared"
    # The library names the endpoints that each consumer of a mesh has.
    assert declared - used - strings(charm / "lib") == set(), "declared and not used"


def test_declared_options_are_those_of_the_code(charm: Path):
    declared = set(section(metadata_of(charm), "config", "options"))

    assert declared == options_used(charm / "src")


def test_declared_actions_are_those_of_the_code(charm: Path):
    declared = set(section(metadata_of(charm), "actions"))

    assert declared == actions_used(charm / "src")


def test_declared_containers_are_those_of_the_code_with_an_image(charm: Path):
    metadata = metadata_of(charm)
    containers = section(metadata, "containers")

    assert set(containers) == containers_used(charm / "src")
    assert {container["resource"] for container in containers.values()} == set(
        section(metadata, "resources")
    )
    for resource in section(metadata, "resources").values():
        assert resource["type"] == "oci-image"
        assert resource["upstream-source"]


def test_everything_that_a_user_sees_is_described(charm: Path):
    metadata = metadata_of(charm)
    actions = section(metadata, "actions")
    visible = endpoints(metadata) | section(metadata, "config", "options")
    visible |= section(metadata, "resources") | actions
    for action in actions.values():
        visible |= section(action, "params")

    assert len(visible) > 1
    assert [name for name, spec in visible.items() if not spec.get("description")] == []


def test_every_endpoint_says_whether_it_is_optional(charm: Path):
    assert [
        name for name, spec in endpoints(metadata_of(charm)).items() if "optional" not in spec
    ] == []


def test_links_are_those_that_a_listing_on_charmhub_needs(charm: Path):
    links = metadata_of(charm)["links"]

    assert set(links) == {"documentation", "issues", "source", "website"}
    assert all(url.startswith("https://") for url in links.values())


def test_the_packed_charm_has_icon_and_license(charm: Path):
    assert section(metadata_of(charm), "parts", "files")["stage"] == ["icon.svg", "LICENSE"]
    assert (charm / "LICENSE").read_bytes() == (charm.parents[1] / "LICENSE").read_bytes()


def test_the_packed_charm_has_code_and_no_bytecode(charm: Path, tmp_path: Path):
    code = ["src/charm.py", "lib/charms/mesh/v0/mesh.py"]
    for file in (*code, "src/__pycache__/charm.pyc", "lib/charms/mesh/v0/__pycache__/mesh.pyc"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()

    stage = section(metadata_of(charm), "parts", "charm").get("stage", ["*"])
    staged, _ = migratable_filesets(Fileset(stage), tmp_path, "default")

    assert sorted(map(str, staged)) == sorted(code)


def test_packed_bytecode_does_not_depend_on_file_times(charm: Path):
    environment = section(metadata_of(charm), "parts", "charm")["build-environment"]

    assert {"PYC_INVALIDATION_MODE": "CHECKED_HASH"} in environment


def test_charm_code_is_executable(charm: Path):
    assert os.access(charm / "src" / "charm.py", os.X_OK)


def test_the_icon_is_square_and_self_contained(charm: Path):
    icon = ElementTree.parse(charm / "icon.svg").getroot()  # noqa: S314 (it is our own)

    shapes = {element.tag.removeprefix("{http://www.w3.org/2000/svg}") for element in icon.iter()}
    assert icon.get("viewBox") == "0 0 100 100"
    assert shapes <= {"svg", "g", "circle", "path"}


def test_libraries_have_an_id_and_versions(charm: Path):
    libraries = list(charm.glob("lib/charms/*/v*/*.py"))

    assert libraries
    for library in libraries:
        tree = ast.parse(library.read_text())
        assigned = {
            ast.unparse(node.targets[0]): ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        assert len(assigned["LIBID"]) == 32
        assert f"v{assigned['LIBAPI']}" == library.parent.name
        assert assigned["LIBPATCH"] > 0
