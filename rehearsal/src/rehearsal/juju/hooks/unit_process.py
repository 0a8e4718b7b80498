"""A process for each unit of a charm, forked from the one that has imported the charm.

A fork for each hook would be simpler, but takes longer than the hook: it copies nearly all the
memory that Python looks at. A process therefore goes on as long as its hooks leave no state behind.
"""

import os
import sys
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_MOST = 8
"""Processes of units that one charm keeps; the others are forked again for their next hook."""
Run = Callable[[bytes], bool]
"""Runs a hook of which the context is given and sends the result; returns whether it was clean."""


class UnitProcesses:
    """Runs hooks in the processes of their units.

    Args:
        run: runs a hook in a process.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._processes: dict[Path, tuple[int, Connection[Any, Any]]] = {}

    def run(self, unit: Path, context: bytes) -> None:
        """Run a hook and return when it has ended.

        Args:
            unit: folder of the unit's charm.
            context: the context of the hook as it was received.

        Raises:
            SystemExit: the hook has ended its process.
        """
        process, connection = self._processes.pop(unit, None) or self._fork()
        connection.send_bytes(context)
        try:
            is_clean: bool = connection.recv()
        except (EOFError, ConnectionError):
            _, status = os.waitpid(process, 0)
            sys.exit(_end(status))
        self._processes[unit] = process, connection
        if not is_clean:
            self._drop(unit)
        elif len(self._processes) > _MOST:
            self._drop(next(iter(self._processes)))

    def _fork(self) -> tuple[int, "Connection[Any, Any]"]:
        ours, theirs = Pipe()
        process = os.fork()
        if process:
            theirs.close()
            return process, ours
        for each in (ours, *(connection for _, connection in self._processes.values())):
            each.close()  # else the child of another unit would never hear that it is to end
        self._serve(theirs)
        os._exit(0)

    def _serve(self, connection: "Connection[Any, Any]") -> None:
        while True:
            try:
                context = connection.recv_bytes()
            except EOFError:
                return
            connection.send(self._run(context))

    def _drop(self, unit: Path) -> None:
        process, connection = self._processes.pop(unit)
        connection.close()
        os.waitpid(process, 0)


def _end(status: int) -> str:
    """Return the way in which a process ended that gave no answer."""
    code = os.waitstatus_to_exitcode(status)
    return (
        f"the hook ended by signal {-code}" if code < 0 else f"the hook exited with status {code}"
    )
