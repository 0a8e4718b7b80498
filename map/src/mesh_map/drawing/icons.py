"""Icons of paths, since not every font has the signs."""

from xml.etree import ElementTree as ET

_SIGNS = {
    "allowed": "M3.6 7.2 L6 9.6 L10.4 4.8",
    "open": "M3.5 7 L10.5 7 M8 4.5 L10.5 7 L8 9.5",
    "waiting": "M7 3.6 L7 7.2 L9.6 8.8",
    "related": "M4.3 4.3 L9.7 9.7 M9.7 4.3 L4.3 9.7",
    "denied": "M4.3 4.3 L9.7 9.7 M9.7 4.3 L4.3 9.7",
}
_HEXAGON = "M7 0.8 L12.4 3.9 L12.4 10.1 L7 13.2 L1.6 10.1 L1.6 3.9 Z"
_TRIANGLE = "M7 1.4 L13.2 12.4 L0.8 12.4 Z M7 5.4 L7 8.4 M7 10.4 L7 10.5"
_UNIT = 14
"""The size of the square that the paths are drawn in."""


def state(parent: ET.Element, x: float, y: float, size: float, name: str) -> None:
    """Draw a disc with the sign of a state."""
    group = _group(parent, x, y, size)
    ET.SubElement(group, "circle", {"class": "disc", "cx": "7", "cy": "7", "r": "7"})
    ET.SubElement(group, "path", {"class": "sign", "d": _SIGNS[name]})


def membership(parent: ET.Element, x: float, y: float, size: float, on_mesh: bool) -> None:
    """Draw a hexagon: full on the mesh, empty and crossed out off the mesh."""
    group = _group(parent, x, y, size)
    if on_mesh:
        ET.SubElement(group, "path", {"class": "disc", "d": _HEXAGON})
        ET.SubElement(group, "path", {"class": "sign", "d": _SIGNS["allowed"]})
    else:
        ET.SubElement(group, "path", {"class": "mark backed", "d": f"{_HEXAGON} M2 12.6 L12 1.4"})


def warning(parent: ET.Element, x: float, y: float, size: float) -> None:
    """Draw a triangle with an exclamation mark."""
    ET.SubElement(_group(parent, x, y, size), "path", {"class": "mark", "d": _TRIANGLE})


def arrow(parent: ET.Element, x: float, y: float, size: float, leftwards: bool) -> None:
    """Draw the head of an arrow that ends at a point."""
    back, half = (size * 0.75 if leftwards else -size * 0.75), size * 0.4
    points = f"{x:.1f},{y:.1f} {x + back:.1f},{y - half:.1f} {x + back:.1f},{y + half:.1f}"
    ET.SubElement(parent, "polygon", {"class": "head", "points": points})


def barrier(parent: ET.Element, x: float, y: float, size: float, leftwards: bool) -> None:
    """Draw a bar across the end of a line, which does not reach its target."""
    at, half = x + (size * 0.4 if leftwards else -size * 0.4), size * 0.5
    bar = f"M{at:.1f} {y - half:.1f} L{at:.1f} {y + half:.1f}"
    ET.SubElement(parent, "path", {"class": "mark", "d": bar})


def _group(parent: ET.Element, x: float, y: float, size: float) -> ET.Element:
    place = f"translate({x:.1f} {y:.1f}) scale({size / _UNIT:.3f})"
    return ET.SubElement(parent, "g", {"transform": place, "aria-hidden": "true"})
