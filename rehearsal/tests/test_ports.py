"""Other servers of this machine that hold a port which a bundle needs."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rehearsal.kubernetes.store import Store
from rehearsal.machine.namespace import create
from rehearsal.machine.ports import PortError, Ports
from tests import older_kernel

ROOT = Path(__file__).parents[2]
REHEARSAL = [sys.executable, "-m", "rehearsal"]
Done = subprocess.CompletedProcess[str]
WriteBundle = Callable[..., Path]
Server = Callable[[int, int], str]
WITHOUT_UNSHARE = [sys.executable, older_kernel.__file__, "unshare"]
ADDRESSES = {
    "0.0.0.0": (socket.AF_INET, "0.0.0.0"),  # noqa: S104 (as the servers of other people do)
    "[::]": (socket.AF_INET6, "::"),
    "[::ffff:0.0.0.0]": (socket.AF_INET6, "::ffff:0.0.0.0"),
}


def has_a_network_of_its_own() -> bool:
    namespace = create()
    if namespace:
        namespace.close()
    return namespace is not None


in_each_way = pytest.mark.parametrize("taken", ADDRESSES, indirect=True)
needs_a_network_of_its_own = pytest.mark.skipif(
    not has_a_network_of_its_own(), reason="this kernel gives no process a network of its own"
)


@pytest.fixture
def taken(request: pytest.FixtureRequest) -> Generator[int]:
    """A port on which this process listens, on all addresses."""
    family, address = ADDRESSES[getattr(request, "param", "0.0.0.0")]  # noqa: S104 (as they do)
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        yield server.getsockname()[1]


def rehearse(*words: str, before: Sequence[str] = ()) -> Done:
    """Run the rehearsal, by means of another program if one is given."""
    return subprocess.run(
        [*before, *REHEARSAL, *words],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def this_process() -> str:
    name = Path("/proc/self/comm").read_text().strip()
    return f"process {os.getpid()} ({name})"


def answering(write_bundle: WriteBundle, server: Server, port: int) -> str:
    """Write a bundle with an application that answers on a port."""
    options = {"port": port, "program": server(port, 200)}
    return str(write_bundle({"web": {"options": options}}))


@in_each_way
@needs_a_network_of_its_own
def test_a_run_goes_on_beside_a_server_that_holds_a_port(
    taken: int, write_bundle: WriteBundle, server: Server
):
    done = rehearse("run", answering(write_bundle, server, taken))

    assert done.returncode == 0
    assert re.search(rf"GET :{taken} / +200", done.stdout)
    reason = f"{this_process()} listens on it on all addresses of this machine"
    assert done.stderr == f"port {taken} of pods can be reached by units alone: {reason}\n"


@needs_a_network_of_its_own
def test_typed_commands_reach_units_beside_such_a_server(
    taken: int, write_bundle: WriteBundle, server: Server
):
    call = f"curl -s -o /dev/null -w '%{{http_code}} ' http://web:{taken}/"
    script = f"""
juju add-model plain && juju deploy {answering(write_bundle, server, taken)} --trust
until juju status | grep -q 'web/0.*active.*idle'; do sleep 0.1; done
juju exec --unit web/0 -- sh -c "until curl -sf http://web:{taken}/; do sleep 0.1; done; {call}"
juju ssh web/0 "{call}"
juju ssh --container web web/0 "{call}"
"""

    done = rehearse("exec", "sh", "-c", script)

    assert done.stdout.endswith("\n200 200 200 "), done.stderr


@needs_a_network_of_its_own
def test_this_machine_reaches_the_pods(write_bundle: WriteBundle, server: Server):
    port = free_port()
    script = f"""
juju add-model plain && juju deploy {answering(write_bundle, server, port)} --trust
until juju status | grep -q 'web/0.*active.*idle'; do sleep 0.1; done
address=$(juju status --format json | grep -o '127[0-9.]*' | tail -n 1)
until curl -sf http://$address:{port}/; do sleep 0.1; done
curl -s -o /dev/null -w '%{{http_code}}' http://$address:{port}/
"""

    done = rehearse("exec", "sh", "-c", script)

    assert done.stdout.endswith("\n200"), done.stderr


def test_the_users_command_keeps_this_machines_network():
    """A test suite that downloads something, or needs a server of its user, still can."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"readlink /proc/self/ns/net; exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"

        done = rehearse("exec", "bash", "-c", script)

    assert done.stdout.splitlines() == [os.readlink("/proc/self/ns/net"), "reached"]


def message(port: int) -> str:
    """Return the line that names this process as the one that listens on a port."""
    return (
        f"ERROR cannot listen on port {port}, which Service plain/web needs: {this_process()} "
        "listens on it on all addresses. End that process and try again.\n"
    )


@in_each_way
def test_without_a_network_of_its_own_a_held_port_ends_a_run(
    taken: int, write_bundle: WriteBundle, server: Server
):
    bundle = answering(write_bundle, server, taken)

    done = rehearse("run", bundle, before=WITHOUT_UNSHARE)

    assert (done.returncode, done.stderr) == (1, message(taken))


def test_without_a_network_of_its_own_a_held_port_ends_a_command(
    taken: int, write_bundle: WriteBundle, server: Server
):
    bundle = answering(write_bundle, server, taken)
    script = f"juju add-model plain; juju deploy {bundle} --trust; exec sleep 600"
    start = time.monotonic()

    done = rehearse("exec", "sh", "-c", script, before=WITHOUT_UNSHARE)

    assert done.returncode == 1
    assert done.stderr.endswith(message(taken))
    assert time.monotonic() - start < 30


def test_a_port_that_is_held_on_another_address_is_free(write_bundle: WriteBundle, server: Server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        done = rehearse("run", answering(write_bundle, server, port), before=WITHOUT_UNSHARE)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"GET :{port} / +200", done.stdout)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


WILDCARD = """
import socket, time
server = socket.create_server(("0.0.0.0", 0))
print(server.getsockname()[1], flush=True)
time.sleep(600)
"""


def test_a_workload_that_holds_a_port_is_told_where_to_listen():
    store, errors = Store(), list[PortError]()
    Ports(store, "127.77.0.1", errors.append, istio=True)
    environment = os.environ | {"BIND_ADDRESS": "127.77.128.1"}
    command = [sys.executable, "-c", WILDCARD]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as workload:
        assert workload.stdout
        port = int(workload.stdout.readline())

        store.put(service("web", port))
        workload.kill()

    [error] = errors
    assert f" needs: process {workload.pid} (" in str(error)
    assert str(error).endswith("It has to listen on the address in $BIND_ADDRESS.")


def service(name: str, port: int) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": port}], "clusterIP": "127.77.16.1"}
    return {"kind": "Service", "metadata": {"name": name, "namespace": "m"}, "spec": spec}
