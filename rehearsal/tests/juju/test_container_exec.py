"""Commands of a charm in a container: real processes with the container's files and variables."""

import io
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import ops
import pytest

from rehearsal.juju.pods.pebble_exec import Execution, execute
from rehearsal.juju.pods.unit_command import Place
from tests.juju.conftest import Typist, write_charm

SERVICES = {"web": {"environment": {"WORD": "of the service"}, "working-dir": "/opt"}}
Run = Callable[..., Execution]
EXEC_ERROR: type[ops.pebble.ExecError[Any]] = ops.pebble.ExecError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = tmp_path / "web"
    (root / "opt").mkdir(parents=True)
    (root / "opt" / "says.sh").write_text('echo "$POD ${WORD:-nothing} $1"; echo err >&2')
    return Place(root, {"PATH": os.environ["PATH"], "POD": "web-0"})


@pytest.fixture
def run(place: Place) -> Generator[Run]:
    """Runs a command in the container."""
    started: list[Execution] = []

    def run(*command: str, **options: Any) -> Execution:
        started.append(execute(place, SERVICES, list(command), options))
        return started[-1]

    yield run
    for execution in started:
        execution.kill()


def test_its_files_and_variables_are_the_containers(run: Run):
    out, err = run("sh", "/opt/says.sh", "hello", environment={"WORD": "own"}).wait_output()

    assert (out, err) == ("web-0 own hello\n", "err\n")


def test_a_new_file_in_a_folder_of_the_container_is_made_there(run: Run, place: Place):
    run("touch", "/opt/new").wait()

    assert (place.root / "opt" / "new").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "nothing"),
        ({"service_context": "web"}, "of the service"),
        ({"service_context": "web", "environment": {"WORD": "own"}}, "own"),
    ],
)
def test_a_service_lends_its_variables(run: Run, options: dict[str, Any], expected: str):
    out, _ = run("sh", "/opt/says.sh", **options).wait_output()

    assert out.strip() == f"web-0 {expected}"


@pytest.mark.parametrize(
    ("options", "folder"),
    [({}, ""), ({"working_dir": "/opt"}, "opt"), ({"service_context": "web"}, "opt")],
)
def test_it_starts_in_the_folder_that_is_asked_for(
    run: Run, place: Place, options: dict[str, str], folder: str
):
    out, _ = run("pwd", **options).wait_output()

    assert out.strip() == str((place.root / folder).resolve())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"stdin": "text"}, "text"),
        ({"stdin": b"bytes\xff", "encoding": None}, b"bytes\xff"),
        ({"stdin": io.StringIO("of a file")}, "of a file"),
        ({"stdin": io.BytesIO(b"\xfe of a file"), "encoding": None}, b"\xfe of a file"),
    ],
)
def test_it_reads_what_it_is_given(run: Run, options: dict[str, Any], expected: str | bytes):
    out, _ = run("cat", **options).wait_output()

    assert out == expected


def test_it_is_written_to_and_read_from_as_it_runs(run: Run):
    process = run("cat")
    assert process.stdin is not None
    assert process.stdout is not None

    process.stdin.write("one\n")
    process.stdin.flush()
    first = process.stdout.readline()
    process.stdin.close()
    process.wait()

    assert first == "one\n"


def test_output_goes_where_it_is_wanted(run: Run):
    out, err = io.StringIO(), io.StringIO()

    process = run("sh", "/opt/says.sh", "x", stdout=out, stderr=err)
    process.wait()

    assert (out.getvalue(), err.getvalue()) == ("web-0 nothing x\n", "err\n")
    with pytest.raises(TypeError, match="use wait"):
        process.wait_output()


def test_errors_are_mixed_in_when_asked_for(run: Run):
    out, err = run("sh", "/opt/says.sh", combine_stderr=True).wait_output()

    assert sorted(out.splitlines()) == ["err", "web-0 nothing "]
    assert err is None


def test_failure_is_an_error_with_its_code_and_output(run: Run):
    with pytest.raises(EXEC_ERROR) as failed:
        run("sh", "-c", "echo out; echo err >&2; exit 7").wait_output()

    assert (failed.value.exit_code, failed.value.stdout, failed.value.stderr) == (
        7,
        "out\n",
        "err\n",
    )
    with pytest.raises(EXEC_ERROR):
        run("false").wait()


def test_a_signal_reaches_it(run: Run):
    process = run("sleep", "600")

    process.send_signal("SIGTERM")

    with pytest.raises(EXEC_ERROR) as failed:
        process.wait()
    assert failed.value.exit_code == 128 + 15


def test_it_is_stopped_when_its_time_is_over(run: Run):
    with pytest.raises(ops.pebble.ChangeError, match="timed out after"):
        run("sleep", "600", timeout=0.05).wait_output()

    assert run("echo", "quick", timeout=600).wait_output()[0] == "quick\n"


@pytest.mark.parametrize(
    ("command", "options", "error"),
    [
        (["no-such-program"], {}, 'cannot find executable "no-such-program"'),
        (["true"], {"working_dir": "/no/where"}, 'cannot find working directory "/no/where"'),
        (["true"], {"service_context": "db"}, 'context service "db" not found'),
        (["true"], {"user": "somebody-else"}, "cannot run as user 'somebody-else'"),
        (["true"], {"group_id": os.getgid() + 1}, "cannot run as group_id"),
    ],
)
def test_what_cannot_be_run_is_refused(
    run: Run, command: list[str], options: dict[str, Any], error: str
):
    with pytest.raises(ops.pebble.APIError, match=error) as refused:
        run(*command, **options)

    assert refused.value.code == 400


def test_the_user_who_runs_it_may_be_named(run: Run):
    run("true", user_id=os.getuid(), group_id=os.getgid()).wait()


def test_what_nobody_waited_for_is_ended(run: Run, place: Place):
    process = run("sh", "-c", "echo $$; exec sleep 600")
    assert process.stdout is not None
    number = int(process.stdout.readline())

    process.kill()

    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


CHARMCRAFT = """
name: runner
type: charm
summary: runs commands in its container
containers:
  web: {}
"""

CHARM = """
import ops

class Runner(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_ready)

    def _on_ready(self, event):
        web = event.workload
        web.add_layer("brief", {"services": {"brief": {
            "override": "replace", "command": "sh -c 'exit 4'", "startup": "enabled",
        }}})
        web.replan()
        web.push("/srv/add.sh", "cat > added", make_dirs=True)
        web.exec(["sh", "/srv/add.sh"], stdin="given", working_dir="/srv").wait()
        self.unit.status = ops.ActiveStatus(web.pull("/srv/added").read())
"""


def test_a_command_sees_the_files_and_an_exited_service_is_named(juju: Typist):
    write_charm(juju.folder / "runner", CHARMCRAFT, CHARM)

    juju("deploy ./runner")

    juju.until("status", lambda output: "given" in output)
    juju.until(
        "debug-log --replay", lambda output: 'service "brief" exited quickly with code 4' in output
    )
