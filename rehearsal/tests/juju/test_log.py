"""`juju debug-log`: which messages it shows, and in which form."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Generator

import lightkube
import pytest

from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active

ASKING = """
import logging
import ops

class Asking(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.install, self._on_install)

    def _on_install(self, _):
        logging.getLogger("httpx").info('HTTP Request: GET https://api "HTTP/1.1 200 OK"')
        logging.getLogger("own").info("well installed")
"""


@pytest.fixture
def failing(juju: Typist) -> Typist:
    """Two applications whose config-changed fails, and the words that find their messages."""
    for app in ("web", "web-two"):
        juju(f"deploy ./small {app} --config fail=true")
    juju.until("status", lambda output: output.count('hook failed: "config-changed"') == 4)
    juju("model-config automatically-retry-hooks=false")
    return juju


def entities(log: str) -> set[str]:
    return set(re.findall(r"^(unit-\S+): \d\d:\d\d:\d\d ", log, re.MULTILINE))


def test_the_hooks_of_a_unit_are_in_its_log(failing: Typist):
    log = failing("debug-log --replay --include web/0").stdout

    hooks = re.findall(r"INFO juju\.worker\.uniter\.operation ran \"(\S+)\" hook", log)
    assert hooks[0] == "install"
    failed = 'ERROR juju.worker.uniter.operation hook "config-changed" (via hook dispatching script'
    assert f"{failed}: dispatch) failed: exit status 1" in log
    assert "RuntimeError: told to fail" in log


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--include web/0", {"unit-web-0"}),
        ("--include unit-web-0", {"unit-web-0"}),
        ("-i unit-web-0", {"unit-web-0"}),
        ("--include web-two", {"unit-web-two-0"}),
        ("--include unit-web-*", {"unit-web-0", "unit-web-two-0"}),
        ("-i web/0 -i web-two/0", {"unit-web-0", "unit-web-two-0"}),
        ("--exclude web-two", {"unit-web-0"}),
        ("-x web/0", {"unit-web-two-0"}),
        ("--include nope", set[str]()),
    ],
)
def test_the_log_is_filtered_by_unit_and_application(
    failing: Typist, options: str, found: set[str]
):
    assert entities(failing(f"debug-log --replay {options}").stdout) == found


def test_the_log_is_filtered_by_level_and_module(failing: Typist):
    every = failing("debug-log --replay -l DEBUG").stdout
    errors = failing("debug-log --replay -l ERROR").stdout
    agents = failing("debug-log --replay --include-module juju.worker").stdout
    charms = failing("debug-log --replay --exclude-module juju.worker -l error").stdout

    assert " DEBUG " in every
    assert " DEBUG " not in failing("debug-log --replay").stdout
    assert " INFO " not in errors
    assert "told to fail" in errors
    assert "juju-log" not in agents
    assert "told to fail" in charms
    assert "juju.worker" not in charms


def test_the_number_of_messages_is_limited(failing: Typist):
    def count(options: str) -> int:
        log = failing(f"debug-log -l DEBUG {options}").stdout
        return len(re.findall("^unit-", log, re.MULTILINE))

    assert count("--replay") > 10
    assert count("") == 10
    assert count("--limit 3") == count("-n 3") == 3
    first = failing("debug-log --include-module juju. --replay --limit 1").stdout
    assert first.startswith(("unit-web-0: ", "unit-web-two-0: "))
    assert 'ran "install" hook' in first


def test_a_date_is_shown_if_asked_for(failing: Typist):
    log = failing("debug-log --limit 1 --date").stdout

    assert re.match(r"unit-\S+: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", log)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--tail --no-tail", "setting --tail and --no-tail not valid"),
        ("--limit 1 -n 1", "setting --limit and --lines not valid"),
        ("--level what", 'level value "WHAT" is not one of "TRACE", "DEBUG", "INFO", "WARNING"'),
    ],
)
def test_options_that_contradict_are_refused(juju: Typist, options: str, message: str):
    done = juju(f"debug-log {options}")

    assert done.returncode == 2
    assert message in done.stderr


def test_requests_of_a_charm_are_there_at_debug_alone(juju: Typist):
    write_charm(juju.folder / "asking", "name: asking\n", ASKING)
    juju("deploy ./asking")
    juju.until("debug-log --replay", lambda log: "well installed" in log)

    assert "HTTP Request" not in juju("debug-log --replay").stdout
    assert (
        " DEBUG unit.asking/0.juju-log HTTP Request" in juju("debug-log -l DEBUG --replay").stdout
    )


def test_kubernetes_has_the_log_of_a_charm_container(juju: Typist, rehearsal: Rehearsal):
    juju("deploy ./small web")
    juju.until(STATUS, is_active("web/0"))
    model = json.loads(juju("whoami --format json").stdout)["model"]
    config = lightkube.KubeConfig.from_file(rehearsal.directory / "kubeconfig")

    with lightkube.Client(config) as client:
        lines = list(client.log("web-0", namespace=model, container="charm"))

    assert any("[container-agent] " in line and 'ran "install" hook' in line for line in lines)


@pytest.fixture
def following(juju: Typist) -> Generator["subprocess.Popen[str]"]:
    words = [str(juju.program), "debug-log", "--tail"]
    # Tests that run in the background ignore this signal, and a child inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        words, cwd=juju.folder, env=juju.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        signal.signal(signal.SIGINT, before)
        yield process
        process.kill()


def test_tail_shows_new_messages_until_it_is_interrupted(
    juju: Typist, following: "subprocess.Popen[str]"
):
    juju("deploy ./small web")
    juju.until(STATUS, is_active("web/0"))

    assert following.stdout
    assert 'ran "install" hook' in next(line for line in following.stdout if "install" in line)
    assert following.poll() is None
    following.send_signal(signal.SIGINT)
    start = time.monotonic()
    assert following.wait(10) == 130
    assert time.monotonic() - start < 5
