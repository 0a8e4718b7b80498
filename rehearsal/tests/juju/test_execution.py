"""`juju exec` and `juju ssh`: programs in the environment of a unit."""

import json

import jubilant
import pytest

from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active
from tests.test_shell import Terminal


@pytest.fixture
def web(juju: Typist) -> Typist:
    assert juju("deploy ./small web").returncode == 0
    juju.until(STATUS, is_active("web/0"))
    return juju


def test_a_command_runs_as_the_unit(web: Typist):
    done = web("exec --unit web/leader -- echo '$JUJU_UNIT_NAME' twice")

    assert (done.returncode, done.stdout) == (0, "$JUJU_UNIT_NAME twice\n")
    assert web("exec --unit web/0 'echo $JUJU_UNIT_NAME; cat charmcraft.yaml'").stdout.startswith(
        "web/0\n\nname: small\n"
    )


def test_what_it_prints_comes_as_a_document_for_programs(web: Typist):
    done = web("exec --format json --unit web/0 -- sh -c 'echo out; echo err >&2; exit 3'")

    assert done.returncode == 1
    assert "the following task failed:\n - id " in done.stderr
    document = json.loads(done.stdout)["web/0"]
    assert (document["status"], document["message"]) == ("failed", "exit status 3")
    assert document["results"] == {"return-code": 3, "stdout": "out\n", "stderr": "err\n"}


def test_all_units_of_an_application_run_it(web: Typist):
    web("add-unit web")
    web.until(STATUS, is_active("web/0", "web/1"))

    done = web("exec --application web -- sh -c 'echo $JUJU_UNIT_NAME'")

    assert done.stdout == "web/0:\nweb/0\n\nweb/1:\nweb/1\n"


def test_a_command_that_takes_too_long_is_ended(web: Typist):
    done = web("exec --unit web/0 --wait 100ms -- sleep 60")

    assert done.returncode == 1
    assert done.stderr == "ERROR timed out waiting for results from: unit web/0\n"


KEEPER = """
import ops

class Keeper(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_pebble_ready)

    def _on_pebble_ready(self, event):
        event.workload.push("/srv/kept", "what is kept", make_dirs=True)
        self.unit.status = ops.ActiveStatus()
"""


def test_ssh_finds_the_files_of_a_container(juju: Typist):
    write_charm(juju.folder / "keeper", "name: keeper\ncontainers: {web: {}}\n", KEEPER)
    juju("deploy ./keeper")
    juju.until(STATUS, is_active("keeper/0"))

    kept = juju("ssh --container web keeper/0 cat /srv/kept")

    assert (kept.returncode, kept.stdout) == (0, "what is kept")
    assert juju("ssh --container web keeper/0 cat /srv/gone").returncode == 1


def test_ssh_takes_a_command_in_one_word(juju: Typist):
    write_charm(juju.folder / "holder", "name: holder\ncontainers: {web: {}}\n", KEEPER)
    juju("deploy ./holder")
    juju.until(STATUS, is_active("holder/0"))
    model = json.loads(juju("whoami --format json").stdout)["model"]
    client = jubilant.Juju(model=model, cli_binary=str(juju.program))

    assert client.ssh("holder/0", "ls /srv", container="web") == "kept\n"
    assert client.ssh("holder/0", "cat", "/srv/kept", container="web") == "what is kept"
    with pytest.raises(jubilant.CLIError):
        client.ssh("holder/0", "ls /srv/gone", container="web")


def test_the_prompt_of_ssh_names_the_units_pod(web: Typist):
    terminal = Terminal([str(web.program), "ssh", "web/0"], web.environment)

    try:
        terminal.until(r"root@web-0:~# ")
    finally:
        terminal.end()


def test_ssh_has_the_terminal_to_itself(web: Typist):
    piped = web("ssh web/0 cat", typed="what is typed\n")
    shell = web("ssh ubuntu@web/0", typed="echo $JUJU_MODEL_NAME; exit 4\n")

    assert (piped.returncode, piped.stdout) == (0, "what is typed\n")
    assert shell.returncode == 4
    assert shell.stdout.startswith("m")


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("exec --unit web/0", 2, "ERROR no commands specified"),
        ("exec -- true", 2, "ERROR You must specify a target"),
        ("exec --unit Web -- true", 2, '"Web" is not a valid unit name'),
        ("exec --unit web/9 -- true", 0, 'failed to schedule any tasks:\n"unit-web-9" not found'),
        ("exec --application nope -- true", 1, 'application "nope" not found (not found)'),
        ("ssh web/9", 1, 'ERROR unit "web/9" not found'),
        ("ssh --container nope web/0", 1, 'ERROR container "nope" must be one of: charm'),
    ],
)
def test_what_is_wrong_is_said_in_jujus_words(web: Typist, line: str, status: int, message: str):
    done = web(line)

    assert done.returncode == status
    assert message in done.stderr


def test_waiting_ends_when_the_goal_is_reached(juju: Typist):
    juju("deploy ./small web")

    done = juju("wait-for application web --timeout 20s")
    unit = juju('wait-for unit web/0 --timeout 20s --query \'name=="web/0" && life!="dying"\'')

    assert (done.returncode, done.stderr) == (0, 'Application "web" is running\n')
    assert (unit.returncode, unit.stderr) == (0, 'unit "web/0" is running\n')


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("application web --timeout 100ms", 1, 'timed out waiting for "web" to reach goal state'),
        ("application", 2, "application name must be supplied when waiting for an application"),
        ("unit web/0 --query 'len(units) == 3'", 2, "only comparisons with text"),
    ],
)
def test_waiting_in_vain_says_so(juju: Typist, line: str, status: int, message: str):
    done = juju(f"wait-for {line}")

    assert done.returncode == status
    assert message in done.stderr


def test_what_cannot_be_undone_is_asked_about(web: Typist):
    refused = web("remove-application web", typed="n\n")
    unanswered = web("remove-application web")
    accepted = web("remove-application web", typed="y\n")

    assert refused.stdout == "WARNING will remove application web\n\nContinue [y/N]? "
    for done in (refused, unanswered):
        assert (done.returncode, done.stderr) == (1, "ERROR application removal: aborted\n")
    assert accepted.returncode == 0
    web.until("status", lambda output: "web" not in output)


def test_a_model_is_destroyed_by_who_can_name_it(web: Typist):
    web("add-model asked --no-switch")

    refused = web("destroy-model asked", typed="y\n")
    accepted = web("destroy-model asked", typed="asked\n")

    assert (refused.returncode, refused.stderr) == (1, "ERROR model destruction: aborted\n")
    assert accepted.returncode == 0
