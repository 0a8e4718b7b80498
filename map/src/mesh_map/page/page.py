"""The page of a map: one self-contained HTML file, with its style sheets and its script."""

import base64
import hashlib
import importlib.resources
import string
from dataclasses import dataclass
from html import escape

from mesh_map.drawing import picture
from mesh_map.model import Map
from mesh_map.page import table
from mesh_map.page.table import Calls


@dataclass(frozen=True)
class Parts:
    """The parts of a page that change with the map.

    Attributes:
        pictures: the picture for wide screens, and that for narrow ones.
        tables: the tables of accesses and applications.
    """

    pictures: str
    tables: str


def parts(drawn: Map, calls: Calls) -> Parts:
    """Return the changing parts of a page."""
    wide, narrow = picture.draw(drawn), picture.draw(drawn, narrow=True)
    pictures = f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
    return Parts(pictures, table.accesses(drawn, calls) + table.applications(drawn))


def render(drawn: Map, calls: Calls, note: str, *, live: bool = False) -> str:
    """Return the page of a map.

    Args:
        drawn: the map.
        calls: the last calls of each access.
        note: a sentence about the origin of the map.
        live: whether a server sends changes and calls to the page.
    """
    script, style = _file("page.js"), _file("page.css") + picture.stylesheet()
    changing = parts(drawn, calls)
    return string.Template(_file("page.html")).substitute(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; connect-src 'self'; "
        f"script-src 'sha256-{_digest(script)}'",
        style=style,
        script=script,
        note=escape(note),
        live="live" if live else "saved",
        pictures=changing.pictures,
        tables=changing.tables,
    )


def _digest(script: str) -> str:
    """Return the digest by which the page's policy names its one script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _file(name: str) -> str:
    return importlib.resources.files("mesh_map.page").joinpath(name).read_text()
