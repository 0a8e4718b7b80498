"""The models of the story and the commands on them, with the `juju` on PATH."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import jubilant
from rich.markup import escape

from demo import differences, patience, undelivered
from demo.cluster import UnknownError
from demo.leftovers import look
from demo.picture import Picture
from demo.table import AUTHORIZATION_POLICIES, EXPECTED, Expected, Line, Row, observe
from demo.telling import Teller

FAILURES = (jubilant.CLIError, jubilant.TaskError, jubilant.WaitError, TimeoutError, ValueError)
"""The errors of jubilant when juju, an action or a wait fails."""
PRODUCER = "producer"
OFFERED = ("metrics", "data", "provide-cmr-mesh")
"""The endpoints of the producer at which a caller of another model joins."""
_SOON = 60.0
"""Seconds after which the demo looks for a cause of a difference that waiting cannot end."""
_LOG_LINES = 20
"""The number of log lines to show if the story cannot go on."""


class Stage:
    """Runs and shows the commands of the story, and keeps the differences.

    Args:
        seconds: the time in which a command has to take effect.
        teller: shows the commands and the results.

    Attributes:
        differences: a sentence for each result that is not as expected.
        cause: the sentences that explain differences, if a cause is known.
        looks: how many cells and lists were compared.
        picture: collects the calls and draws the mesh.
    """

    def __init__(self, seconds: float, teller: Teller) -> None:
        self._seconds = seconds
        self._tell = teller
        self._models: dict[str, jubilant.Juju] = {}
        self._in_focus = ""
        self._expected = AUTHORIZATION_POLICIES
        self.differences: list[str] = []
        self.cause = ""
        self.looks = 0
        self.picture = Picture()

    def add_model(self, name: str) -> None:
        """Add a model, which has the focus from then on."""
        self._tell.command(("add-model", name))
        juju = jubilant.Juju(wait_timeout=patience.SETTLING)
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
        """Show a juju command and run it."""
        self._tell.command(shown or words)
        self._juju.cli(*words, include_model=of_model)

    def settle(self, what: str, without: tuple[str, str] | None = None) -> None:
        """Wait until the commands so far have taken effect, such as a relation that was removed."""
        with self._tell.progress(what) as show:
            if without:
                patience.wait_until_unrelated(self._juju, *without)
            patience.settle(self._juju, show=show)

    def expected(self) -> Expected:
        """Return the results that callers should get under the mesh's kind of policies."""
        results = self._run("policies").results
        if results["unenforced"]:
            self._tell.say(f"{results['unenforced']}.")
        if results["enforcement"] not in EXPECTED:
            raise ValueError("the mesh enforces nothing here, so the story has nothing to show")
        self._expected = EXPECTED[results["enforcement"]]
        return self._expected

    def show(
        self,
        *wanted: tuple[str, str, Row],
        model: str,
        find_cause: Callable[[], str] | None = None,
    ) -> None:
        """Have units call the producer of a model; show the expected results beside the observed.

        Args:
            wanted: for each caller, its name in the table, its unit, and its expected results.
            model: the producer's.
            find_cause: returns a cause of other results that waiting cannot end, if there is one.
        """
        lines = [
            self._observe(Line(name, row, {}), unit, model, find_cause)
            for name, unit, row in wanted
        ]
        self._tell.table(lines)
        if self.cause and find_cause:
            self._tell.say(f"[yellow]{escape(self.cause)}[/yellow]")

    def undelivered(self, model: str) -> str:
        """Return the defect that keeps relations from the producer of a model, if there is one."""
        unit = f"{PRODUCER}/0"
        in_scope = differences.units_in_scope(self._models[model], {unit})[unit]
        return undelivered.REASON if undelivered.is_so(in_scope, OFFERED) else ""

    def explain(self, caller: str, method: str, path: str) -> None:
        """Ask the mesh why a call on the producer's Service is allowed or denied."""
        call = {"from": caller, "to": PRODUCER, "port": 8080, "method": method, "path": path}
        words = [f"{name}={value}" for name, value in call.items()]
        self._tell.command(("run", "mesh/leader", "explain", *words))
        results = self._run("explain", call).results
        self._tell.say(f"{results['verdict']}: {results['reason']}")
        self.picture.explain(self._in_focus, caller, method, path, results["reason"])

    def take_picture(self) -> None:
        """Take the picture of all models, which is saved at the end."""
        self.picture.take(list(self._models))

    def in_force_since(self, start: float) -> None:
        """Say how many seconds have passed since a moment of `time.monotonic`."""
        self._tell.say(f"[dim]in force {time.monotonic() - start:.1f} s after the command[/dim]")

    def leftovers(self, *, wanted: bool) -> None:
        """Show the objects of the mesh in Kubernetes, once there are some or none, as wanted."""
        try:
            there = patience.until(
                lambda: look(self._in_focus), lambda found: bool(found) is wanted, self._seconds
            )
        except UnknownError as error:
            self._cannot_look(f"the objects in Kubernetes cannot be listed: {error}")
            return
        self.looks += 1
        self._tell.listing("in Kubernetes, because of the mesh", there)
        if bool(there) is not wanted:
            self.differences.append(
                f"in Kubernetes, because of the mesh: {', '.join(there) or 'nothing'}"
            )

    def _cannot_look(self, reason: str) -> None:
        """Give the reason. It is a difference if KUBECONFIG names a cluster."""
        self._tell.say(f"[yellow]{escape(reason)}[/yellow]")
        if "KUBECONFIG" in os.environ:
            self.looks += 1
            self.differences.append(reason)

    def failures(self) -> str:
        """Return the units in error with their messages, or an empty text."""
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
        """Return the model's status and the end of its log, in which to find the cause."""
        if self._in_focus not in self._models:
            return ""
        try:
            return f"{self._juju.cli('status')}\n{self._juju.debug_log(limit=_LOG_LINES)}"
        except jubilant.CLIError as error:
            return str(error.stderr)

    @property
    def _juju(self) -> jubilant.Juju:
        return self._models.get(self._in_focus) or jubilant.Juju()

    def _run(self, action: str, params: Mapping[str, object] | None = None) -> jubilant.Task:
        """Run an action of the mesh."""
        return patience.run(self._juju, "mesh/leader", action, params)

    def _observe(
        self, line: Line, unit: str, model: str, find_cause: Callable[[], str] | None
    ) -> Line:
        """Call until the results are as expected, or the time is over, and count differences."""
        start = time.monotonic()
        with self._tell.waiting(f"calling as {unit}") as show:
            line = self._call(line, unit, model, min(self._seconds, _SOON), show)
            cause = find_cause() if line.differences() and find_cause else ""
            if line.differences() and not cause and self._seconds > _SOON:
                line = self._call(line, unit, model, self._seconds - _SOON, show)
        self.cause = cause or self.cause
        waited = f"after {time.monotonic() - start:.0f} s"
        self.looks += len(line.expected)
        self.differences += [f"{difference} {waited}" for difference in line.differences()]
        self.picture.add(self._in_focus, unit, model, line.observed)
        return line

    def _call(
        self, line: Line, unit: str, model: str, seconds: float, show: Callable[[str], None]
    ) -> Line:
        """Call again and again, for some seconds at most, until the results are as expected."""
        denials = self._expected.denials

        def call() -> Line:
            observed = observe(self._juju, unit, PRODUCER, model, denials)
            return replace(line, observed=observed)

        return patience.until(
            call,
            lambda found: not found.differences(),
            seconds,
            lambda found: show(found.differences()[0]),
        )
