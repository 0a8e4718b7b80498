"""The report on a bundle: results of calls, policies, and problems."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import rich.box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rehearsal.commands import policies
from rehearsal.kubernetes.store import Object
from rehearsal.traffic.calls import Call
from rehearsal.traffic.observation import DENIED, NO_ANSWER, NOT_OPEN, TIMEOUT, Observed

WIDTH = 100
_CALL_WIDTH = 40
"""A longer call is folded."""
_GAP = 3
_MEANINGS = {
    DENIED: "the mesh has turned the call away",
    NOT_OPEN: "the charm has not opened the port, as `unit.set_ports` does",
    NO_ANSWER: "the mesh has let the call through, and nothing listens at the port",
    TIMEOUT: "the workload has not answered in time",
}
_EVERYONE = "every application"

_Columns = Mapping[tuple[str, ...], Sequence[str]]
"""The result of each call, by the callers that got the same results."""


def console() -> Console:
    """Return the console: as wide as the terminal or COLUMNS, but at most 100 columns."""
    made = Console(highlight=False)
    is_given = made.is_terminal or "COLUMNS" in os.environ
    if not is_given or made.width > WIDTH:
        made.width = WIDTH
    return made


def print_calls(out: Console, target: str, calls: Sequence[Call], observed: Observed) -> None:
    """Print a table of the calls on one application: a row for each, a column for its callers.

    Callers with the same results share a column. Columns that do not fit are in a further table.
    """
    columns = _columns(calls, observed)
    titles = [escape(call.title) for call in calls]
    first = min(_CALL_WIDTH, max(map(len, [target, *titles])))
    for names in _fitting(columns, out.width - first - _GAP):
        table = Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
        table.add_column(f"[bold]{escape(target)}[/bold]", max_width=_CALL_WIDTH, overflow="fold")
        for callers in names:
            table.add_column(_heading(callers, columns), vertical="bottom", overflow="fold")
        for title, *cells in zip(titles, *(columns[callers] for callers in names), strict=True):
            table.add_row(title, *map(_cell, cells))
        out.print(table, "")


def print_legend(out: Console, observed: Observed) -> None:
    """Print the meaning of each result that was observed."""
    results = {each for cell in observed.values() for each in cell.split(", ")}
    lines = [f"{word:12}{meaning}" for word, meaning in _MEANINGS.items() if word in results]
    if any(each.isdigit() for each in results):
        lines.insert(0, f"{'a number':12}the workload has answered: the call got through to it")
    if any(", " in cell for cell in observed.values()):
        lines.append(f"{'a, b':12}what came of it at different units")
    print_lines(out, "Results", lines)


def _heading(callers: tuple[str, ...], columns: _Columns) -> str:
    return _EVERYONE if len(columns) == 1 and len(callers) > 1 else "\n".join(callers)


def _columns(calls: Sequence[Call], observed: Observed) -> _Columns:
    callers = sorted({caller for caller, _ in observed})
    results = {caller: [observed[caller, call] for call in calls] for caller in callers}
    ordered = sorted(callers, key=results.__getitem__)
    grouped = itertools.groupby(ordered, key=results.__getitem__)
    return {tuple(group): result for result, group in grouped}


def _fitting(columns: Iterable[tuple[str, ...]], width: int) -> Iterator[list[tuple[str, ...]]]:
    """Yield the columns in parts that fit a width."""
    part: list[tuple[str, ...]] = []
    left = width
    for callers in columns:
        needed = max(map(len, callers)) + _GAP
        if part and needed > left:
            yield part
            part, left = [], width
        part.append(callers)
        left -= needed
    yield part


def _cell(result: str) -> str:
    colour = "red" if result == DENIED else "green" if result.startswith("2") else "yellow"
    return f"[{colour}]{escape(result)}[/]"


def print_policies(out: Console, objects: Sequence[Object]) -> None:
    """Print the policies: the target of each, the calls that it names, and its name."""
    if not objects:
        out.print("No policies: everything may call everything.\n")
        return
    table = Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for heading in ("policies in force", "say"):
        table.add_column(heading, overflow="fold")
    for policy in objects:
        name = f"[dim]{escape(policy['metadata']['name'])}[/dim]"
        says = [*map(escape, policies.rules(policy)), name]
        table.add_row(escape(policies.target(policy)), "\n".join(says))
    out.print(table, "")


def print_lines(out: Console, heading: str, lines: Sequence[str]) -> None:
    """Print a heading and lines below it, if there are any."""
    if lines:
        out.print(f"[bold]{heading}[/bold]")
        for line in lines:
            out.print(f"  {escape(line)}")
        out.print()
