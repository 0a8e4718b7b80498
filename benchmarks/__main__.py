"""Prints the cost of the library beside that of the published one: `tox -e bench`.

Both run on the same machine, in turn. A ratio below 1 means that ours is faster. A time is given as
the median and half the range of the middle half, in milliseconds.
"""

import logging
import os
import tempfile
from collections.abc import Sequence

import hooks
import work
from measure import OURS, PUBLISHED, Times

RELATED = 10
SIZES = (100, 1_000, 10_000)


def main() -> None:
    """Print the tables of times and of calls."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as compiled:
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        show_times()
        show_growth()
        show_costs()


def show_times() -> None:
    """Print the times of imports, of policies and of events."""
    line("time in ms", "ours", "published", "ratio", "aim")
    ours, theirs, bare = work.imports(11)
    compare("import of a minimal charm, fresh process", (ours, theirs), "0.66")
    compare("  the floor: bare ops and pydantic", (bare, theirs))
    compare("relation-created with 10 relations", hooks.created(10, 9))
    compare("relation-created with 500 relations", hooks.created(500, 3))
    compare("update-status with 10 relations", hooks.updated(10, 9))
    compare("update-status with 500 relations", hooks.updated(500, 3))
    compare("mesh_info: 1,000 relations of 10", work.mesh_infos(1_000, 10, 9), "0.6")
    manager, their_manager, their_builder = work.renderings(10_000, 9)
    compare("rendering 10,000: manager, manager", (manager, their_manager), "0.2")
    compare("rendering 10,000: manager, builder alone", (manager, their_builder), "0.2")


def show_growth() -> None:
    """Show the time per policy for several numbers of policies. Linear growth keeps it constant."""
    print()
    line("µs for each of ... policies", *(f"{size:,}" for size in SIZES))
    infos = [work.mesh_infos(size // 10, 10, 5)[0] for size in SIZES]
    renderings = [work.renderings(size, 5)[0] for size in SIZES]
    line("mesh_info", *per_item(infos))
    line("review", *per_item([work.reviews(size // 10, 10, 5) for size in SIZES]))
    line("rendering", *per_item(renderings))


def per_item(all_times: Sequence[Times]) -> list[str]:
    """Return the median time per item of each size, in microseconds."""
    sized = zip(all_times, SIZES, strict=True)
    return [f"{times.median / size * 1e6:.1f}" for times, size in sized]


def show_costs() -> None:
    """Show the calls that each hook makes, as `ours : published`.

    A line of the charm's log is also a call of a hook tool.
    """
    ours, theirs = hooks.costs(OURS, RELATED), hooks.costs(PUBLISHED, RELATED)
    print()
    line(f"calls, with {RELATED} relations", "hook tools", "log lines", "k8s reads", "writes")
    for hook, cost in ours.items():
        other = theirs[hook]
        line(
            hook,
            pair(cost.tools, other.tools),
            pair(cost.logged, other.logged),
            pair(cost.reads, other.reads),
            pair(cost.writes, other.writes),
        )


def compare(title: str, both: Sequence[Times], aim: str = "") -> None:
    """Print a line with both times, their ratio, and the ratio to reach."""
    ours, theirs = both
    line(title, str(ours), str(theirs), f"{ours.median / theirs.median:.2f}", aim and f"≤ {aim}")


def pair(ours: int, theirs: int) -> str:
    """Return two counts as one cell."""
    return f"{ours} : {theirs}"


def line(title: str, *cells: str) -> None:
    """Print a line of a table."""
    print(f"{title:<42}", *(f"{cell:>13}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
