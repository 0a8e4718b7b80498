"""`juju-rehearsal shell` on a terminal, and `explain` inside and outside of it."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
REHEARSAL = [sys.executable, "-m", "rehearsal"]
EXPLAIN = "juju-rehearsal explain"
ADVICE = "A charm opens ports with `unit.set_ports`."
WriteBundle = Callable[..., Path]
Spec = Mapping[str, Any]


class Terminal:
    """A terminal with a program on it, which is the terminal's own session."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [shutil.which("setsid") or "setsid", "--ctty", *command],
            cwd=ROOT,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.shown = ""

    def until(self, pattern: str) -> "re.Match[str]":
        """Read up to a pattern. Later reads begin after it."""
        deadline = time.monotonic() + 60
        while not (match := re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, self.shown
            if select.select([self._master], [], [], 0.1)[0]:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
        self.shown = self.shown[match.end() :]
        return match

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def exit(self) -> None:
        self.type("exit\n")

    def end_of_file(self) -> None:
        self.type("\x04")

    def terminate(self) -> None:
        self.process.terminate()

    def close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def end(self) -> None:
        self.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()


Open = Callable[..., Terminal]


@pytest.fixture
def open_shell(tmp_path: Path) -> Generator[Open]:
    """Open a terminal with the rehearsal's shell on it, in a home of its own."""
    terminals: list[Terminal] = []

    def open_shell(*words: str, shell: str = "bash") -> Terminal:
        environment = {"HOME": str(tmp_path), "SHELL": shell, "TERM": "dumb", "ZDOTDIR": ""}
        terminal = Terminal([*REHEARSAL, "shell", *words], os.environ | environment)
        terminals.append(terminal)
        return terminal

    yield open_shell
    for terminal in terminals:
        terminal.end()


def directory_of(terminal: Terminal) -> Path:
    terminal.type("echo at=$REHEARSAL_DIRECTORY=\n")
    return Path(terminal.until(r"at=(/[^=]*)=")[1])


@pytest.mark.parametrize("shell", ["bash", "sh", "zsh"])
def test_the_prompt_names_the_rehearsal_and_juju_is_its_own(open_shell: Open, shell: str):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    terminal = open_shell(shell=shell)

    terminal.until(r"\(rehearsal\) ")
    terminal.type("juju version\n")

    terminal.until(r"3\.6\.\d+")


def test_the_shell_has_the_juju_that_was_chosen(open_shell: Open):
    terminal = open_shell("--juju", "4")

    terminal.until(r"\(rehearsal\) ")
    terminal.type("juju version\n")

    terminal.until(r"4\.0\.\d+-ubuntu")


@pytest.mark.parametrize(("shell", "file"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_the_users_own_settings_stay_but_for_juju(
    open_shell: Open, tmp_path: Path, shell: str, file: str
):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    own = tmp_path / "own" / "juju"
    own.parent.mkdir()
    own.write_text("#!/bin/sh\necho the other juju\n")
    own.chmod(0o755)
    (tmp_path / file).write_text(f"PS1='mine> '\nPATH={own.parent}:$PATH\n")
    terminal = open_shell(shell=shell)

    terminal.until(r"\(rehearsal\) mine> ")
    terminal.type("command -v juju\n")

    terminal.until(r"/rehearsal-[^/]*/bin/juju")


@pytest.mark.parametrize(
    "leave",
    [Terminal.exit, Terminal.end_of_file, Terminal.close, Terminal.terminate],
    ids=["exit", "Ctrl-D", "terminal closed", "SIGTERM"],
)
def test_nothing_is_left_when_the_shell_is_left(
    open_shell: Open, leave: Callable[[Terminal], None]
):
    terminal = open_shell()
    terminal.until(r"\(rehearsal\) ")
    directory = directory_of(terminal)
    assert directory.exists()
    terminal.until(r"\(rehearsal\) ")

    leave(terminal)
    terminal.process.wait(30)

    assert not directory.exists()


def test_leaving_is_no_failure_whatever_was_typed_last(open_shell: Open):
    terminal = open_shell()
    terminal.until(r"\(rehearsal\) ")

    terminal.type("false\nexit\n")

    assert terminal.process.wait(30) == 0


def test_ctrl_c_ends_what_runs_in_the_shell_and_not_the_shell(open_shell: Open):
    terminal = open_shell()
    terminal.until(r"\(rehearsal\) ")

    terminal.type("sleep 600; echo slept\n")
    terminal.until("slept")
    time.sleep(0.2)  # until the shell has started it
    terminal.type("\x03")

    terminal.until(r"\(rehearsal\) ")
    assert directory_of(terminal).exists()


def test_a_bundle_runs_and_what_is_not_well_is_said(open_shell: Open, write_bundle: WriteBundle):
    bundle = write_bundle({"bad": {"options": {"hook": "raises"}}, "good": {}})
    terminal = open_shell(str(bundle))

    terminal.until("bad/0 is error: .*told to raise")
    terminal.until("Applications: bad, good")
    terminal.until(r"\(rehearsal\) ")
    terminal.type("juju status\n")

    terminal.until(r"plain +rehearsal")
    terminal.until(r"good/0\* +active")


def test_a_bundle_that_juju_refuses_opens_no_shell(open_shell: Open, write_bundle: WriteBundle):
    terminal = open_shell(str(write_bundle({"web": {"charm": "./missing"}})))

    terminal.until("ERROR cannot deploy bundle")
    assert terminal.process.wait(30) == 1


def test_what_the_greeting_says_of_the_demo_can_be_typed(open_shell: Open):
    terminal = open_shell("bundles/demo.yaml")

    called = terminal.until(r"(juju exec --unit scraper/0 -- curl \S+ \S+)")[1]
    asked = terminal.until(r"(juju-rehearsal explain .*)\r\n")[1]
    opened = terminal.until(r"(juju-rehearsal open scraper)")[1]
    terminal.until(r"\(rehearsal\) ")
    terminal.type(f"{opened}\n")
    page = terminal.until(r"port 8080 of scraper/0: (http://127.0.0.1:\d+/)")[1]
    assert "<html" in httpx.get(page, trust_env=False, timeout=30).text.lower()
    terminal.type("\x03")

    terminal.type(f"{called}\n")
    terminal.until('{"items": ')
    terminal.type(f"{called.replace('scraper/0', 'outsider/0')}\n")
    terminal.until("access denied")
    terminal.type(f"{asked}\n")
    terminal.until("allowed: ")
    terminal.type(f"{asked.replace('GET', 'POST')}\n")
    terminal.until("denied: ")
    terminal.type(f"{asked.replace('explain scraper', 'explain outsider')}\n")
    terminal.until("denied: no relation")
    for typo, answer in (
        ("scarper", "ERROR no application scarper in model demo"),
        ("scraper/0", "ERROR scraper/0 is a unit; the caller is an application"),
        ("other.scraper", "ERROR model rehearsal:admin/other not found"),
    ):
        terminal.type(f"{asked.replace('explain scraper', f'explain {typo}')}\n")
        terminal.until(re.escape(answer))


def explain(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*REHEARSAL, "explain", *words],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
    )


def test_outside_of_a_rehearsal_explain_says_how():
    done = explain("scraper", "producer", "GET", "/data", "8080")

    assert done.returncode == 1
    assert done.stderr.startswith("ERROR no rehearsal runs here.")
    assert "juju-rehearsal shell BUNDLE" in done.stderr


def test_without_a_mesh_explain_has_the_answer_of_the_proxy(write_bundle: WriteBundle):
    bundle = write_bundle({"web": {}})
    wait = "until juju status | grep -q 'web/0.* active'; do sleep 0.1; done"
    deployed = f"juju add-model m; juju deploy {bundle} --trust; {wait}"
    words = f"{deployed}; {EXPLAIN} web web GET / 8000; {EXPLAIN} web web GET / 80"

    done = subprocess.run(
        [*REHEARSAL, "exec", "sh", "-c", words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert done.stdout.endswith(
        "allowed: no policy is for pod web-0\n"
        "  no application of this model offers service_mesh and has the action `explain`, "
        "which could say more\n"
    )
    assert "ERROR web has no open port 80; its open ports are: 8000." in done.stderr


def test_an_unknown_caller_or_target_lists_the_known_ones(write_bundle: WriteBundle):
    bundle = write_bundle({"web": {"scale": 2}, "db": {}})
    calls = ["wbe db", "web-x db", "web/0 db", "web wbe", "web db-x", "web db/7", "web db/x"]
    calls.append("web db-endpoints")
    lines = "\n".join(f"{EXPLAIN} {call} GET / 80" for call in calls)

    done = subprocess.run(
        [*REHEARSAL, "exec", "sh", "-c", f"juju add-model m; juju deploy {bundle}\n{lines}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    missing = "ERROR no application {} in model m; its applications are: db, web"
    assert errors == [
        missing.format("wbe"),
        missing.format("web-x"),
        "ERROR web/0 is a unit; the caller is an application: web",
        missing.format("wbe"),
        missing.format("db-x"),
        "ERROR no unit db/7; the units of db are: db/0",
        "ERROR no unit db/x; the units of db are: db/0",
        f"ERROR db-endpoints has no open port 80; its open ports are: none. {ADVICE}",
    ]


@pytest.mark.parametrize("port", ["http", "0", "99999"])
def test_a_port_that_is_none_is_named(port: str):
    done = explain("scraper", "producer", "GET", "/data", port)

    assert done.returncode == 2
    assert f"PORT: {port} is none (1 to 65535)" in done.stderr


def test_an_unknown_workload_cannot_be_opened(write_bundle: WriteBundle):
    bundle = write_bundle({"web": {}})
    words = f"juju add-model m; juju deploy {bundle}; juju-rehearsal open wbe"

    done = subprocess.run(
        [*REHEARSAL, "exec", "sh", "-c", words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "ERROR no application or unit wbe; there are: web" in done.stderr


def test_outside_of_a_rehearsal_open_says_how():
    done = subprocess.run(
        [*REHEARSAL, "open", "web"], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.startswith("ERROR no rehearsal runs here.")
