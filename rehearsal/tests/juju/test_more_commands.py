"""Commands that look: actions, applications, the controller and its user; and `juju scp`."""

import json
import shutil
from pathlib import Path

import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active
from tests.juju.test_execution import KEEPER


@pytest.fixture
def web(juju: Typist) -> Typist:
    assert juju("deploy ./small web").returncode == 0
    juju.until(STATUS, is_active("web/0"))
    return juju


def test_the_actions_of_an_application_are_listed(juju: Typist):
    juju("deploy ./small web")

    table, schema = juju("actions web"), juju("list-actions web --schema --format json")

    assert table.stdout.splitlines() == [
        "Action   Description",
        "crash    raises",
        "give-up  fails",
        "greet    says hello",
    ]
    greet = json.loads(schema.stdout)["greet"]
    assert greet["required"] == ["name"]
    assert greet["properties"]["times"]["maximum"] == 3
    assert juju("actions nope").stderr == 'ERROR application "nope" not found (not found)\n'


def test_an_application_is_shown(juju: Typist):
    juju("deploy ./small web")

    shown = json.loads(juju("show-application web --format json").stdout)

    assert (shown["web"]["charm"], shown["web"]["life"]) == ("small", "alive")
    assert juju("show-application web").stdout.startswith("web:\n  charm: small\n")
    assert juju("show-application nope").returncode == 1
    assert juju("show-application").returncode == 2


def test_the_controller_and_its_user_are_shown(juju: Typist):
    model = json.loads(juju("whoami --format json").stdout)["model"]
    lines = juju("list-controllers").stdout.splitlines()

    assert (
        juju("whoami").stdout
        == f"Controller:  rehearsal\nModel:       {model}\nUser:        admin\n"
    )
    assert lines[0].split()[:4] == ["Controller", "Model", "User", "Access"]
    assert lines[1].split()[:5] == ["rehearsal*", model, "admin", "superuser", "k8s/localhost"]
    shown = json.loads(juju("controllers --format json").stdout)
    assert shown["current-controller"] == "rehearsal"


def test_files_are_copied_to_and_from_a_container(juju: Typist):
    write_charm(juju.folder / "storing", "name: storing\ncontainers: {web: {}}\n", KEEPER)
    juju("deploy ./storing")
    juju.until(STATUS, is_active("storing/0"))

    there = juju("scp --container web storing/0:/srv/kept ./fetched")
    (juju.folder / "own").write_text("of this machine")
    back = juju("scp --container web own storing/0:/srv/")

    assert (there.returncode, there.stderr) == (back.returncode, back.stderr) == (0, "")
    assert (juju.folder / "fetched").read_text() == "what is kept"
    assert juju("ssh --container web storing/0 'cat /srv/own'").stdout == "of this machine"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("scp web/0:charmcraft.yaml", "source and destination are required"),
        ("scp web/0:nothing .", "cannot copy web/0:nothing to .: No such file or directory"),
        ("scp web/0:../../../outside .", "../../../outside is outside of the container"),
        ("scp web/7:x .", 'unit "web/7" not found'),
        ("scp --container nope web/0:x .", 'container "nope" must be one of: charm'),
    ],
)
def test_a_copy_that_cannot_be_made_is_refused(web: Typist, line: str, message: str):
    done = web(line)

    assert done.returncode == 1
    assert done.stderr == f"ERROR {message}\n"


def test_an_action_runs_on_several_units(web: Typist):
    web("add-unit web")
    web.until(STATUS, is_active("web/0", "web/1"))

    tasks = json.loads(web("run web/0 web/1 greet name=you --format json").stdout)
    plain = web("run web/0 web/1 greet name=you").stdout
    partly = web("run web/0 web/7 greet name=you")

    assert [tasks[unit]["results"]["by"]["unit"] for unit in ("web/0", "web/1")] == [
        "web/0",
        "web/1",
    ]
    assert plain.startswith("web/0:\n  id: '")
    assert 'Some actions could not be scheduled:\n"unit-web-7" not found' in partly.stderr
    assert "message: hello you" in partly.stdout


def test_an_action_in_the_background_is_asked_for_later(web: Typist):
    done = web("run web/0 greet name=you --background")

    lines = done.stderr.splitlines()
    assert lines[0] == "Scheduled operation 1 with task 2"
    task = json.loads(web("show-task 2 --watch --format json").stdout)
    operation = json.loads(web("show-operation 1 --wait 5s --format json").stdout)
    assert (task["status"], task["results"]["message"]) == ("completed", "hello you")
    assert operation["summary"] == "greet run on unit-web-0"
    assert operation["status"] == "completed"
    assert operation["tasks"]["2"]["results"]["message"] == "hello you"
    assert web("show-task 2").stdout == "message: hello you\nby:\n  unit: web/0\n"


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("show-task 77", 1, 'task with ID "77" not found'),
        ("show-operation 77", 1, 'operation "77" not found'),
        ("show-task", 2, "no task ID specified"),
        ("run web/0 greet name=you --background --wait 1s", 2, "cannot specify both --wait and"),
        ("run web/0 db/0 greet", 2, "all units must be of the same application"),
        ("run greet", 2, "no unit specified"),
        ("run web/0", 2, "no action specified"),
        ("status --watch soon", 2, 'invalid value "soon" for option --watch'),
    ],
)
def test_what_cannot_be_shown_or_run_is_refused(juju: Typist, line: str, status: int, message: str):
    done = juju(line)

    assert done.returncode == status
    assert message in done.stderr


def test_other_names_of_commands(juju: Typist):
    assert juju("list-models").stdout == juju("models").stdout
    assert juju("list-offers").stdout == juju("offers").stdout
    assert juju("list-secrets").stdout == juju("secrets").stdout


def test_status_is_repeated_until_it_is_interrupted(juju: Typist):
    timeout = shutil.which("timeout")
    assert timeout
    interrupted = Typist(Path(timeout), juju.environment, juju.folder)

    done = interrupted(f"-s INT 5 {juju.program} status --watch 500ms")

    assert done.stdout.count("Controller  Cloud/Region") >= 2
