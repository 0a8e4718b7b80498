"""Other servers of this machine that hold a port which a bundle needs."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

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
