"""The program behind `juju`, if the controller does not answer."""

import marshal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rehearsal.juju.cli import client

PART_OF_AN_ANSWER = marshal.dumps({"stream": "stdout", "text": "never seen"})[:-1]


def run(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-IS", client.__file__, str(path), "status"],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("answer", [b"", PART_OF_AN_ANSWER], ids=["nothing", "part of an answer"])
def test_a_controller_that_ends_is_an_error(tmp_path: Path, answer: bytes):
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as pool:
        listener.bind(str(tmp_path / "juju.socket"))
        listener.listen()
        done = pool.submit(run, tmp_path / "juju.socket")
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

        told = done.result()

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "ERROR the rehearsal has ended\n"


def test_a_controller_that_is_not_there_is_an_error(tmp_path: Path):
    told = run(tmp_path / "juju.socket")

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("ERROR the rehearsal is not running: ")
