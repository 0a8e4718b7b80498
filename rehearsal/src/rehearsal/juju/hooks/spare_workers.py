"""The worker processes that no application needs at present."""

import threading
from typing import TypeAlias

from rehearsal.juju.hooks.environment import Environment
from rehearsal.juju.hooks.worker_process import WorkerProcess

Code: TypeAlias = tuple[str, Environment]
"""The digest of a charm's files, and the environment in which they run."""
_MOST = 4
"""Processes that are kept; the one that was kept for longest is stopped first."""


class SpareWorkers:
    """Keeps processes that have imported a charm, for a charm with the same files.

    To import a charm takes time, and a test suite deploys its charm to one model after the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Code, WorkerProcess]] = []

    def take(self, code: Code) -> WorkerProcess | None:
        """Return a process that has imported this code, or None."""
        with self._lock:
            found = next((kept for kept in self._kept if kept[0] == code), None)
            if found is None:
                return None
            self._kept.remove(found)
        return found[1]

    def keep(self, code: Code, worker: WorkerProcess) -> None:
        """Keep a process that has imported this code."""
        with self._lock:
            self._kept.append((code, worker))
            oldest = self._kept.pop(0) if len(self._kept) > _MOST else None
        if oldest:
            oldest[1].stop()

    def stop(self) -> None:
        """End all of them."""
        for _, worker in self._kept:
            worker.stop()
