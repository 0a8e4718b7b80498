"""Places boxes in columns and lanes, each near the boxes that it is linked to.

This is the barycentre method of layered graph drawing (Sugiyama, Tagawa and Toda, 1981), within
lanes: a box moves to the mean height of its neighbours, as far as the others of its column let it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 12
_Cell = tuple[int, int]
"""A lane and a column."""


@dataclass(frozen=True)
class Box:
    """A box to place.

    Attributes:
        key: identifies it.
        lane: the number of its lane, from the top.
        column: the number of its column, from the left.
        height: its height.
    """

    key: str
    lane: int
    column: int
    height: float


@dataclass(frozen=True)
class Arrangement:
    """The places of boxes.

    Attributes:
        tops: the upper edge of each box, by its key, from the upper edge of its lane.
        heights: the height of each lane.
    """

    tops: Mapping[str, float]
    heights: Sequence[float]


def arrange(
    boxes: Sequence[Box], links: Sequence[tuple[str, str]], lanes: int, gap: float, between: float
) -> Arrangement:
    """Place boxes.

    Args:
        boxes: the boxes.
        links: pairs of keys of boxes in neighbouring columns.
        lanes: the number of lanes.
        gap: the least distance of two boxes in a column.
        between: the distance of two lanes.
    """
    cells: dict[_Cell, list[Box]] = defaultdict(list)
    for box in boxes:
        cells[box.lane, box.column].append(box)
    heights = [0.0] * lanes
    for (lane, _), cell in cells.items():
        heights[lane] = max(heights[lane], _height(cell, gap))
    floors = [sum(heights[:lane]) + lane * between for lane in range(lanes)]
    tops = _Places(boxes, links, gap)
    for cell in cells.values():
        tops.stack(cell, floors[cell[0].lane], heights[cell[0].lane])
    columns = sorted({column for _, column in cells})
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            for lane in range(lanes):
                tops.stack(cells.get((lane, column), []), floors[lane], heights[lane])
    return Arrangement({b.key: tops.tops[b.key] - floors[b.lane] for b in boxes}, heights)


def _height(cell: Sequence[Box], gap: float) -> float:
    return sum(box.height for box in cell) + gap * (len(cell) - 1)


class _Places:
    """The present places of boxes."""

    def __init__(self, boxes: Sequence[Box], links: Sequence[tuple[str, str]], gap: float) -> None:
        self.tops: dict[str, float] = {}
        self._boxes = {box.key: box for box in boxes}
        self._order = {box.key: number for number, box in enumerate(boxes)}
        self._gap = gap
        self._neighbours: dict[str, list[str]] = defaultdict(list)
        for start, end in links:
            self._neighbours[start].append(end)
            self._neighbours[end].append(start)

    def stack(self, cell: Sequence[Box], floor: float, height: float) -> None:
        """Place the boxes of a cell near their neighbours, in order of these, without overlap."""
        wanted = {box.key: self._wanted(box, floor) for box in cell}
        ordered = sorted(cell, key=lambda b: (wanted[b.key] + b.height / 2, self._order[b.key]))
        self.tops |= _push(ordered, wanted, self._gap, floor, floor + height)

    def _wanted(self, box: Box, floor: float) -> float:
        """Return the place at the mean height of the neighbours that have a place."""
        placed = [n for n in self._neighbours[box.key] if n in self.tops]
        if not placed:
            return self.tops.get(box.key, floor)
        centres = [self.tops[n] + self._boxes[n].height / 2 for n in placed]
        return sum(centres) / len(centres) - box.height / 2


def _push(
    boxes: Sequence[Box], wanted: Mapping[str, float], gap: float, floor: float, end: float
) -> dict[str, float]:
    """Return places in this order that are nearest to the wanted ones, between two limits.

    Boxes that would overlap form a block at the mean of their wishes (pool adjacent violators).
    """
    blocks: list[tuple[float, list[Box]]] = []
    for box in boxes:
        start, members = wanted[box.key], [box]
        while blocks and blocks[-1][0] + _height(blocks[-1][1], gap) + gap > start:
            earlier = blocks.pop()[1]
            start, members = _mean(earlier + members, wanted, gap), earlier + members
        blocks.append((start, members))
    return _limited(blocks, gap, floor, end)


def _mean(boxes: Sequence[Box], wanted: Mapping[str, float], gap: float) -> float:
    """Return the start of a block that is nearest to the wishes of its boxes."""
    offset, starts = 0.0, list[float]()
    for box in boxes:
        starts.append(wanted[box.key] - offset)
        offset += box.height + gap
    return sum(starts) / len(starts)


def _limited(
    blocks: Sequence[tuple[float, list[Box]]], gap: float, floor: float, end: float
) -> dict[str, float]:
    """Return the places of the boxes of blocks, moved between two limits."""
    ordered = [box for _, block in blocks for box in block]
    tops: dict[str, float] = {}
    for start, block in blocks:
        top = max(start, floor)
        for box in block:
            tops[box.key] = top
            floor = top = top + box.height + gap
    for box in reversed(ordered):
        tops[box.key] = min(tops[box.key], end - box.height)
        end = tops[box.key] - gap
    return tops
