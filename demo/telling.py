"""How the story is told on a terminal: commands, progress, tables, the verdict."""

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import rich.box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from demo.table import CALLS, Line, Row

_WIDTH = 100
_GO_ON = """\
Next, try commands yourself (README, Run it), change a policy in
charms/metrics-producer-k8s/src/charm.py and run this again, or copy a charm (README, Make it
yours)."""
_CHANGED = """\
If you changed a policy, change the expected results in demo/table.py, too."""
_COLOURS = {"200": "green", "denied": "red"}


class Teller:
    """Writes the story, in the width of the terminal but at most 100 columns wide."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        is_given = self._console.is_terminal or "COLUMNS" in os.environ
        if not is_given or self._console.width > _WIDTH:
            self._console.width = _WIDTH
        self._start = time.monotonic()

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self._console.print(f"\n[bold]{title}[/bold]\n{text}\n")

    def command(self, words: Sequence[str]) -> None:
        """Show a command that is about to run."""
        self._console.print(f"  [cyan]$ juju {escape(' '.join(words))}[/cyan]")

    @contextmanager
    def progress(self, what: str) -> Generator[Callable[[str], None]]:
        """Show that something is awaited and, in the end, how long it took.

        Yields a function that shows the progress.
        """
        start = time.monotonic()
        with self.waiting(what) as show:
            yield show
        self._console.print(f"  [dim]{what}: {time.monotonic() - start:.1f} s[/dim]")

    @contextmanager
    def waiting(self, what: str) -> Generator[Callable[[str], None]]:
        """Show that something is awaited, and remove this line afterwards."""
        with self._console.status(f"  {what}") as status:
            yield lambda detail: status.update(f"  {what}: {escape(detail)}")

    def table(self, lines: Sequence[Line]) -> None:
        """Show lines of the table, expected above observed; a difference has a mark."""
        is_narrow = self._console.width < _WIDTH
        # The marks of differences need more room.
        is_folded = is_narrow or any(line.differences() for line in lines)
        gap = 0 if is_narrow else 1
        table = Table(box=rich.box.SIMPLE, padding=(0, gap), collapse_padding=True, show_edge=False)
        table.add_column("caller", min_width=21, no_wrap=True)
        table.add_column("")
        for call in CALLS:
            table.add_column(_heading(call, is_folded), min_width=6, vertical="bottom")
        for line in lines:
            table.add_row(line.caller, "expected", *_cells(line.expected, line.expected))
            table.add_row("", "observed", *_cells(line.observed, line.expected))
        self._console.print("", table, "")

    def say(self, text: str) -> None:
        """Write a paragraph."""
        self._console.print(Padding(text, (0, 0, 0, 2)))

    def failure(self, reason: str, status: str) -> None:
        """Say why the story cannot go on."""
        self._console.print(f"[bold red]✗[/bold red] {escape(reason)}\n")
        self._console.print(escape(status), soft_wrap=True)

    def listing(self, title: str, lines: Sequence[str]) -> None:
        """Show a list of lines under a title, or that it is empty."""
        self.say(f"{title}: [dim]{'' if lines else 'nothing'}[/dim]")
        for line in lines:
            self.say(f"  [dim]{escape(line)}[/dim]")

    def picture(self, page: Path) -> None:
        """Say where the picture of the mesh is."""
        self._console.print("\nA picture of the mesh, as it was at the beginning of chapter 2:")
        self._console.print(page.as_uri(), markup=False, soft_wrap=True)

    def verdict(self, differences: Sequence[str], looks: int, cause: str) -> None:
        """Write the last line, and above it the differences.

        Args:
            differences: a sentence each.
            looks: number of results that were compared.
            cause: sentences that explain differences, if their cause is known.
        """
        self._console.print(f"\n{_advice(differences, cause)}\n")
        for difference in differences:
            self._console.print(f"[bold red]✗[/bold red] {escape(difference)}")
        if differences:
            verdict = (
                f"[bold red]{len(differences)} of {looks} results are not as expected[/bold red]"
            )
        else:
            verdict = f"[bold green]All {looks} results are as expected[/bold green]"
        seconds = time.monotonic() - self._start
        self._console.print(f"{verdict}, observed by real requests, in {seconds:.1f} s.")


def _advice(differences: Sequence[str], cause: str) -> str:
    if cause:
        return f"[yellow]The cause of differences: {escape(cause)}[/yellow]"
    return _CHANGED if differences else _GO_ON


def _heading(call: str, is_folded: bool) -> str:
    """Return the heading of a column, in two lines or three."""
    heading = call.replace(" :", "\n:", 1)
    return heading.replace("/", "\n/") if is_folded else heading


def _cells(results: Row, expected: Row) -> list[str]:
    return [_cell(results[call], results[call] == expected[call]) for call in CALLS]


def _cell(result: str, as_expected: bool) -> str:
    text = escape(result)
    if not as_expected:
        return f"[reverse]✗ {text}[/]"
    return f"[{_COLOURS.get(result, 'yellow')}]{text}[/]"
