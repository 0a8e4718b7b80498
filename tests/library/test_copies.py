"""Every charm that uses the library has an exact copy of the owner's original."""

from pathlib import Path

import pytest

CHARMS = Path(__file__).parents[2] / "charms"
LIBRARY = Path("lib/charms/istio_beacon_k8s/v0/service_mesh.py")
ORIGINAL = CHARMS / "stub-mesh-k8s" / LIBRARY


@pytest.mark.parametrize("charm", ["metrics-producer-k8s", "metrics-scraper-k8s"])
def test_a_copy_equals_the_original_byte_for_byte(charm: str):
    copy = CHARMS / charm / LIBRARY

    assert copy.read_bytes() == ORIGINAL.read_bytes(), "run: tox -e vendor"


def test_no_charm_mentions_the_rehearsal():
    sources = [path for path in CHARMS.rglob("*.py") if ".venv" not in path.parts]

    assert len(sources) > 20
    assert [path for path in sources if "rehearsal" in path.read_text()] == []
