"""A charm folder runs as `charmcraft pack` would pack it, and a stale packed charm is told."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: {name}
type: charm
summary: tells its files
parts:
  charm: {{plugin: {plugin}, source: .}}
  files: {{plugin: dump, source: ., stage: [staged]}}
"""
CHARM = """
import os

import ops

class Listing(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._on_start)

    def _on_start(self, _):
        there = [name for name in ("src", "staged", "templates/file") if os.path.exists(name)]
        self.unit.status = ops.ActiveStatus(" ".join(there))

ops.main(Listing)
"""


@pytest.fixture
def charm(tmp_path: Path) -> Path:
    folder = tmp_path / "listing"
    write_charm(folder, CHARMCRAFT.format(name="listing", plugin="uv"), CHARM)
    for name in ("staged", "templates"):
        (folder / name).mkdir()
        (folder / name / "file").touch()
    return folder


def files(juju: Typist) -> str:
    status = json.loads(juju.until(STATUS, is_active("listing/0")))
    unit = status["applications"]["listing"]["units"]["listing/0"]
    return unit["workload-status"]["message"]


@pytest.mark.parametrize(
    ("plugin", "expected"), [("uv", "src staged"), ("charm", "src staged templates/file")]
)
def test_a_charm_sees_the_files_that_are_packed(
    juju: Typist, charm: Path, plugin: str, expected: str
):
    (charm / "charmcraft.yaml").write_text(CHARMCRAFT.format(name="listing", plugin=plugin))

    juju(f"deploy {charm}")

    assert files(juju) == expected


@pytest.mark.parametrize(
    ("dump", "expected"),
    [
        ("prime: [templates/file]", "src templates/file"),
        ("stage: [-staged, templates/*]", "src templates/file"),
        ("stage: [templates], organize: {staged: templates}", "src"),
        ("organize: {staged: templates}", "src templates/file"),
    ],
)
def test_a_part_brings_the_files_that_it_names(juju: Typist, charm: Path, dump: str, expected: str):
    text = (charm / "charmcraft.yaml").read_text().replace("stage: [staged]", dump)
    (charm / "charmcraft.yaml").write_text(text)
    (charm / "staged" / "file").rename(charm / "staged" / "other")

    juju(f"deploy {charm}")

    assert files(juju) == expected


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("{plugin: dump, source: https://some.where/tool}", 'part "tool" is left out'),
        ("{plugin: nil, override-build: make}", 'override-build of part "tool" does not run'),
    ],
)
def test_a_part_that_charmcraft_alone_can_make_is_named(
    juju: Typist, charm: Path, part: str, line: str
):
    with (charm / "charmcraft.yaml").open("a") as file:
        file.write(f"  tool: {part}\n")

    done = juju(f"deploy {charm}")

    assert (done.returncode, line in done.stderr) == (0, True), done.stderr
    assert files(juju) == "src staged"


def test_a_part_with_the_usual_build_is_taken_in_silence(juju: Typist, charm: Path):
    with (charm / "charmcraft.yaml").open("a") as file:
        file.write("  tool: {plugin: nil, override-build: craftctl default}\n")

    done = juju(f"deploy {charm}")

    assert (done.returncode, "override-build" in done.stderr) == (0, False)


def pack(charm: Path) -> Path:
    file = charm / "listing.charm"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("charmcraft.yaml", "src/charm.py"):
            archive.write(charm / name, name)
    return file


def test_a_packed_charm_that_is_older_than_its_code_is_told(juju: Typist, charm: Path):
    file = pack(charm)
    later = file.stat().st_mtime + 5
    os.utime(charm / "src" / "charm.py", (later, later))

    done = juju(f"deploy {file}")

    assert done.returncode == 0
    assert f"WARNING {file} is taken, which is older than src/charm.py" in done.stderr


def test_a_packed_charm_that_is_newer_is_taken_in_silence(juju: Typist, charm: Path):
    done = juju(f"deploy {pack(charm)}")

    assert (done.returncode, "is taken" in done.stderr) == (0, False)


def test_a_folder_that_is_taken_for_a_packed_charm_is_told(juju: Typist, charm: Path):
    done = juju(f"deploy {charm}/listing.charm")

    assert f"listing.charm has not been packed: the folder {charm} is taken" in done.stderr


def test_an_extension_is_refused(juju: Typist, charm: Path):
    with (charm / "charmcraft.yaml").open("a") as file:
        file.write("extensions: [flask-framework]\n")

    done = juju(f"deploy {charm}")

    assert done.returncode == 1
    assert "uses the extension flask-framework, which only charmcraft can expand" in done.stderr


def test_libraries_that_are_not_fetched_are_named(juju: Typist, charm: Path):
    with (charm / "charmcraft.yaml").open("a") as file:
        file.write('charm-libs: [{lib: traefik-k8s.ingress, version: "2.1"}]\n')

    refused = juju(f"deploy {charm}")
    library = charm / "lib" / "charms" / "traefik_k8s" / "v2" / "ingress.py"
    library.parent.mkdir(parents=True)
    library.touch()
    fetched = juju(f"deploy {charm}")

    assert (refused.returncode, fetched.returncode) == (1, 0)
    assert "(lib/charms/traefik_k8s/v2/ingress.py): run `charmcraft fetch-libs`" in refused.stderr
