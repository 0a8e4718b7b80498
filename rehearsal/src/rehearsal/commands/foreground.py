"""A command in the foreground: waited for, and ended when the run ends before it."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

_NOT_FOUND = 127
"""Exit status of a shell for a command that cannot be run."""
_LOOK_UP, _END_TIMEOUT = 0.5, 2.0
"""Seconds between two looks at the command, and until it has to have ended."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command and return its exit status, 127 if it cannot be run."""
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
