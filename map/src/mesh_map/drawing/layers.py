"""Assigns applications to columns, so that calls lead from left to right."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def assign(edges: Iterable[tuple[Node, Node]]) -> dict[Node, int]:
    """Return the column of each node: the length of the longest way to it.

    Edges that close a cycle are ignored, so they lead from right to left.
    """
    callers: dict[Node, list[Node]] = defaultdict(list)
    for source, target in _without_cycles(edges):
        callers[target].append(source)
        callers.setdefault(source, [])
    columns: dict[Node, int] = {}
    for node in callers:
        _visit(node, callers, columns)
    return columns


def _visit(node: Node, callers: dict[Node, list[Node]], columns: dict[Node, int]) -> int:
    if node not in columns:
        columns[node] = 1 + max(
            (_visit(each, callers, columns) for each in callers[node]), default=-1
        )
    return columns[node]


def _without_cycles(edges: Iterable[tuple[Node, Node]]) -> list[tuple[Node, Node]]:
    """Return the edges in order, without those that would close a cycle."""
    kept: list[tuple[Node, Node]] = []
    reachable: dict[Node, set[Node]] = defaultdict(set)
    for source, target in edges:
        if source == target or source in reachable[target]:
            continue
        kept.append((source, target))
        gained = {target} | reachable[target]
        for node in [source, *(n for n, seen in reachable.items() if source in seen)]:
            reachable[node] |= gained
    return kept
