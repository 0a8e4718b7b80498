"""A service of Pebble: its process, and the reaction to the end of the process."""

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.juju.durations import seconds

RESTART, IGNORE = "restart", "ignore"
ON_SUCCESS = frozenset({RESTART, IGNORE, "shutdown", "failure-shutdown"})
ON_FAILURE = frozenset({RESTART, IGNORE, "shutdown", "success-shutdown"})
"""The actions that Pebble accepts; all but the first two end Pebble, and with it the container."""
_BACKOFF_DELAY, _BACKOFF_FACTOR, _BACKOFF_LIMIT = "500ms", 2.0, "30s"
"""Pebble's defaults: first delay, its growth, and the longest delay."""


@dataclass
class Service:
    """A service that the charm has started.

    Attributes:
        config: its configuration.
        process: its process.
        backoff: seconds for which Pebble waited before it started the process again; 0 if the charm
            started it.
        wait: seconds from its exit to the next start.
        restarts: how often it has been started again after it had exited.
        code: how it exited the last time, if ever; negative for a signal.
        start_at: when it will be started again, if it has exited and is to be restarted.
        exited: whether it has exited for good.
        started: when it was started.
    """

    config: Mapping[str, Any]
    process: "subprocess.Popen[bytes]"
    backoff: float = 0.0
    wait: float = 0.0
    restarts: int = 0
    code: int | None = None
    start_at: float | None = None
    exited: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process.poll() is None

    @property
    def age(self) -> float:
        """The seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def action(self) -> str:
        """The action that its configuration asks for after the latest exit."""
        return self.config.get("on-failure" if self.code else "on-success") or RESTART

    def back_off(self) -> None:
        """Schedule its next start after a delay, which grows while it exits early."""
        if self.start_at is None:
            self.wait, self.exited = self._next_backoff(), False
            self.start_at = time.monotonic() + self.wait

    def _next_backoff(self) -> float:
        first = seconds(self.config.get("backoff-delay") or _BACKOFF_DELAY)
        limit = seconds(self.config.get("backoff-limit") or _BACKOFF_LIMIT)
        if not self.backoff or self.age >= limit:
            return first
        factor = float(self.config.get("backoff-factor") or _BACKOFF_FACTOR)
        return min(self.backoff * factor, limit)
