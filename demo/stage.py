"""What the story is played on: models of a Juju, reached by the `juju` on PATH."""

import os
import time
from dataclasses import replace

import jubilant
from rich.markup import escape

from demo.leftovers import UnknownError, look
from demo.table import EXPECTED, Expected, Line, Row, observe
from demo.telling import Teller

FAILURES = (jubilant.CLIError, jubilant.TaskError, jubilant.WaitError, TimeoutError, ValueError)
"""What jubilant raises where juju, an action or the waiting fails."""
PRODUCER = "producer"
_BETWEEN_LOOKS = 0.05
"""Seconds between two attempts to find what is expected."""
_LOG_LINES = 20
"""How much of the log is shown when the story cannot go on."""


class Stage:
    """Does what the story tells, shows it, and keeps what was observed.

    Args:
        patience: seconds that a change has to take effect, once Juju has settled.
        teller: shows it.

    Attributes:
        differences: what was not as expected, a sentence each.
        looks: how many cells and lists were compared.
    """

    def __init__(self, patience: float, teller: Teller) -> None:
        self._patience = patience
        self._tell = teller
        self._models: dict[str, jubilant.Juju] = {}
        self._in_focus = ""
        self.differences: list[str] = []
        self.looks = 0

    def add_model(self, name: str) -> None:
        """Add a model, which has the focus from then on."""
        self._tell.command(("add-model", name))
        juju = jubilant.Juju(wait_timeout=900)
        juju.cli("add-model", name, include_model=False)
        juju.model = name
        self._models[name], self._in_focus = juju, name

    def switch(self, name: str) -> None:
        """Give a model the focus."""
        self._in_focus = name
        self.do("switch", name, of_model=False)

    def destroy_models(self) -> None:
        """Remove all models, the one that was added last first."""
        for name in reversed(list(self._models)):
            self.do("destroy-model", name, "--no-prompt", of_model=False)
            del self._models[name]

    def do(self, *words: str, of_model: bool = True, shown: tuple[str, ...] = ()) -> None:
        """Run a command of juju, and show it."""
        self._tell.command(shown or words)
        self._juju.cli(*words, include_model=of_model)

    def settle(self, what: str) -> None:
        """Wait until the model's applications are active and their agents have nothing to do."""

        def settled(status: jubilant.Status) -> bool:
            ready = [app for app in status.apps if jubilant.all_active(status, app)]
            complete = [
                app for app in ready if len(status.apps[app].units) == status.apps[app].scale
            ]
            show(f"{len(complete)} of {len(status.apps)} applications are active")
            return len(complete) == len(status.apps) and jubilant.all_agents_idle(status)

        with self._tell.progress(what) as show:
            self._juju.wait(settled, error=jubilant.any_error, delay=0.1)

    def expected(self) -> Expected:
        """Return what callers should get, by what the mesh enforces policies with."""
        results = self._juju.run("mesh/leader", "policies").results
        if results["unenforced"]:
            self._tell.say(f"{results['unenforced']}.")
        if results["enforcement"] not in EXPECTED:
            raise ValueError("nothing is enforced here, so there is nothing to see")
        return EXPECTED[results["enforcement"]]

    def show(self, *wanted: tuple[str, str, Row], model: str) -> None:
        """Have units call the producer of a model; show what was expected beside what came.

        Args:
            wanted: what to call the caller in the table, its unit, and what it should get.
            model: the producer's.
        """
        lines = [self._observe(Line(name, row, {}), unit, model) for name, unit, row in wanted]
        self._tell.table(lines)
        for line in lines:
            self.looks += len(line.expected)
            self.differences += line.differences()

    def explain(self, caller: str, method: str, path: str) -> None:
        """Have the mesh say why a call on the producer's Service is allowed or denied."""
        call = {"from": caller, "to": PRODUCER, "port": 8080, "method": method, "path": path}
        words = [f"{name}={value}" for name, value in call.items()]
        self._tell.command(("run", "mesh/leader", "explain", *words))
        results = self._juju.run("mesh/leader", "explain", call).results
        self._tell.say(f"{results['verdict']}: {results['reason']}")

    def in_force_since(self, start: float) -> None:
        """Say how long it took since a moment of `time.monotonic`."""
        self._tell.say(f"[dim]in force {time.monotonic() - start:.1f} s after the command[/dim]")

    def leftovers(self, *, wanted: bool) -> None:
        """Show what the mesh has in Kubernetes in the model, and whether that should be nothing."""
        try:
            there, deadline = look(self._in_focus), time.monotonic() + self._patience
            while bool(there) is not wanted and time.monotonic() < deadline:
                time.sleep(_BETWEEN_LOOKS)
                there = look(self._in_focus)
        except UnknownError as error:
            self._cannot_look(f"Kubernetes cannot be asked what is there: {error}")
            return
        self.looks += 1
        self._tell.listing("in Kubernetes, because of the mesh", there)
        if bool(there) is not wanted:
            self.differences.append(
                f"in Kubernetes: {', '.join(there) or 'nothing'} is there because of the mesh"
            )

    def _cannot_look(self, reason: str) -> None:
        """Say so; where a cluster was named to look at, that is not as expected."""
        self._tell.say(f"[yellow]{escape(reason)}[/yellow]")
        if "KUBECONFIG" in os.environ:
            self.looks += 1
            self.differences.append(reason)

    def failures(self) -> str:
        """Return which units are in error, and why; nothing if none is."""
        try:
            apps = self._juju.status().apps.values()
        except jubilant.CLIError:
            return ""
        units = {name: unit for app in apps for name, unit in app.units.items()}
        return "; ".join(
            f"{name}: {unit.workload_status.message}"
            for name, unit in units.items()
            if unit.is_error
        )

    def surroundings(self) -> str:
        """Return the model's status and the last of its log, for whoever has to find the cause."""
        try:
            return f"{self._juju.cli('status')}\n{self._juju.debug_log(limit=_LOG_LINES)}"
        except jubilant.CLIError as error:
            return str(error.stderr)

    @property
    def _juju(self) -> jubilant.Juju:
        return self._models.get(self._in_focus) or jubilant.Juju()

    def _observe(self, line: Line, unit: str, model: str) -> Line:
        """Call until the answers are as expected, or there has been time enough for that."""
        deadline = time.monotonic() + self._patience
        with self._tell.waiting(f"calling as {unit}") as show:
            while True:
                line = replace(line, observed=observe(self._juju, unit, PRODUCER, model))
                if not line.differences() or time.monotonic() > deadline:
                    return line
                show(line.differences()[0])
                time.sleep(_BETWEEN_LOOKS)
