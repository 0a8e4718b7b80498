"""Both versions of Juju: the numbers that they show, and how one model sees another."""

import json
import os
from collections.abc import Generator
from typing import Any

import pytest

from rehearsal.juju.version import VERSIONS
from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: peer
type: charm
summary: relates in both directions
requires:
  db: {interface: db}
provides:
  server: {interface: db}
actions:
  ingress: {description: tells the ingress address of the db relation}
"""
CHARM = """
import ops


class Peer(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._on_start)
        framework.observe(self.on.ingress_action, self._on_ingress)

    def _on_start(self, _):
        self.unit.status = ops.ActiveStatus(f"Juju {ops.JujuVersion.from_environ()}")

    def _on_ingress(self, event):
        binding = self.model.get_binding(self.model.get_relation("db"))
        event.set_results({"ingress": str(binding.network.ingress_address)})
"""
SHOW_DB = "show-unit db/0 --model far --format json"
NUMBERS = {"3.6": "3.6.28", "4": "4.0.15"}


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def juju(version: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Typist]:
    """`juju` with web (two units) and other in one model, related to db of another model."""
    folder = tmp_path_factory.mktemp("typed")
    write_charm(folder / "peer", CHARMCRAFT, CHARM)
    with Rehearsal(juju=VERSIONS[version]) as rehearsal:
        program = rehearsal.directory / "bin" / "juju"
        juju = Typist(program, os.environ | rehearsal.environment, folder)
        for line in (
            "add-model far",
            "deploy ./peer db",
            "offer db:server,db",
            "add-model near",
            "deploy ./peer web --num-units 2",
            "deploy ./peer other",
            "consume far.db",
            "integrate web:db db:server",
            "integrate web:server db:db",
            "integrate other:db db:server",
        ):
            assert juju(line).returncode == 0, line
        juju.until(STATUS, is_active("web/0", "web/1", "other/0"))
        juju.until(SHOW_DB, lambda output: output.count('"remote-') == 5)
        yield juju


def status(juju: Typist) -> Any:
    return json.loads(juju(STATUS).stdout)


def related(juju: Typist, endpoint: str) -> list[dict[str, Any]]:
    """Return the data of the remote units in each relation over an endpoint of db."""
    shown = json.loads(juju(SHOW_DB).stdout)["db/0"]
    relations = [r for r in shown["relation-info"] if r["endpoint"] == endpoint]
    return [{n: u["data"] for n, u in r["related-units"].items()} for r in relations]


def aliases(juju: Typist, endpoint: str) -> list[str]:
    """Return the remote application in each relation over an endpoint of db."""
    return [next(iter(units)).partition("/")[0] for units in related(juju, endpoint)]


def test_the_command_models_and_charms_tell_the_version(juju: Typist, version: str):
    number = NUMBERS[version]

    assert juju("version").stdout == f"{number}-ubuntu-amd64\n"
    shown = status(juju)
    assert shown["model"]["version"] == number
    unit = shown["applications"]["web"]["units"]["web/0"]
    assert unit["juju-status"]["version"] == number
    assert unit["workload-status"]["message"] == f"Juju {number}"
    assert (
        json.loads(juju("show-model near --format json").stdout)["near"]["agent-version"] == number
    )


def test_an_alias_is_per_application_or_per_relation(juju: Typist, version: str):
    web, other = aliases(juju, "server")
    [web_again] = aliases(juju, "db")

    assert web != other
    assert (web == web_again) is (version == "3.6")


def test_all_units_of_an_application_have_its_address(juju: Typist):
    apps = status(juju)["applications"]
    web, other = related(juju, "server")

    for units, address in ((web, apps["web"]["address"]), (other, apps["other"]["address"])):
        assert {data["ingress-address"] for data in units.values()} == {address}
        assert {data["egress-subnets"] for data in units.values()} == {f"{address}/32"}
    assert len(web) == 2
    assert apps["web"]["address"] != apps["other"]["address"]


def test_a_private_address_is_published_by_juju_3_alone(juju: Typist, version: str):
    [units] = related(juju, "db")

    assert all(("private-address" in data) is (version == "3.6") for data in units.values())


def test_a_unit_is_bound_to_the_address_that_it_publishes(juju: Typist):
    told = juju("run web/1 ingress --format json").stdout

    address = status(juju)["applications"]["web"]["address"]
    assert json.loads(told)["web/1"]["results"]["ingress"] == address
