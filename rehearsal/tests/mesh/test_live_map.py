"""The live map of a run: its page has the calls of the access log and the models of juju."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import httpx
import jubilant
import pytest

from rehearsal.commands import live_map
from rehearsal.rehearsal import Rehearsal
from tests.mesh.test_tap import CHARM, CHARMCRAFT


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Run two applications that no mesh restricts."""
    charm = tmp_path_factory.mktemp("quiet")
    (charm / "src").mkdir()
    (charm / "charmcraft.yaml").write_text(CHARMCRAFT)
    (charm / "src" / "charm.py").write_text(CHARM)
    with Rehearsal() as rehearsal:
        juju = jubilant.Juju(model="m", cli_binary=str(rehearsal.directory / "bin" / "juju"))
        juju.add_model("m")
        for app in ("client", "web"):
            juju.deploy(charm, app)
        juju.wait(jubilant.all_active, delay=0.1, timeout=60)
        rehearsal.settle()
        yield rehearsal


def events(url: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the events of a page."""
    with urllib.request.urlopen(f"{url}events", timeout=60) as response:  # noqa: S310 - loopback
        name = ""
        for line in response:
            field, _, value = line.decode().rstrip().partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)


def test_a_call_and_its_applications_appear_on_the_page(rehearsal: Rehearsal):
    proxy = rehearsal.pod_environment("m", "client-0")["http_proxy"]
    with live_map.serve(rehearsal) as url, httpx.Client(proxy=proxy, trust_env=False) as client:
        found = events(url)
        for name, data in found:
            if name == "map" and 'data-app="m/web"' in data["pictures"]:
                break

        client.get("http://web:8000/a")
        shown = next(data for name, data in found if name == "call")

    assert "GET web:8000/a: 503" in shown["item"]


def test_the_page_ends_with_the_shell(rehearsal: Rehearsal):
    with live_map.serve(rehearsal) as url:
        next(events(url))

    with pytest.raises(OSError, match="refused"):
        next(events(url))


def test_the_shell_prints_the_address_of_the_page(rehearsal: Rehearsal):
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal", "shell"],
        env=os.environ | {"SHELL": "true"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert "A live map of who may call whom, for a browser: http://127.0.0.1:" in done.stdout
