"""The pod, the events and the services as the code of a charm finds them."""

import errno
import json
import socket
from pathlib import Path

import pytest

from rehearsal.rehearsal import Rehearsal
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
  account: {description: lists the pods with the token of the service account}
  names: {description: tells the names of the pod and of Kubernetes}
  connect: {description: connects to a port of localhost in several ways}
  ask: {description: asks the workload for the name of its unit}
  addresses: {description: tells the address of each binding}
"""
CHARM = """
import json
import logging
import os
import pathlib
import ssl
import socket
import urllib.error
import urllib.request

import ops

PORTS = {"served": 8000, "unserved": 8001}


class Inside(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_ready)
        framework.observe(self.on.config_changed, self._on_config_changed)
        framework.observe(self.on["db"].relation_changed, self._on_changed)
        framework.observe(self.on.addresses_action, self._on_addresses)
        framework.observe(self.on.ask_action, self._on_ask)
        framework.observe(self.on.connect_action, self._on_connect)
        framework.observe(self.on.names_action, self._on_names)
        framework.observe(self.on.account_action, self._on_account)

    def _on_ready(self, event):
        logging.info("pebble-ready with %s layers", len(event.workload.get_plan().services))
        event.workload.push("/srv/name", self.unit.name, make_dirs=True)
        serve = "cd srv && exec python3 -m http.server 8000 --bind $BIND_ADDRESS"
        web = {"override": "replace", "startup": "enabled", "command": f"sh -c '{serve}'"}
        if self.config["exits"]:
            web |= {"command": "sh -c 'sleep 1.5; exit 1'", "on-failure": self.config["exits"]}
        event.workload.add_layer("web", {"services": {"web": web}})
        event.workload.autostart()
        self.unit.open_port("tcp", 8000)
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

    def _on_account(self, event):
        folder = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
        token, namespace = ((folder / name).read_text() for name in ("token", "namespace"))
        url = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format(**os.environ)
        trust = ssl.create_default_context(cafile=folder / "ca.crt")
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{url}/api/v1/namespaces/{namespace}/pods"
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, context=trust) as answer:
            pods = [pod["metadata"]["name"] for pod in json.load(answer)["items"]]
        event.set_results({"pods": " ".join(sorted(pods)), "token": token})

    def _on_names(self, event):
        own = socket.gethostname()
        event.set_results({
            "short": f"{own} {os.uname().nodename} {os.environ['HOSTNAME']}",
            "qualified": f"{socket.getfqdn()} {socket.getfqdn(own)}",
            "address": socket.gethostbyname(socket.getfqdn()),
            "other": socket.getfqdn("localhost"),
            "kubernetes": "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format(**os.environ),
        })

    def _on_connect(self, event):
        event.set_results({name: self._connects(port) for name, port in PORTS.items()})

    def _connects(self, port):
        told = [str(socket.socket().connect_ex(("127.0.0.1", port)))]
        try:
            told.append(urllib.request.urlopen(f"http://localhost:{port}/name").read().decode())
        except urllib.error.URLError as error:
            told.append(str(error.reason))
        return " ".join(told)

    def _on_ask(self, event):
        with urllib.request.urlopen("http://localhost:8000/name", timeout=5) as answer:
            event.set_results({"name": answer.read().decode()})
"""


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    write_charm(folder / "inside", CHARMCRAFT, CHARM)


def test_autostart_runs_the_enabled_services(juju: Typist):
    juju("deploy ./inside web")
    juju.until(STATUS, is_active("web/0"))

    answers(juju, "exec --unit web/0 -- curl -s http://web:8000/name", "web/0")


def test_localhost_is_the_units_own_workload(juju: Typist):
    juju("deploy ./inside web --num-units 2")
    juju.until(STATUS, is_active("web/0", "web/1"))

    for unit in ("web/0", "web/1"):
        for address in ("localhost", "127.0.0.1"):
            url = f"http://{address}:8000/name"
            answers(juju, f"exec --unit {unit} -- curl -s {url}", unit)
            answers(juju, f"ssh --container web {unit} 'curl -s {url}'", unit)
        answers(juju, f"run {unit} ask", f"name: {unit}")


def test_a_port_of_localhost_that_nobody_serves_fails(juju: Typist):
    juju("deploy ./inside web")
    juju.until(STATUS, is_active("web/0"))

    assert juju("exec --unit web/0 -- curl -sf http://localhost:8001/name").returncode != 0


def test_charm_code_reaches_localhost_or_is_refused(juju: Typist):
    juju("deploy ./inside web --num-units 2")
    juju.until(STATUS, is_active("web/0", "web/1"))

    for unit in ("web/0", "web/1"):
        told = juju.until(f"run {unit} connect", lambda output: "served: 0" in output)
        assert f"\nserved: 0 {unit}\n" in f"\n{told}"
        refused = f"unserved: {errno.ECONNREFUSED} [Errno {errno.ECONNREFUSED}] Connection refused"
        assert refused in told


def test_charm_code_finds_the_names_of_its_pod(juju: Typist, rehearsal: Rehearsal):
    juju("deploy ./inside web --num-units 2")
    model = json.loads(juju.until(STATUS, is_active("web/0", "web/1")))
    units = model["applications"]["web"]["units"]

    for number, unit in enumerate(("web/0", "web/1")):
        found = json.loads(juju(f"run {unit} names --format json").stdout)[unit]["results"]
        name = f"web-{number}"
        qualified = f"{name}.web-endpoints.{model['model']['name']}.svc.cluster.local"
        assert found["short"] == f"{name} {name} {name}"
        assert found["qualified"] == f"{qualified} {qualified}"
        assert found["address"] == units[unit]["address"]
        assert found["other"] == socket.getfqdn("localhost")
        assert found["kubernetes"] in (rehearsal.directory / "kubeconfig").read_text()


def test_charm_code_finds_the_files_of_its_own_account(juju: Typist):
    for name in ("web", "db"):
        juju(f"deploy ./inside {name}")
    juju.until(STATUS, is_active("web/0", "db/0"))

    found = [account(juju, unit) for unit in ("web/0", "db/0", "web/0")]

    assert {each["pods"] for each in found} == {"db-0 web-0"}
    assert found[0]["token"] == found[2]["token"] != found[1]["token"]
    assert not Path("/var/run/secrets/kubernetes.io").exists()


def account(juju: Typist, unit: str) -> dict[str, str]:
    return json.loads(juju(f"run {unit} account --format json").stdout)[unit]["results"]


def answers(juju: Typist, line: str, text: str) -> None:
    """Repeat a command until it prints a text, since the workload takes time to start."""
    juju.until(line, lambda output: output.strip() == text)


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
    juju.until("debug-log --replay", lambda output: "changed by db/0" in output)

    juju("config db word=hello")

    juju.until("debug-log --replay", lambda output: "changed by db: hello" in output)


def test_a_pebble_is_ready_again_without_its_old_layers(juju: Typist):
    juju("deploy ./inside web --config exits=shutdown")

    output = juju.until("debug-log --replay", lambda output: output.count("pebble-ready with") > 1)

    assert output.count("pebble-ready with 0 layers") == output.count("pebble-ready with")
