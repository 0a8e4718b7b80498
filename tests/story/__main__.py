"""The story of the demo, told with the `juju` on PATH.

It deploys the bundle, has the callers call, changes who is on the mesh and who is related, and
shows for each what was expected beside what was observed. Exits with 1 if any cell differs.

    python -m rehearsal exec python tests/story       # without a cluster
    python tests/story                                # on the controller that you are logged in to
"""

import argparse
import pathlib
import sys
import time
from dataclasses import replace

import jubilant
from table import METRICS_ONLY, NOT_RELATED, OFF_THE_MESH, RELATED, Line, Row, observe
from telling import Teller

BUNDLE = pathlib.Path(__file__).parents[2] / "bundles" / "demo.yaml"
APPS = ("mesh", "outsider", "producer", "scraper")
PRODUCER = "producer"
_BETWEEN_CALLS = 0.05
"""Seconds between two attempts to find what is expected."""
_FAILURES = (jubilant.CLIError, jubilant.TaskError, jubilant.WaitError, TimeoutError, ValueError)
"""What jubilant raises where juju, an action or the waiting fails."""
_LOG_LINES = 20
"""How much of the log is shown when the story cannot go on."""


class Story:
    """The demo in one model.

    Args:
        model: name of the model, which the story adds.
        patience: seconds that a change has to take effect, once Juju has settled.
        teller: shows it.
    """

    def __init__(self, model: str, patience: float, teller: Teller) -> None:
        self._model = model
        self._patience = patience
        self._juju = jubilant.Juju(wait_timeout=900)
        self._tell = teller
        self.lines: list[Line] = []

    def deploy(self) -> None:
        """Chapter one: one command, and who may call whom."""
        self._tell.chapter(
            "1. Deploy",
            "A producer of metrics, a scraper that is related to it, and an outsider that is not.\n"
            "All three are on the mesh.",
        )
        self._do("add-model", self._model, of_model=False)
        self._juju.model = self._model
        self._do(
            "deploy", str(BUNDLE), "--trust", shown=("deploy", "./bundles/demo.yaml", "--trust")
        )
        self._settle("deploying")
        self._show(("scraper", "scraper", RELATED), ("outsider", "outsider", NOT_RELATED))
        self._explain("scraper", "GET", "/data")
        self._explain("scraper", "POST", "/data")
        self._explain("outsider", "GET", "/data")

    def leave_and_rejoin(self) -> None:
        """Chapter two: without the mesh, a relation is not enough."""
        self._tell.chapter(
            "2. Leave the mesh, and rejoin",
            "The scraper stays related to the producer. Off the mesh it has no identity to show.",
        )
        self._do("remove-relation", "scraper:service-mesh", "mesh:service-mesh")
        self._settle("leaving")
        self._show(("scraper off the mesh", "scraper", OFF_THE_MESH))
        self._explain("scraper", "GET", "/data")
        self._do("integrate", "scraper:service-mesh", "mesh:service-mesh")
        self._settle("rejoining")
        self._show(("scraper, rejoined", "scraper", RELATED))

    def remove_data(self) -> None:
        """Chapter three: what a relation allowed ends with it."""
        self._tell.chapter(
            "3. Remove a relation",
            "The relation `data` ends, and with it the calls that it allowed. `metrics` stays.",
        )
        self._do("remove-relation", "producer:data", "scraper:data")
        start = time.monotonic()
        self._show(("scraper without data", "scraper", METRICS_ONLY))
        self._tell.say(f"[dim]in force {time.monotonic() - start:.1f} s after the command[/dim]")
        self._explain("scraper", "GET", "/data")

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

    def _do(self, *words: str, of_model: bool = True, shown: tuple[str, ...] = ()) -> None:
        self._tell.command(shown or words)
        self._juju.cli(*words, include_model=of_model)

    def _settle(self, what: str) -> None:
        """Wait until all applications are active and their agents have nothing to do."""

        def settled(status: jubilant.Status) -> bool:
            ready = [app for app in APPS if jubilant.all_active(status, app)]
            show(f"{len(ready)} of {len(APPS)} applications are active")
            return len(ready) == len(APPS) and jubilant.all_agents_idle(status, *APPS)

        with self._tell.progress(what) as show:
            self._juju.wait(settled, error=jubilant.any_error, delay=0.1)

    def _show(self, *wanted: tuple[str, str, Row]) -> None:
        lines = [
            self._observe(Line(name, expected, {}), caller) for name, caller, expected in wanted
        ]
        self._tell.table(lines)
        self.lines += lines

    def _explain(self, caller: str, method: str, path: str) -> None:
        """Have the mesh say why a call on the producer's Service is allowed or denied."""
        words = (
            f"from={caller}",
            f"to={PRODUCER}",
            "port=8080",
            f"method={method}",
            f"path={path}",
        )
        self._tell.command(("run", "mesh/leader", "explain", *words))
        params = {"from": caller, "to": PRODUCER, "port": 8080, "method": method, "path": path}
        results = self._juju.run("mesh/leader", "explain", params).results
        self._tell.say(f"{results['verdict']}: {results['reason']}")

    def _observe(self, line: Line, caller: str) -> Line:
        """Call until the answers are as expected, or there has been time enough for that."""
        deadline = time.monotonic() + self._patience
        with self._tell.waiting(f"calling as {line.caller}") as show:
            while True:
                line = replace(line, observed=observe(self._juju, caller, PRODUCER, self._model))
                if not line.differences() or time.monotonic() > deadline:
                    return line
                show(line.differences()[0])
                time.sleep(_BETWEEN_CALLS)


def main() -> int:
    """Tell the story and return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo", help="name of the model to add (default: demo)")
    parser.add_argument(
        "--patience",
        type=float,
        default=15,
        metavar="SECONDS",
        help="how long a change may take to take effect (default: 15)",
    )
    arguments = parser.parse_args()
    teller = Teller()
    story = Story(arguments.model, arguments.patience, teller)
    try:
        story.deploy()
        story.leave_and_rejoin()
        story.remove_data()
    except _FAILURES as error:
        teller.failure(story.failures() or str(error).partition("\n")[0], story.surroundings())
        return 1
    except KeyboardInterrupt:
        return 130
    except FileNotFoundError:
        teller.failure("there is no juju on PATH; `make demo` brings its own", "")
        return 1
    return 0 if teller.verdict(story.lines) else 1


if __name__ == "__main__":
    sys.exit(main())
