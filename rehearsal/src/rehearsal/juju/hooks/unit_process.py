"""A process for each unit of a charm, forked from the one that has imported the charm.

A fork for each hook would be simpler, but takes longer than the hook: it copies nearly all the
memory that Python looks at. A process therefore goes on as long as its hooks leave no state behind.

Some code imports packages only in a function, for example a client for Kubernetes. The process that
forks imports them, too, once a hook has, so that the next units need not do it again.
"""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_MOST = 8
"""Processes of units that one charm keeps; the others are forked again for their next hook."""
Run = Callable[[bytes], bool]
"""Runs a hook of which the context is given and sends the result; returns whether it was clean."""
Names = Callable[[], frozenset[str]]
"""Returns the names of the imported modules that are not the charm's own."""


class UnitProcesses:
    """Runs hooks in the processes of their units.

    Args:
        begin: is called in a new process.
        run: runs a hook in a process.
        imported: returns the names of the modules that are imported.
    """

    def __init__(self, begin: Callable[[], None], run: Run, imported: Names) -> None:
        self._begin = begin
        self._run = run
        self._imported = imported
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
            is_clean, imported = connection.recv()
        except (EOFError, ConnectionError):
            _, status = os.waitpid(process, 0)
            sys.exit(_end(status))
        self._processes[unit] = process, connection
        _import(imported)
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
        self._begin()
        known = self._imported()
        while True:
            try:
                context = connection.recv_bytes()
            except EOFError:
                return
            is_clean = self._run(context)
            imported = self._imported()
            connection.send((is_clean, sorted(imported - known)))
            known = imported

    def _drop(self, unit: Path) -> None:
        process, connection = self._processes.pop(unit)
        connection.close()
        os.waitpid(process, 0)


def _import(names: Iterable[str]) -> None:
    """Import modules that a hook has imported; a module may refuse to be imported without it."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()


def _end(status: int) -> str:
    """Return the way in which a process ended that gave no answer."""
    code = os.waitstatus_to_exitcode(status)
    return (
        f"the hook ended by signal {-code}" if code < 0 else f"the hook exited with status {code}"
    )
