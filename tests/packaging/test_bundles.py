"""The overlay for Charmed Istio, laid over the demo."""

from pathlib import Path

import pytest
import yaml

from rehearsal.juju.errors import JujuError
from rehearsal.juju.model import bundle

BUNDLES = Path(__file__).parents[2] / "bundles"
DEMO = BUNDLES / "demo.yaml"
OVERLAY = BUNDLES / "overlays" / "istio.yaml"
BASE = bundle.read(DEMO, [])


@pytest.fixture
def merged(tmp_path: Path) -> bundle.Bundle:
    """Return the demo with the overlay, as if the beacon's charm were local."""
    beacon = tmp_path / "istio-beacon-k8s"
    beacon.mkdir()
    (beacon / "charmcraft.yaml").write_text("name: istio-beacon-k8s")
    overlay = tmp_path / "istio.yaml"
    text = OVERLAY.read_text()
    overlay.write_text(text.replace("charm: istio-beacon-k8s", f"charm: {beacon}"))
    return bundle.read(DEMO, [overlay])


def test_the_beacon_replaces_the_stub(merged: bundle.Bundle):
    assert set(merged.applications) == set(BASE.applications) - {"mesh"} | {"beacon"}
    beacon = merged.applications["beacon"]
    assert (beacon.scale, beacon.trust) == (1, True)


def test_the_other_applications_are_the_same(merged: bundle.Bundle):
    for name in set(merged.applications) - {"beacon"}:
        assert merged.applications[name] == BASE.applications[name]


def test_relations_of_the_stub_become_relations_of_the_beacon(merged: bundle.Bundle):
    def pairs(read: bundle.Bundle) -> list[list[str]]:
        return sorted(sorted(pair) for pair in read.relations)

    renamed = [sorted(end.replace("mesh:", "beacon:") for end in ends) for ends in BASE.relations]
    assert pairs(merged) == sorted(renamed)
    assert pairs(merged) != pairs(BASE)


def test_the_beacon_comes_from_a_channel_of_charmhub():
    beacon = yaml.safe_load(OVERLAY.read_text())["applications"]["beacon"]

    assert (beacon["charm"], beacon["channel"]) == ("istio-beacon-k8s", "2/stable")


def test_the_rehearsal_says_that_charmhub_is_not_rehearsed():
    with pytest.raises(JujuError, match=r"Charmhub \(istio-beacon-k8s\), which is not rehearsed"):
        bundle.read(DEMO, [OVERLAY])
