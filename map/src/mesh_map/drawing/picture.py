"""Draws a map as SVG."""

import importlib.resources
import re
from xml.etree import ElementTree as ET

from mesh_map.drawing import icons, routes
from mesh_map.drawing.boxes import Words, heading, requests
from mesh_map.drawing.layout import Edge, Lane, Layout, Node, Rectangle, lay_out
from mesh_map.drawing.style import DENSE, NARROW, WIDE, Style
from mesh_map.drawing.words import fit
from mesh_map.model import Access, Map, Name, State

_MANY = 40
"""The number of accesses beyond which each of them gets one line."""
_FORBIDDEN = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML forbids."""
_MOST = 6
"""The number of requests that the description of an access names."""
CLASSES = {
    State.ALLOWED: "allowed",
    State.OPEN: "open",
    State.WAITING: "waiting",
    State.RELATED: "related",
    State.DENIED: "denied",
}
"""The word by which a style sheet and a script know a state."""


def draw(drawn: Map, *, narrow: bool = False) -> str:
    """Return the picture of a map, without a style sheet.

    Args:
        drawn: the map.
        narrow: whether it is for the screen of a phone.
    """
    wide = DENSE if len(drawn.accesses) > _MANY else WIDE
    return _Picture(drawn, NARROW if narrow else wide).text()


def draw_file(drawn: Map) -> str:
    """Return the picture of a map as a file of its own, for light and dark screens."""
    return draw(drawn).replace(">", f"><style>{stylesheet()}</style>", 1) + "\n"


def stylesheet() -> str:
    """Return the style sheet of pictures."""
    return importlib.resources.files("mesh_map.drawing").joinpath("picture.css").read_text()


class _Picture:
    def __init__(self, drawn: Map, style: Style) -> None:
        self._style = style
        self._layout: Layout = lay_out(drawn, style)

    def text(self) -> str:
        found = self._layout
        size = {"width": _number(found.width), "height": _number(found.height)}
        root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "class": "map",
                "viewBox": f"0 0 {size['width']} {size['height']}",
                **size,
                "role": "group",
                "aria-label": "Map of the mesh",
                "font-size": str(self._style.size),
            },
        )
        ET.SubElement(root, "rect", {"class": "ground", "width": "100%", "height": "100%"})
        for lane in found.lanes:
            self._lane(root, lane)
        ends = routes.spread(found)
        for edge in found.edges:
            self._lines(root, edge, ends[edge.access.key])
        for edge in found.edges:
            self._access(root, edge)
        for node in found.nodes.values():
            self._node(root, node)
        ET.indent(root, " ")
        return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", ET.tostring(root, encoding="unicode"))

    def _lane(self, root: ET.Element, lane: Lane) -> None:
        style, place, model = self._style, lane.place, lane.model
        group = ET.SubElement(root, "g", {"data-model": model.name})
        self._box(group, place, "lane", radius=14)
        y = place.y + style.line * 1.3
        x, end = place.x + style.padding, place.right - style.padding
        room = (end - x) / 2
        title = fit(f"model {model.name}", room, style.size + 1, bold=True)
        self._text(group, x, y, title, "strong", size=style.size + 1)
        words = fit(_about(lane), room, style.size - 1)
        self._text(group, end, y, words, "soft", size=style.size - 1, anchor="end")

    def _node(self, root: ET.Element, node: Node) -> None:
        app, place, style = node.application, node.place, self._style
        membership = "on" if app.on_mesh else "off"
        words = ", ".join(filter(None, (str(app.name), f"{membership} the mesh", app.trouble)))
        group = ET.SubElement(
            root,
            "g",
            {
                "class": f"application {membership}",
                "data-app": key(app.name),
                "role": "button",
                "tabindex": "0",
                "aria-pressed": "false",
                "aria-label": words,
            },
        )
        _title(group, words)
        self._box(group, place, "box", radius=10)
        mark = ET.SubElement(group, "g", {"class": "member"})
        x, y = place.right - style.size * 1.5, place.y - style.size * 0.6
        icons.membership(mark, x, y, style.size * 1.15, app.on_mesh)
        y = self._lines_of(group, node.words, place, icon=False)
        alert = ET.SubElement(group, "g", {"class": "alert"})
        for number, line in enumerate(node.words.alert):
            y += style.line
            if not number:
                icons.warning(alert, place.x + style.inset, y - style.size * 0.9, style.size)
            self._text(alert, place.x + style.inset + style.size * 1.5, y, line, "", style.size - 1)

    def _access(self, root: ET.Element, edge: Edge) -> None:
        access, place, style = edge.access, edge.place, self._style
        shown = requests(access, _MOST)
        words = f"{access.source} to {access.target}: {'; '.join((heading(access), *shown))}"
        group = ET.SubElement(
            root,
            "g",
            {
                **_attributes(access),
                "role": "button",
                "tabindex": "0",
                "aria-label": words,
            },
        )
        _title(group, words)
        self._box(group, place, "box", radius=8)
        icons.state(
            group,
            place.x + style.inset,
            place.y + style.inset - 1,
            style.size,
            CLASSES[access.state],
        )
        self._lines_of(group, edge.words, place, icon=True)

    def _lines_of(self, group: ET.Element, words: Words, place: Rectangle, *, icon: bool) -> float:
        """Write the words of a box, and return the height of the last line."""
        style = self._style
        free = place.height - words.height(style)
        x, y = place.x + style.inset, place.y + free / 2 + style.inset - round(style.size * 0.4)
        for line in words.heading:
            y += style.line
            indent = style.size * 1.5 if icon else 0
            self._text(group, x + indent, y, line, "strong title")
        for line in words.lines:
            y += style.line
            self._text(group, x, y, line, "mono soft" if icon else "soft", style.size - 1)
        return y

    def _lines(self, root: ET.Element, edge: Edge, ends: tuple[float, float]) -> None:
        """Draw the lines of an access on both sides of its words."""
        group = ET.SubElement(root, "g", {**_attributes(edge.access), "aria-hidden": "true"})
        near, far = routes.ways(edge, self._layout.nodes, ends)
        is_denied = edge.access.state not in (State.ALLOWED, State.OPEN)
        first, second = (far, near) if edge.is_reversed else (near, far)
        ET.SubElement(group, "path", {"class": "line", "d": routes.curve(first)})
        beyond = "line beyond" if is_denied else "line"
        ET.SubElement(group, "path", {"class": beyond, "d": routes.curve(second)})
        (x, y), leftwards = second[-1], second[-1][0] < second[-2][0]
        if is_denied:
            icons.barrier(group, x, y, self._style.size, leftwards)
        else:
            icons.arrow(group, x, y, self._style.size, leftwards)

    def _box(self, group: ET.Element, place: Rectangle, name: str, radius: int) -> None:
        corners = {"x": place.x, "y": place.y, "width": place.width, "height": place.height}
        numbers = {key: _number(value) for key, value in corners.items()}
        ET.SubElement(group, "rect", {"class": name, **numbers, "rx": str(radius)})

    def _text(
        self,
        group: ET.Element,
        x: float,
        y: float,
        words: str,
        name: str,
        size: float | None = None,
        anchor: str = "start",
    ) -> None:
        attributes = {"x": _number(x), "y": _number(y)}
        attributes |= {"class": name} if name else {}
        attributes |= {"font-size": _number(size)} if size else {}
        attributes |= {"text-anchor": anchor} if anchor != "start" else {}
        ET.SubElement(group, "text", attributes).text = words


def _about(lane: Lane) -> str:
    """Return the meshes of a model, their trouble, and the limits of the enforcement."""
    meshes = [
        f"mesh: application {mesh.name.app}"
        + ("" if mesh.status == "active" else f" is {mesh.status}")
        for mesh in lane.model.meshes
    ]
    note = f"; {lane.model.note}" if lane.model.note else ""
    return f"{', '.join(meshes) or 'no mesh'}{note}"


def _attributes(access: Access) -> dict[str, str]:
    return {
        "class": f"access {CLASSES[access.state]}",
        "data-access": access.key,
        "data-from": key(access.source),
        "data-to": key(access.target),
    }


def key(name: Name) -> str:
    """Return the word by which a page finds an application in a picture."""
    return f"{name.model}/{name.app}"


def _title(group: ET.Element, words: str) -> None:
    ET.SubElement(group, "title").text = words


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
