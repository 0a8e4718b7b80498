"""Options of the tests, and bundles of a small charm."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

CHARMCRAFT = """
name: plain
type: charm
summary: runs a program
containers:
  web: {resource: image}
resources:
  image: {type: oci-image}
config:
  options:
    program: {type: string, description: what to run}
    port: {type: int, default: 8000, description: where it listens}
    hook: {type: string, default: well, description: how hooks go}
provides:
  site: {interface: http}
  mirror: {interface: http}
requires:
  backend: {interface: http}
"""
CHARM = """
import time

import ops


class Plain(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_pebble_ready)

    def _on_pebble_ready(self, event):
        if self.config["hook"] == "raises":
            raise RuntimeError("told to raise")
        if self.config["hook"] == "hangs":
            time.sleep(600)
        if self.config["hook"] == "blocks":
            self.unit.status = ops.BlockedStatus("told to block")
            return
        web = {"override": "replace", "command": self.config["program"], "startup": "enabled"}
        event.workload.add_layer("web", {"services": {"web": web}})
        event.workload.replan()
        self.unit.set_ports(self.config["port"])
        self.unit.status = ops.ActiveStatus()
"""
SERVER = """
import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[2]))
        self.send_header("Content-Length", "0")
        self.end_headers()


http.server.HTTPServer((os.environ["BIND_ADDRESS"], int(sys.argv[1])), Handler).serve_forever()
"""

Spec = Mapping[str, Any]
WriteBundle = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "hold the rehearsal's Kubernetes API to the contract, or the server of KUBECONFIG"
    parser.addoption("--cluster", choices=("rehearsal", "real"), default="rehearsal", help=text)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("cluster") == "real" and "KUBECONFIG" not in os.environ:
        raise pytest.UsageError("--cluster=real: set KUBECONFIG to the file of a real cluster")


@pytest.fixture
def write_bundle(tmp_path: Path) -> WriteBundle:
    """Write a bundle of plain charms, from the differences to one that answers 200."""
    charm = tmp_path / "plain"
    (charm / "src").mkdir(parents=True)
    (charm / "charmcraft.yaml").write_text(CHARMCRAFT)
    (charm / "src" / "charm.py").write_text(CHARM)
    (tmp_path / "server.py").write_text(SERVER)

    def write(apps: Mapping[str, Spec], **more: Any) -> Path:
        answering = {"program": f"{sys.executable} {tmp_path / 'server.py'} 8000 200"}
        each = {"charm": "./plain", "scale": 1, "resources": {"image": "any"}}
        specs = {
            name: {**each, **spec, "options": answering | spec.get("options", {})}
            for name, spec in apps.items()
        }
        file = tmp_path / "plain.yaml"
        file.write_text(json.dumps({"bundle": "kubernetes", "applications": specs, **more}))
        return file

    return write


@pytest.fixture
def server(tmp_path: Path) -> Callable[[int, int], str]:
    """Return the command of a program that answers each GET on a port with a status."""
    return lambda port, status: f"{sys.executable} {tmp_path / 'server.py'} {port} {status}"
