"""The pod, the events and the services as the code of a charm finds them."""

import json
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: inside
type: charm
summary: writes down what it finds
requires:
  db: {interface: db}
provides:
  server: {interface: db}
peers:
  fellows: {interface: fellows}
containers:
  web: {}
config:
  options:
    word: {type: string, default: "", description: published to related applications}
    exits: {type: string, default: "", description: what follows when the service exits}
actions:
  addresses: {description: tells the address of each binding}
"""
CHARM = """
import logging

import ops


class Inside(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_ready)
        framework.observe(self.on.config_changed, self._on_config_changed)
        framework.observe(self.on["db"].relation_changed, self._on_changed)
        framework.observe(self.on.addresses_action, self._on_addresses)

    def _on_ready(self, event):
        logging.info("pebble-ready with %s layers", len(event.workload.get_plan().services))
        web = {"override": "replace", "startup": "enabled", "command": "sh -c 'exec sleep 600'"}
        if self.config["exits"]:
            web |= {"command": "sh -c 'sleep 1.5; exit 1'", "on-failure": self.config["exits"]}
        event.workload.add_layer("web", {"services": {"web": web}})
        event.workload.autostart()
        self.unit.status = ops.ActiveStatus()

    def _on_config_changed(self, _):
        if self.unit.is_leader():
            for relation in self.model.relations["server"]:
                relation.data[self.app]["word"] = self.config["word"]

    def _on_changed(self, event):
        who = event.unit.name if event.unit else event.app.name
        logging.info("changed by %s: %s", who, event.relation.data[event.app].get("word"))

    def _on_addresses(self, event):
        names = ("db", "server", "fellows")
        bindings = {name: self.model.get_binding(name).network for name in names}
        event.set_results({name: str(each.bind_address) for name, each in bindings.items()})
"""


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    write_charm(folder / "inside", CHARMCRAFT, CHARM)


def test_autostart_runs_the_enabled_services(juju: Typist):
    juju("deploy ./inside web")
    juju.until(STATUS, is_active("web/0"))

    done = juju("exec --unit web/0 -- pgrep -f 'sleep 600'")

    assert done.returncode == 0


def test_every_binding_has_the_address_of_the_pod(juju: Typist):
    juju("deploy ./inside web")
    juju.until(STATUS, is_active("web/0"))

    application = json.loads(juju(STATUS).stdout)["applications"]["web"]
    address = application["units"]["web/0"]["address"]

    lines = juju("run web/0 addresses").stdout.splitlines()
    assert sorted(lines) == [f"{name}: {address}" for name in ("db", "fellows", "server")]


def test_news_of_an_application_name_no_unit(juju: Typist):
    juju("deploy ./inside web")
    juju("deploy ./inside db")
    juju("integrate web:db db:server")
    juju.until("debug-log", lambda output: "changed by db/0" in output)

    juju("config db word=hello")

    juju.until("debug-log", lambda output: "changed by db: hello" in output)


def test_a_pebble_that_was_shut_down_is_ready_again_without_its_layers(juju: Typist):
    juju("deploy ./inside web --config exits=shutdown")

    output = juju.until("debug-log", lambda output: output.count("pebble-ready with") > 1)

    assert output.count("pebble-ready with 0 layers") == output.count("pebble-ready with")
