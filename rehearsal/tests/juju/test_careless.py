"""Careless charms and hurried operators get an answer, and do no harm to others."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

CHARMCRAFT = """
name: careless
type: charm
summary: does what its configuration says
requires:
  db: {interface: db}
provides:
  server: {interface: db}
config:
  options:
    fail: {type: string, default: "", description: a hook that raises}
    sleep: {type: float, default: 0.0, description: seconds that config-changed takes}
    layer: {type: string, default: "{}", description: a layer of Pebble in JSON}
containers:
  web: {}
actions:
  pick: {description: answers with a type of its own}
  bare:
"""

CHARM = """
import enum
import json
import time

import ops

class Word(str, enum.Enum):
    SECRET = "secret"

class Port(enum.IntEnum):
    HTTP = 8080

class Careless(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.config_changed, self._on_config_changed)
        framework.observe(self.on.update_status, self._fail_if_told)
        framework.observe(self.on.pick_action, self._on_pick)
        framework.observe(self.on.bare_action, self._on_bare)
        for endpoint in ("db", "server"):
            framework.observe(self.on[endpoint].relation_created, self._fail_if_told)
            framework.observe(self.on[endpoint].relation_joined, self._fail_if_told)

    def _fail_if_told(self, event):
        if self.config["fail"] == event.handle.kind:
            raise RuntimeError("told to fail")

    def _on_config_changed(self, event):
        self._fail_if_told(event)
        time.sleep(self.config["sleep"])
        web = self.unit.containers["web"]
        web.add_layer("layer", json.loads(self.config["layer"]), combine=True)
        web.replan()
        self.unit.set_ports(Port.HTTP)
        self.unit.set_workload_version(Word.SECRET)
        self.unit.status = ops.ActiveStatus(Word.SECRET)

    def _on_pick(self, event):
        event.log(Word.SECRET)
        event.set_results({"word": Word.SECRET})

    def _on_bare(self, event):
        event.set_results({"params": len(event.params)})
"""


@pytest.fixture(autouse=True, scope="session")
def charm(folder: Path) -> None:
    write_charm(folder / "careless", CHARMCRAFT, CHARM)


def deploy(juju: Typist, name: str, **config: str) -> None:
    options = " ".join(f"--config {key}={value}" for key, value in config.items())
    assert juju(f"deploy ./careless {name} {options}").returncode == 0


def settle(juju: Typist, *names: str) -> None:
    juju.until(STATUS, is_active(*(f"{name}/0" for name in names)))


def until_failed(juju: Typist, hook: str) -> None:
    juju.until("status", lambda output: f'hook failed: "{hook}"' in output)


def test_a_charms_own_types_are_text_and_numbers(juju: Typist):
    deploy(juju, "web")
    settle(juju, "web")

    unit = json.loads(juju(STATUS).stdout)["applications"]["web"]["units"]["web/0"]
    done = juju("run web/0 pick --format json")

    assert (unit["open-ports"], unit["workload-status"]["message"]) == (["8080/TCP"], "secret")
    assert json.loads(done.stdout)["web/0"]["results"]["word"] == "secret"


def test_an_action_that_is_a_name_alone_runs(juju: Typist):
    deploy(juju, "web")
    settle(juju, "web")

    done = juju("run web/0 bare")

    assert (done.returncode, done.stdout) == (0, "params: '0'\n")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('"services":{"a":{"override":"replace"}}', 'define "command" for service "a"'),
        ('"checks":{"a":{"override":"replace"}}', 'one of "http", "tcp", or "exec" for check "a"'),
    ],
)
def test_a_plan_that_pebble_would_not_take_fails_the_hook(juju: Typist, layer: str, message: str):
    deploy(juju, "web")
    settle(juju, "web")

    done = juju(f"config web 'layer={{{layer}}}'")

    assert done.returncode == 0
    until_failed(juju, "config-changed")
    assert message in juju("debug-log --replay").stdout


def test_a_failed_hook_is_forgotten_when_its_relation_is_gone(juju: Typist):
    deploy(juju, "web", fail="db_relation_created")
    deploy(juju, "db")
    juju("integrate web:db db:server")
    until_failed(juju, "db-relation-created")

    juju("remove-relation web db")
    juju("resolved web/0")

    settle(juju, "web", "db")


def test_a_failed_hook_is_forgotten_when_who_arrived_has_left(juju: Typist):
    deploy(juju, "web", fail="db_relation_joined")
    deploy(juju, "db")
    juju("integrate web:db db:server")
    until_failed(juju, "db-relation-joined")

    juju("scale-application db 0")
    juju.until("status", lambda output: "db/0" not in output)
    juju("resolved web/0")

    settle(juju, "web")


def test_a_hook_that_runs_after_all_is_not_left_out_next_time(juju: Typist):
    """It runs again as asked, and meanwhile it is asked to leave it out."""
    deploy(juju, "web", fail="config_changed")
    until_failed(juju, "config-changed")
    juju("config web fail= sleep=3")
    juju("resolved web/0")
    juju.until("status", lambda output: "executing" in output)

    juju("resolved web/0 --no-retry")
    settle(juju, "web")
    juju("config web fail=config_changed")

    until_failed(juju, "config-changed")


def test_update_status_that_is_left_out_waits_for_its_next_turn(juju: Typist):
    juju("model-config update-status-hook-interval=1s")
    deploy(juju, "web", fail="update_status")
    until_failed(juju, "update-status")
    juju("model-config update-status-hook-interval=1h")

    juju("resolved web/0 --no-retry")

    settle(juju, "web")
    time.sleep(0.5)
    assert is_active("web/0")(juju(STATUS).stdout)


def test_what_is_being_removed_takes_nothing_new(juju: Typist):
    deploy(juju, "db")
    deploy(juju, "web", sleep="60")
    juju.until("status", lambda output: "executing" in output)
    juju("remove-application web --no-prompt")

    refused = [
        juju(line).stderr
        for line in ("scale-application web 2", "add-unit web", "integrate web:db db:server")
    ]

    assert refused == [
        "ERROR application is not found or not alive\n",
        "ERROR application is not found or not alive\n",
        'ERROR cannot add relation "web:db db:server": application "web" is not alive\n',
    ]
    assert juju("scale-application db 2").returncode == 0


def test_a_model_that_is_being_destroyed_takes_no_application(juju: Typist):
    juju("add-model going")
    deploy(juju, "web", sleep="5")
    juju.until("status", lambda output: "executing" in output)
    going = destroying(juju, "going")
    juju.until("status", lambda output: "executing" in output)
    time.sleep(0.3)

    done = juju("deploy ./careless other")

    assert done.stderr.splitlines()[-1] == (
        'ERROR cannot add application "other": model "going" is no longer alive'
    )
    assert going.wait(20) == 0


def test_a_destroyed_models_name_is_free_at_once(juju: Typist):
    """`destroy-model` does not wait for a new model of the same name."""
    juju("add-model again")
    deploy(juju, "web", sleep="3")
    juju.until("status", lambda output: "executing" in output)

    going = destroying(juju, "again")
    while juju("add-model again").returncode:
        time.sleep(0.01)

    assert going.wait(20) == 0
    assert juju("destroy-model again --no-prompt").returncode == 0


def destroying(juju: Typist, model: str) -> "subprocess.Popen[bytes]":
    """Return `juju destroy-model` while it waits."""
    return subprocess.Popen(
        [str(juju.program), "destroy-model", model, "--no-prompt"],
        env=juju.environment,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    "line", ["run web/² pick", "exec --unit web/² -- true", "wait-for unit web/x --timeout 1s"]
)
def test_a_unit_number_that_is_none_is_a_unit_that_is_not_there(juju: Typist, line: str):
    deploy(juju, "web")

    done = juju(line)

    assert "not found" in done.stderr or "timed out" in done.stderr


DECLARING = """
name: declaring
type: charm
summary: declares what is not rehearsed
storage:
  data: {type: filesystem}
resources:
  image: {type: oci-image}
  licence: {type: file, filename: licence.txt}
"""
OBSERVING = """
import ops


class Declaring(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        # An observer of self.on["web"].pebble_custom_notice would be told of nothing.
"""


def test_what_is_not_rehearsed_is_named_at_deployment(juju: Typist):
    write_charm(juju.folder / "declaring", DECLARING, OBSERVING)

    done = juju("deploy ./declaring --resource image=any")

    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    starts = [line.partition(" is not supported")[0] for line in warnings]
    prefix = 'WARNING charm "declaring": '
    names = ['storage "data"', 'resource "licence"', "pebble_custom_notice"]
    assert (done.returncode, starts) == (0, [prefix + name for name in names])
    assert all(name in juju("debug-log --replay").stdout for name in names)


def test_a_charm_that_is_rehearsed_deploys_without_a_warning(juju: Typist):
    assert "WARNING" not in juju("deploy ./careless web").stderr
