"""The layout of a map: models are lanes, and calls lead through columns from left to right."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mesh_map.drawing import boxes, layers
from mesh_map.drawing.arrange import Arrangement, Box, arrange
from mesh_map.drawing.boxes import Words
from mesh_map.drawing.style import Style
from mesh_map.model import Access, Application, Map, Model, Name

_BEND = 10.0
"""The height that an edge takes up in a column that it passes."""


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of the picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height of its middle."""
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        """The x of its right edge."""
        return self.x + self.width


@dataclass(frozen=True)
class Lane:
    """A model with its place."""

    model: Model
    place: Rectangle


@dataclass(frozen=True)
class Node:
    """An application with its place and words."""

    application: Application
    place: Rectangle
    words: Words


@dataclass(frozen=True)
class Edge:
    """An access with the place of its words, and the places that lead to the two applications.

    Attributes:
        access: the access.
        place: the place of its words.
        words: the words.
        left: the key of the application on its left.
        right: the key of the application on its right.
        bends: the places that it passes from its words to the application on the right.
        is_reversed: whether its calls lead from right to left.
    """

    access: Access
    place: Rectangle
    words: Words
    left: Name
    right: Name
    bends: tuple[Rectangle, ...]
    is_reversed: bool


@dataclass(frozen=True)
class Layout:
    """A map with all places."""

    width: float
    height: float
    lanes: tuple[Lane, ...]
    nodes: Mapping[Name, Node]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class _Way:
    """The way of an access through the columns."""

    access: Access
    left: Name
    right: Name
    columns: range
    is_reversed: bool

    def key(self, column: int) -> str:
        """Return the key of its box in a column: its words are in the first one."""
        return f"{self.access.key}/{column}"


def lay_out(drawn: Map, style: Style) -> Layout:
    """Return the layout of a map."""
    return _Builder(drawn, style).layout()


class _Builder:
    def __init__(self, drawn: Map, style: Style) -> None:
        self._map, self._style = drawn, style
        self._lanes = {model.name: number for number, model in enumerate(drawn.models)}
        self._columns = layers.assign((a.source, a.target) for a in drawn.accesses)
        self._ways = [self._way(access) for access in drawn.accesses]
        self._apps = {app.name: app for model in drawn.models for app in model.applications}
        self._words = {n: boxes.of_application(app, style) for n, app in self._apps.items()}
        self._labels = {a.key: boxes.of_access(a, style) for a in drawn.accesses}

    def layout(self) -> Layout:
        style = self._style
        placed = arrange(
            [*self._node_boxes(), *self._way_boxes()],
            [link for way in self._ways for link in self._links(way)],
            len(self._lanes),
            style.gap,
            self._head + 3 * style.padding,
        )
        width = self._x(self._last) + self._width(self._last) + 2 * style.padding
        lanes = list(self._place_lanes(placed, width))
        nodes = {n: self._node(n, placed, lanes) for n in self._columns}
        for lane, height in zip(lanes, placed.heights, strict=True):
            nodes |= self._loose_nodes(lane, height)
        edges = tuple(self._edge(way, placed, lanes) for way in self._ways)
        bottom = lanes[-1].place.y + lanes[-1].place.height if lanes else 0
        return Layout(width + style.padding, bottom + style.padding, tuple(lanes), nodes, edges)

    @property
    def _last(self) -> int:
        """The last column; there is room for two applications and an access in any case."""
        return max([2, *(2 * column for column in self._columns.values())])

    @property
    def _head(self) -> float:
        """The height of the name of a model."""
        return self._style.line * 2.0

    def _x(self, column: int) -> float:
        style = self._style
        nodes, chips = (column + 1) // 2, column // 2
        return 2 * style.padding + nodes * style.node + chips * style.chip + column * style.reach

    def _width(self, column: int) -> float:
        return self._style.chip if column % 2 else self._style.node

    def _way(self, access: Access) -> _Way:
        source, target = (
            2 * self._columns.get(access.source, 0),
            2 * self._columns.get(access.target, 0),
        )
        if source <= target:
            columns = range(source + 1, max(target, source + 2))
            return _Way(access, access.source, access.target, columns, is_reversed=False)
        return _Way(access, access.target, access.source, range(target + 1, source), True)

    def _node_boxes(self) -> Iterator[Box]:
        for name, column in self._columns.items():
            yield Box(_node_key(name), self._lanes[name.model], 2 * column, self._tall(name))

    def _tall(self, name: Name) -> float:
        """Return the height of an application, which has room for the ends of its edges."""
        ends = Counter(
            end for way in self._ways for end in ((way.left, "left"), (way.right, "right"))
        )
        most = max(ends[name, "left"], ends[name, "right"])
        return max(self._words[name].height(self._style), (most + 1) * self._style.end)

    def _way_boxes(self) -> Iterator[Box]:
        for way in self._ways:
            lane = self._lanes[way.left.model]
            for column in way.columns:
                height = self._labels[way.access.key].height(self._style)
                is_first = column == way.columns[0]
                yield Box(way.key(column), lane, column, height if is_first else _BEND)

    def _links(self, way: _Way) -> Iterator[tuple[str, str]]:
        keys = [_node_key(way.left), *map(way.key, way.columns), _node_key(way.right)]
        yield from itertools.pairwise(keys)

    def _place_lanes(self, placed: Arrangement, width: float) -> Iterator[Lane]:
        style, y = self._style, float(self._style.padding)
        for model, height in zip(self._map.models, placed.heights, strict=True):
            rows = self._loose_rows(model, width)
            loose = sum(map(self._row_height, rows)) + len(rows) * style.gap
            full = self._head + height + loose + style.padding
            yield Lane(model, Rectangle(style.padding, y, width - style.padding, full))
            y += full + style.padding

    def _loose_rows(self, model: Model, width: float) -> list[list[Name]]:
        """Return the applications of a model that make and get no calls, in rows."""
        style = self._style
        names = [a.name for a in model.applications if a.name not in self._columns]
        most = max(int((width - 2 * style.padding) / (style.node + style.gap)), 1)
        return [names[start : start + most] for start in range(0, len(names), most)]

    def _row_height(self, row: Sequence[Name]) -> float:
        return max(self._words[name].height(self._style) for name in row)

    def _loose_nodes(self, lane: Lane, height: float) -> dict[Name, Node]:
        style, nodes = self._style, dict[Name, Node]()
        y = lane.place.y + self._head + height + (style.gap if height else 0)
        for row in self._loose_rows(lane.model, lane.place.width + style.padding):
            for number, name in enumerate(row):
                x = 2 * style.padding + number * (style.node + style.gap)
                words = self._words[name]
                place = Rectangle(x, y, style.node, words.height(style))
                nodes[name] = Node(self._apps[name], place, words)
            y += self._row_height(row) + style.gap
        return nodes

    def _top(self, placed: Arrangement, lanes: Sequence[Lane], model: str, key: str) -> float:
        return lanes[self._lanes[model]].place.y + self._head + placed.tops[key]

    def _node(self, name: Name, placed: Arrangement, lanes: Sequence[Lane]) -> Node:
        words, column = self._words[name], 2 * self._columns[name]
        y = self._top(placed, lanes, name.model, _node_key(name))
        place = Rectangle(self._x(column), y, self._style.node, self._tall(name))
        return Node(self._apps[name], place, words)

    def _edge(self, way: _Way, placed: Arrangement, lanes: Sequence[Lane]) -> Edge:
        words = self._labels[way.access.key]
        places = [
            Rectangle(
                self._x(column),
                self._top(placed, lanes, way.left.model, way.key(column)),
                self._width(column),
                words.height(self._style) if column == way.columns[0] else _BEND,
            )
            for column in way.columns
        ]
        bends = tuple(places[1:])
        return Edge(way.access, places[0], words, way.left, way.right, bends, way.is_reversed)


def _node_key(name: Name) -> str:
    return f"{name.model}/{name.app}"
