"""The command line of the rehearsal."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import FrameType

from rehearsal.rehearsal import Rehearsal

_NOT_FOUND = 127
"""Exit status of a shell for a command that cannot be run."""
_LOOK_UP, _END_TIMEOUT = 0.5, 2.0
"""Seconds between two looks at the command, and until it has to have ended."""
_DESCRIPTION = """\
A Juju, a Kubernetes API and a service mesh on this machine, for as long as a command runs.

It proves charm logic, relation data, the effect of labels and policies on a Kubernetes API, who
may call whom over real HTTP with cryptographic identity, and the flow of juju commands.
It does not prove scheduling, images, Juju's timing and retries, or a CNI.
"""


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    execute = commands.add_parser(
        "exec", help="run a command with the rehearsal's juju first on PATH and KUBECONFIG set"
    )
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    arguments = parser.parse_args(words)
    if not arguments.words:
        execute.error("no command given, such as: python -m rehearsal exec bash")
    return _execute(arguments.words)


def _execute(command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    threading.excepthook = _give_up
    try:
        with Rehearsal() as rehearsal:
            return _run(command, os.environ | rehearsal.environment)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End in order, and only once: who presses Ctrl-C twice gets no less."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _give_up(failure: threading.ExceptHookArgs) -> None:
    """End the run with the part whose thread has failed; without it commands would wait forever."""
    threading.__excepthook__(failure)
    os.kill(os.getpid(), signal.SIGTERM)


def _run(command: list[str], environment: Mapping[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return _NOT_FOUND
    try:
        return _wait(process)
    finally:
        _end(process)


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit status; looks up now and then, since a signal may reach another thread."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_UP)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the command: a shell at its prompt ignores SIGTERM, but not that its terminal is gone."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_TIMEOUT)


if __name__ == "__main__":
    sys.exit(main())
