"""The ways of edges between boxes, and their ends at applications."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mesh_map.drawing.layout import Edge, Layout, Node, Rectangle
from mesh_map.model import Name

Point = tuple[float, float]


def spread(layout: Layout) -> dict[str, tuple[float, float]]:
    """Return the heights at which each edge leaves its left and meets its right application.

    Edges meet the side of an application one below the other, in the order in which they arrive.
    """
    left: dict[Name, list[Edge]] = defaultdict(list)
    right: dict[Name, list[Edge]] = defaultdict(list)
    for edge in layout.edges:
        left[edge.left].append(edge)
        right[edge.right].append(edge)
    starts = {k: y for n, es in left.items() for k, y in _heights(layout.nodes[n], es, 0)}
    ends = {k: y for n, es in right.items() for k, y in _heights(layout.nodes[n], es, -1)}
    return {key: (starts[key], ends[key]) for key in starts}


def _heights(node: Node, edges: Sequence[Edge], side: int) -> Iterator[tuple[str, float]]:
    ordered = sorted(edges, key=lambda edge: _places(edge)[side].middle)
    for number, edge in enumerate(ordered):
        share = (number + 1) / (len(ordered) + 1)
        yield edge.access.key, node.place.y + node.place.height * share


def _places(edge: Edge) -> list[Rectangle]:
    return [edge.place, *edge.bends]


def ways(
    edge: Edge, nodes: Mapping[Name, Node], ends: tuple[float, float]
) -> tuple[list[Point], list[Point]]:
    """Return the points of an edge on the left and on the right of its words.

    They are in the order in which a call passes them.
    """
    left, right = nodes[edge.left].place, nodes[edge.right].place
    near: list[Point] = [(left.right, ends[0]), (edge.place.x, edge.place.middle)]
    far: list[Point] = [(edge.place.right, edge.place.middle)]
    for bend in edge.bends:
        far += [(bend.x, bend.middle), (bend.right, bend.middle)]
    far.append((right.x, ends[1]))
    if edge.left == edge.right:
        far = [(edge.place.x, edge.place.middle + 8), (left.right, ends[1] + 8)]
    return (near[::-1], far[::-1]) if edge.is_reversed else (near, far)


def curve(points: Sequence[Point]) -> str:
    """Return a path through points that is level at each of them."""
    (x, y), *rest = points
    words = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        middle = (x + to_x) / 2
        words.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return " ".join(words)
