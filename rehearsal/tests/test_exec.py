"""`juju-rehearsal exec`: the environment of a command, and the end of a run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXEC = [sys.executable, "-m", "rehearsal", "exec"]
DEPLOYED = """
juju add-model demo && juju deploy ./bundles/demo.yaml --trust > /dev/null
until juju status | grep -q 'producer/0.*active'; do sleep 0.05; done
echo "$REHEARSAL_DIRECTORY"
"""


LIST_CRDS = """
import lightkube
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
for crd in lightkube.Client().list(CustomResourceDefinition):
    print(crd.metadata.name)
"""
Run = subprocess.Popen[str]


@pytest.fixture
def deployed() -> Run:
    """A rehearsal with the demo deployed, whose command goes on until it is ended."""
    return subprocess.Popen(
        [*EXEC, "sh", "-c", f"{DEPLOYED} exec sleep 600"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupt(run: Run) -> None:
    """Signal all processes in the foreground, as Ctrl-C does."""
    os.killpg(run.pid, signal.SIGINT)


def kill_with_a_signal_to_the_watchdog(run: Run) -> None:
    """Kill a run as `pkill -f rehearsal; pkill -9 -f 'rehearsal exec'` does."""
    os.kill(watchdog_of(run), signal.SIGTERM)
    run.kill()


def terminate_without_the_watchdog(run: Run) -> None:
    os.kill(watchdog_of(run), signal.SIGKILL)
    run.terminate()


@pytest.mark.parametrize(
    "end",
    [
        interrupt,
        Run.terminate,
        Run.kill,
        kill_with_a_signal_to_the_watchdog,
        terminate_without_the_watchdog,
    ],
)
def test_nothing_is_left_when_it_ends_in_the_middle(deployed: Run, end: Callable[[Run], None]):
    assert deployed.stdout
    directory = Path(deployed.stdout.readline().strip())
    assert processes_of(directory)

    end(deployed)
    deployed.wait()

    deadline = time.monotonic() + 10
    while (directory.exists() or processes_of(directory)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not directory.exists()
    assert processes_of(directory) == []
    end_command(deployed)


def end_command(run: Run) -> None:
    """End the command of a run that was killed: it is the user's, not the rehearsal's to end."""
    with run, contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def processes_of(directory: Path) -> list[str]:
    """Return the command lines of the processes that run in a run's folder or name it."""
    return [line for _, line in commands() if str(directory) in line]


def watchdog_of(run: Run) -> int:
    """Return the number of the process that watches over a run."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    [found] = (n for n, line in commands() if str(n) in children and "watchdog.py" in line)
    return found


def commands() -> list[tuple[int, str]]:
    """Return number, command line and folder of every process."""
    found: list[tuple[int, str]] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            found.append((int(process.name), f"{line}in {(process / 'cwd').readlink()}"))
    return found


def execute(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*EXEC, *words],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_exit_status_is_the_commands():
    assert execute("sh", "-c", "exit 7").returncode == 7


def test_the_command_finds_juju_and_kubernetes():
    run = execute("sh", "-c", "command -v juju && test -s $KUBECONFIG")

    assert run.returncode == 0
    assert run.stdout.endswith("/bin/juju\n")


@pytest.mark.parametrize(
    ("options", "version"),
    [([], "3.6.28"), (["--juju", "3.6"], "3.6.28"), (["--juju", "4"], "4.0.15")],
)
def test_juju_is_of_the_version_that_was_chosen(options: list[str], version: str):
    run = execute(*options, "juju", "version")

    assert run.stdout == f"{version}-ubuntu-amd64\n"


def test_another_version_of_juju_is_refused():
    run = execute("--juju", "2.9", "juju", "version")

    assert run.returncode == 2
    assert "argument --juju: invalid choice: '2.9'" in run.stderr


def test_two_dashes_may_stand_before_the_command():
    assert execute("--", "sh", "-c", "exit 7").returncode == 7


def test_what_is_about_another_juju_is_not_looked_at():
    run = execute("sh", "-c", "juju add-model m && juju switch m", JUJU_MODEL="far")

    assert run.returncode == 0, run.stderr


def test_kubernetes_is_not_asked_through_a_proxy():
    nowhere = "http://127.0.0.1:9"

    run = execute(
        *(sys.executable, "-c", LIST_CRDS),
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), nowhere),
        NO_PROXY="example.com",
    )

    assert run.returncode == 0, run.stderr


def test_a_command_that_is_interrupted_is_quiet():
    script = """
echo "$REHEARSAL_DIRECTORY"
juju add-model m && juju deploy ./charms/metrics-scraper-k8s scraper --resource scraper-image=i
until juju status | grep -q 'scraper/0.*idle'; do sleep 0.05; done
exec juju exec --unit scraper/0 -- 'touch $TMPDIR/ready; exec sleep 600'
"""
    with subprocess.Popen(
        [*EXEC, "sh", "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout
        ready = Path(run.stdout.readline().strip()) / "tmp" / "ready"
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        interrupt(run)
        _, said = run.communicate(timeout=30)

    assert run.returncode == 130
    assert "Traceback" not in said


def test_a_command_that_is_not_there_is_named():
    run = execute("no-such-command")

    assert run.returncode == 127
    assert "no-such-command" in run.stderr


@pytest.mark.parametrize(
    ("options", "found"),
    [([], "authorizationpolicies.security.istio.io\n"), (["--without-istio"], "")],
)
def test_the_cluster_has_istio_unless_told_otherwise(options: list[str], found: str):
    run = execute(*options, sys.executable, "-c", LIST_CRDS)

    assert run.stdout == found


@pytest.mark.parametrize(("options", "agent"), [(["--delay", "30"], "allocating"), ([], "idle")])
def test_agents_act_on_a_command_after_the_delay(options: list[str], agent: str):
    script = f"""
juju add-model m && juju deploy ./charms/metrics-scraper-k8s scraper --resource scraper-image=i
for _ in $(seq 30); do juju status | grep 'scraper/0.*idle' && exit; sleep 0.1; done
juju status | grep 'scraper/0.*{agent}'
"""
    run = execute(*options, "sh", "-c", script)

    assert agent in run.stdout
