"""The controller's end of a charm's worker process."""

import contextlib
import subprocess
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import rehearsal
from rehearsal.juju.errors import JujuError
from rehearsal.juju.hooks import launch
from rehearsal.juju.hooks.environment import Environment
from rehearsal.juju.hooks.messages import HookContext, HookResult, PebbleCall, packed
from rehearsal.juju.model.charm import Charm
from rehearsal.machine.processes import Processes

_TRACEBACK = "Traceback (most recent call last):\n"
_TIMEOUT = 120.0
"""Seconds that a hook may take. Juju has no limit, but there no other unit waits for it."""


class WorkerProcess:
    """Runs hooks of one charm in a process of its own, which starts while others work."""

    def __init__(
        self, charm: Charm, environment: Environment, processes: Processes, log: Path
    ) -> None:
        self._charm = charm
        self._environment = environment
        self._processes = processes
        self._log = log
        self._stopped = False
        self._start()

    def _start(self) -> None:
        ours, theirs = Pipe()
        confinement = self._processes.confinement
        words = [str(theirs.fileno()), str(self._charm.root)]
        words += [str(confinement.folder)] if confinement.is_possible else []
        launcher = [self._environment.python, "-I", launch.__file__]
        paths = [str(self._environment.packages or ""), str(self._own_code())]
        with theirs, self._log.open("ab") as output:
            self._written = output.tell()
            self._process = self._processes.spawn(
                [*launcher, *paths, *words],
                accounts=self._processes.accounts,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._connection = ours

    def _own_code(self) -> Path:
        """Return a folder that holds the rehearsal and nothing else."""
        folder = self._log.parent / "worker"
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (folder / "rehearsal").symlink_to(Path(rehearsal.__file__).parent)
        return folder

    def run(self, context: HookContext, pebble: Callable[[PebbleCall], str | None]) -> HookResult:
        """Run one hook.

        Args:
            context: the state that the unit's charm code sees.
            pebble: carries out a request to Pebble in the middle of the hook; returns the text of
                an error, or None.

        Raises:
            JujuError: if the process is gone, for example because the charm cannot be imported. The
                next hook gets a new one.
        """
        if self._process.poll() is not None and not self._stopped:
            self._connection.close()
            self._start()
        try:
            self._connection.send_bytes(packed(context))
            while self._connection.poll(_TIMEOUT):
                answer: Any = self._connection.recv()
                if isinstance(answer, HookResult):
                    return answer
                self._connection.send_bytes(packed(pebble(answer)))
        except (EOFError, ConnectionError) as error:
            raise JujuError(f"{self._charm.name} does not run: {self._last_words()}") from error
        self._processes.stop(self._process)
        raise JujuError(f"the hook has not ended in {_TIMEOUT:.0f} s")

    def stop(self) -> None:
        """End the process, also during a hook."""
        self._stopped = True
        self._processes.stop(self._process)

    def _last_words(self) -> str:
        """Return the traceback at the end of the process's output, or the last line of it."""
        said = self._log.read_bytes()[self._written :].decode(errors="replace").strip()
        _, head, trace = said.rpartition(_TRACEBACK)
        if head:
            return f"\n{head}{trace}"
        return said.splitlines()[-1] if said else "its process ended without a word"
