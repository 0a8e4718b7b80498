"""Reading a bundle, and the faults that are found before anything is done."""

from pathlib import Path

import pytest

from rehearsal.juju.errors import JujuError
from rehearsal.juju.model import bundle

DEMO = Path(__file__).parents[3] / "bundles" / "demo.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an unpacked charm `web` beside the bundle."""
    charm = tmp_path / "web"
    charm.mkdir()
    (charm / "charmcraft.yaml").write_text("name: web")
    return tmp_path


def write(folder: Path, text: str, kind: str = "bundle: kubernetes\n") -> Path:
    path = folder / "bundle.yaml"
    path.write_text(kind + text)
    return path


def test_a_bundle_that_does_not_say_that_it_is_for_kubernetes(folder: Path):
    path = write(folder, "applications: {web: {charm: ./web, scale: 1}}", kind="")

    with pytest.raises(JujuError, match="without `bundle: kubernetes`"):
        bundle.read(path, [])


def test_a_charm_that_is_not_packed_is_taken_from_its_folder(folder: Path):
    path = write(folder, "applications: {web: {charm: ./web/web.charm, scale: 2}}")

    app = bundle.read(path, []).applications["web"]

    assert (app.path, app.scale) == (folder / "web", 2)


def test_a_packed_charm_goes_before_its_folder(folder: Path):
    packed = folder / "web" / "web.charm"
    packed.touch()
    path = write(folder, "applications: {web: {charm: ./web/web.charm, scale: 1}}")

    assert bundle.read(path, []).applications["web"].path == packed


def test_a_further_document_is_an_overlay(folder: Path):
    path = write(
        folder,
        """
applications: {web: {charm: ./web, scale: 1}, other: {charm: ./web, scale: 1}}
relations: [[web:a, other:b]]
---
applications: {web: {offers: {site: {endpoints: [a]}}}, other: null}
""",
    )

    read = bundle.read(path, [])

    assert list(read.applications) == ["web"]
    assert [(o.name, o.endpoints) for o in read.applications["web"].offers] == [("site", ("a",))]
    assert read.relations == []


def test_all_faults_are_named_at_once(folder: Path):
    path = write(
        folder,
        """
applications: {web: {charm: ./web, scale: 1}, gone: {charm: ./gone.charm, scale: 1}}
relations: [[web:a, nope:b], [web:a], [web:a, web:b]]
""",
    )

    with pytest.raises(JujuError) as error:
        bundle.read(path, [])

    assert str(error.value).splitlines() == [
        "cannot deploy bundle: the provided bundle has the following errors:",
        f'charm path in application "gone" does not exist: {folder / "gone.charm"}',
        'relation ["web:a" "nope:b"] refers to application "nope" not defined in this bundle',
        'relation ["web:a"] has 1 endpoint(s), not 2',
        'relation ["web:a" "web:b"] relates an application to itself',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("applications: {}", "at least one application must be specified"),
        ("applications: {web: null}", 'bundle application for key "web" is undefined'),
        ("applications: {web: {scale: 1}}", "empty charm path"),
        (
            "applications: {web: {charm: web, scale: 1}}",
            'application "web" is from Charmhub (web), which is not rehearsed',
        ),
        (
            "applications: {web: {charm: ./web, scale: -1}}",
            'negative number of units specified on application "web"',
        ),
        (
            "applications: {web: {charm: ./web, scale: 1, num_units: 1}}",
            'cannot specify both scale and num_units for application "web"',
        ),
        ("applications: {web: {charm: ./web}}\nbundle: what", 'bundle has an invalid type "what"'),
    ],
)
def test_a_fault_is_named_in_jujus_words(folder: Path, text: str, fault: str):
    with pytest.raises(JujuError) as error:
        bundle.read(write(folder, text), [])

    assert fault in str(error.value).splitlines()


def test_a_missing_overlay_is_named(folder: Path):
    path = write(folder, "applications: {web: {charm: ./web, scale: 1}}")

    with pytest.raises(JujuError, match="unable to process overlays"):
        bundle.read(path, [folder / "nope.yaml"])


def test_the_demo_offers_what_a_policy_needs_together():
    offers = bundle.read(DEMO, []).applications["producer"].offers

    assert [(o.name, o.endpoints) for o in offers] == [
        ("producer", ("metrics", "data", "provide-cmr-mesh"))
    ]
