"""A container: real files, real processes, real checks."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.juju.hooks.messages import PebbleCall
from rehearsal.juju.pods.pebble import Container
from rehearsal.machine.processes import Processes

ADDRESS = "127.0.0.1"


def call(operation: str, *services: str, **plan: Any) -> PebbleCall:
    return PebbleCall("web", operation, services, plan)


def service(command: str, **more: Any) -> dict[str, Any]:
    return {"command": command, "startup": "enabled", **more}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def changed() -> threading.Event:
    """Set when the container became ready or ceased to be."""
    return threading.Event()


@pytest.fixture
def container(directory: Path, changed: threading.Event) -> Generator[Container]:
    processes = Processes(directory)
    container = Container(
        "web", directory / "web", ADDRESS, {"POD": "web-0"}, processes, changed.set
    )
    yield container
    container.stop()
    processes.close()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_replan_starts_what_is_enabled_and_no_more(container: Container):
    idle = {"command": "sleep 600", "startup": "disabled"}

    container.call(call("replan", services={"web": service("sleep 600"), "idle": idle}))

    assert container.active == ["web"]


def test_replan_restarts_what_has_changed_and_nothing_else(container: Container):
    def plan(word: str) -> PebbleCall:
        says = service(f"sh -c 'echo {word} >> said; exec sleep 600'")
        same = service("sh -c 'echo same >> said; exec sleep 600'")
        return call("replan", services={"says": says, "same": same})

    said = container.root / "said"

    container.call(plan("one"))
    wait_for(lambda: said.exists() and len(said.read_text().splitlines()) == 2)
    container.call(plan("one"))
    container.call(plan("two"))

    wait_for(lambda: "two" in said.read_text())
    assert sorted(said.read_text().splitlines()) == ["one", "same", "two"]


def test_a_service_is_stopped_and_started_by_name(container: Container):
    services = {"web": service("sleep 600")}
    container.call(call("replan", services=services))

    container.call(call("stop", "web", services=services))
    stopped = container.active
    container.call(call("start", "web", services=services))

    assert (stopped, container.active) == ([], ["web"])


def test_a_service_that_exits_is_started_again(container: Container):
    container.call(call("replan", services={"web": service("sh -c 'echo ran >> ran'")}))

    ran = container.root / "ran"
    wait_for(lambda: ran.exists() and len(ran.read_text().splitlines()) > 1)


def test_autostart_starts_enabled_services_and_restarts_none(container: Container):
    idle = {"command": "sleep 600", "startup": "disabled"}
    container.call(call("start", "web", services={"web": service("sleep 600")}))
    before = container.services["web"].process.pid

    changed = service("sleep 601")
    services = {"web": changed, "other": service("sleep 600"), "idle": idle}
    container.call(call("autostart", services=services))

    assert sorted(container.active) == ["other", "web"]
    assert container.services["web"].process.pid == before


@pytest.mark.parametrize(
    ("command", "actions", "runs"),
    [
        ("true", {"on-success": "ignore"}, 1),
        ("false", {"on-failure": "ignore"}, 1),
        ("true", {"on-failure": "ignore"}, 3),
        ("false", {"on-success": "ignore", "on-failure": "restart"}, 3),
    ],
)
def test_a_service_that_exits_is_restarted_unless_ignored(
    container: Container, command: str, actions: dict[str, str], runs: int
):
    command = f"sh -c 'echo ran >> ran; {command}'"
    backoff = {"backoff-delay": "100ms", "backoff-factor": 1, "backoff-limit": "100ms"}
    ran = container.root / "ran"

    container.call(call("replan", services={"web": service(command, **backoff, **actions)}))

    wait_for(lambda: ran.exists() and len(ran.read_text().splitlines()) >= runs)
    time.sleep(1)
    assert (len(ran.read_text().splitlines()) > 1) is (runs > 1)


def test_a_replan_starts_an_ignored_service_again(container: Container):
    once = service("sh -c 'echo ran >> ran'", **{"on-success": "ignore"})
    ran = container.root / "ran"
    container.call(call("replan", services={"web": once}))
    wait_for(lambda: ran.exists() and not container.active)

    container.call(call("replan", services={"web": once}))

    wait_for(lambda: ran.read_text().splitlines() == ["ran", "ran"])


def test_the_delays_between_restarts_grow_to_their_limit(container: Container):
    backoff = {"backoff-delay": "100ms", "backoff-factor": 3, "backoff-limit": "1s"}
    container.call(call("replan", services={"web": service("false", **backoff)}))

    delays: list[float] = []
    while len(delays) < 4:
        wait_for(lambda: container.services["web"].restarts == len(delays) + 1)
        delays.append(container.services["web"].backoff)

    assert delays == pytest.approx([0.1, 0.3, 0.9, 1.0])


@pytest.mark.parametrize("action", ["shutdown", "success-shutdown"])
def test_a_service_can_shut_its_container_down(
    container: Container, changed: threading.Event, action: str
):
    """The kubelet starts it again, from its image: without files, layers and services."""
    (container.root / "made").write_text("by a hook")
    ends = service("sh -c 'sleep 0.3; exit 1'", **{"on-failure": action})

    services = {"ends": ends, "ends-too": ends, "other": service("sleep 600")}
    container.call(call("replan", services=services))

    assert changed.wait(10)
    wait_for(container.take_restarted)
    assert (container.active, list(container.root.iterdir())) == ([], [])


@pytest.mark.parametrize(("action", "runs"), [("restart", 2), ("ignore", 1)])
def test_a_check_that_fails_restarts_a_service_if_asked(
    container: Container, changed: threading.Event, action: str, runs: int
):
    failing = {"period": "50ms", "threshold": 1, "exec": {"command": "false"}}
    asked = {"backoff-delay": "50ms", "on-check-failure": {"failing": action}}
    web = service("sh -c 'echo ran >> ran; exec sleep 600'", **asked)
    ran = container.root / "ran"

    container.call(call("replan", services={"web": web}, checks={"failing": failing}))

    assert changed.wait(10)
    wait_for(lambda: ran.exists() and len(ran.read_text().splitlines()) >= runs)
    time.sleep(0.5)
    assert (ran.read_text().splitlines(), container.active) == (["ran"] * runs, ["web"])


def test_a_service_that_exits_quickly_is_told_once(container: Container, changed: threading.Event):
    services = {"bad": service("sh -c 'exit 3'"), "good": service("sleep 600")}

    container.call(call("replan", services=services))

    assert changed.wait(10)
    assert (container.take_exited(), container.take_exited()) == ({"bad": 3}, {})


def test_paths_of_the_container_are_its_own_files(container: Container):
    program = container.root / "opt" / "web.sh"
    program.parent.mkdir()
    program.write_text('echo "$POD $WORD $BIND_ADDRESS" > told')

    environment = {"WORD": "hello"}
    web = service("sh /opt/web.sh", environment=environment)
    container.call(call("start", "web", services={"web": web}))

    told = container.root / "told"
    wait_for(lambda: told.exists() and told.read_text())
    assert told.read_text() == f"web-0 hello {ADDRESS}\n"


def test_a_program_that_is_not_on_this_machine_is_named(container: Container):
    container.call(call("replan", services={"web": service("no-such-program --serve")}))

    [sentence] = container.left_out
    assert container.active == []
    assert "no-such-program" in sentence


@pytest.mark.parametrize(
    "config",
    [
        service("sleep 600", **{"working-dir": "/no/such/folder"}),
        service("sh -c 'unbalanced"),
    ],
)
def test_a_service_that_cannot_be_started_is_an_error(container: Container, config: dict[str, Any]):
    with pytest.raises((OSError, ValueError)):
        container.call(call("replan", services={"web": config}))

    assert container.active == []


def test_what_was_stopped_stays_so(container: Container):
    container.stop()

    container.call(call("replan", services={"web": service("sleep 600")}))

    assert container.active == []


def test_a_check_that_fails_makes_the_container_unready(
    container: Container, changed: threading.Event
):
    check = {"level": "ready", "period": "20ms", "threshold": 2, "exec": {"command": "false"}}

    container.call(call("replan", checks={"serving": check}))

    assert changed.wait(10)
    assert not container.ready


def test_a_check_that_succeeds_leaves_it_ready(container: Container):
    exec_check = {"command": f"sh -c 'echo x >> {container.root}/checked'"}
    check = {"level": "ready", "period": "20ms", "threshold": 1, "exec": exec_check}

    container.call(call("replan", checks={"serving": check}))

    wait_for((container.root / "checked").exists)
    assert container.ready


def test_a_check_of_another_level_says_nothing_about_readiness(container: Container):
    probed = container.root / "probed"
    command = f"sh -c 'echo x >> {probed}; exit 1'"
    check = {"level": "alive", "period": "20ms", "threshold": 1, "exec": {"command": command}}

    container.call(call("replan", checks={"serving": check}))

    wait_for(lambda: probed.exists() and len(probed.read_text()) > 4)
    assert container.ready


@pytest.mark.parametrize(
    ("kind", "config"),
    [("http", {"url": "http://localhost:{port}/"}), ("tcp", {"port": "{port}"})],
)
def test_a_check_looks_at_the_containers_own_address(
    container: Container, changed: threading.Event, kind: str, config: dict[str, str]
):
    """Nothing listens there at first: down; then a server does: up."""
    port = free_port()
    filled = {key: value.format(port=port) for key, value in config.items()}
    check = {"level": "ready", "period": "50ms", "threshold": 1, kind: filled}
    web = service(f"python3 -m http.server --bind {ADDRESS} {port}", startup="disabled")
    plan = {"services": {"web": web}, "checks": {"serving": check}}

    container.call(call("replan", **plan))
    assert changed.wait(10)
    assert not container.ready
    container.call(call("start", "web", **plan))

    wait_for(lambda: container.ready)


@pytest.mark.parametrize(
    "check",
    [
        {"http": {"url": "foo://localhost/"}},
        {"http": {"url": "localhost/"}},
        {"http": {"url": "http://localhost:abc/"}},
        {"http": {"url": "http://localhost:80/a b"}},
        {"tcp": {"port": 99999}},
    ],
)
def test_what_cannot_be_checked_is_down(
    container: Container, changed: threading.Event, check: dict[str, Any]
):
    asked = {"level": "ready", "period": "20ms", "threshold": 1, **check}

    container.call(call("replan", checks={"serving": asked}))

    assert changed.wait(10)
    assert container.checks == {"serving": False}


def test_what_does_not_speak_http_is_down(container: Container, changed: threading.Event):
    with socket.create_server((ADDRESS, 0)) as server:
        url = f"http://localhost:{server.getsockname()[1]}/"
        check = {"level": "ready", "period": "20ms", "threshold": 1, "http": {"url": url}}

        container.call(call("replan", checks={"serving": check}))
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"+PONG\r\n")

    assert changed.wait(10)
    assert container.checks == {"serving": False}


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"services": {"a": {}}}, 'plan must define "command" for service "a"'),
        ({"services": {"a": {"command": ""}}}, 'plan must define "command" for service "a"'),
        ({"services": {"a": {"command": "sh -c 'x"}}}, "No closing quotation"),
        (
            {"services": {"a": {"command": "true", "on-success": "success-shutdown"}}},
            'plan service "a" on-success action "success-shutdown" invalid',
        ),
        (
            {"services": {"a": {"command": "true", "on-check-failure": {"up": "explode"}}}},
            'plan service "a" on-check-failure action "explode" invalid',
        ),
        (
            {"services": {"a": {"command": "true", "backoff-factor": 0.5}}},
            'plan service "a" backoff-factor must be 1.0 or greater, not 0.5',
        ),
        ({"checks": {"a": {}}}, 'plan must specify one of "http", "tcp", or "exec" for check "a"'),
        ({"checks": {"a": {"exec": {"command": ""}}}}, 'plan must set "command" for exec'),
        ({"checks": {"a": {"tcp": {}, "period": "abc"}}}, 'time: invalid duration "abc"'),
        ({"checks": {"a": {"tcp": {}, "threshold": "abc"}}}, "abc"),
    ],
)
def test_a_plan_that_pebble_does_not_take_changes_nothing(
    container: Container, plan: dict[str, Any], message: str
):
    services = {"web": service("sleep 600")}
    container.call(call("replan", services=services))

    with pytest.raises(ValueError, match=message):
        container.call(call("replan", **{"services": services, **plan}))

    assert container.active == ["web"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]
