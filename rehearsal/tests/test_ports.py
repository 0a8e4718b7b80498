"""Other servers of this machine that hold a port which a bundle needs."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.kubernetes.store import Store
from rehearsal.machine.ports import PortError, Ports

ROOT = Path(__file__).parents[2]
REHEARSAL = [sys.executable, "-m", "rehearsal"]
Done = subprocess.CompletedProcess[str]
WriteBundle = Callable[..., Path]
ADDRESSES = {
    "0.0.0.0": (socket.AF_INET, "0.0.0.0"),  # noqa: S104 (as the servers of other people do)
    "[::]": (socket.AF_INET6, "::"),
    "[::ffff:0.0.0.0]": (socket.AF_INET6, "::ffff:0.0.0.0"),
}


@pytest.fixture(params=ADDRESSES)
def taken(request: pytest.FixtureRequest) -> Generator[int]:
    """A port on which this process listens, on all addresses."""
    family, address = ADDRESSES[request.param]
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        yield server.getsockname()[1]


def rehearse(*words: str) -> Done:
    return subprocess.run(
        [*REHEARSAL, *words], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )


def message(port: int) -> str:
    """Return the line that names this process as the one that listens on a port."""
    name = Path("/proc/self/comm").read_text().strip()
    return (
        f"ERROR cannot listen on port {port}, which Service plain/web needs: process {os.getpid()} "
        f"({name}) listens on it on all addresses. End that process and try again.\n"
    )


def test_a_port_that_another_process_holds_ends_the_run(taken: int, write_bundle: WriteBundle):
    bundle = write_bundle({"web": {"options": {"port": taken}}})

    done = rehearse("run", str(bundle))

    assert (done.returncode, done.stderr) == (1, message(taken))


def test_a_held_port_ends_the_command_that_runs(taken: int, write_bundle: WriteBundle):
    bundle = write_bundle({"web": {"options": {"port": taken}}})
    script = f"juju add-model plain; juju deploy {bundle} --trust; exec sleep 600"
    start = time.monotonic()

    done = rehearse("exec", "sh", "-c", script)

    assert done.returncode == 1
    assert done.stderr.endswith(message(taken))
    assert time.monotonic() - start < 30


def test_a_port_on_another_address_is_free(write_bundle: WriteBundle):
    with socket.create_server(("127.0.0.1", 0)) as server:
        bundle = write_bundle({"web": {"options": {"port": server.getsockname()[1]}}})

        done = rehearse("run", str(bundle))

    assert done.returncode == 0, done.stderr
    assert re.search(r"GET :\d+ / ", done.stdout)


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
    assert f"a workload, process {workload.pid} (" in str(error)
    assert str(error).endswith("It has to listen on the address in $BIND_ADDRESS.")


def service(name: str, port: int) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": port}], "clusterIP": "127.77.16.1"}
    return {"kind": "Service", "metadata": {"name": name, "namespace": "m"}, "spec": spec}
