"""The start and the end of a run."""

from pathlib import Path

import pytest

from rehearsal.rehearsal import Rehearsal


def open_sockets(rehearsal: Rehearsal) -> list[str]:
    """Return the Unix sockets in the folder of a run that this machine has open."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return [line.split()[-1] for line in lines if str(rehearsal.directory) in line]


def test_a_run_that_cannot_start_envoy_leaves_no_socket_open():
    rehearsal = Rehearsal()
    (rehearsal.directory / "mesh" / "bootstrap.json").mkdir()  # Envoy's file of this name

    before = open_sockets(rehearsal)
    with pytest.raises(IsADirectoryError):
        rehearsal.__enter__()

    assert (len(before), open_sockets(rehearsal)) == (2, [])


def test_a_run_that_has_ended_leaves_no_socket_open():
    with Rehearsal() as rehearsal:
        during = open_sockets(rehearsal)

    assert (len(during) >= 2, open_sockets(rehearsal)) == (True, [])
