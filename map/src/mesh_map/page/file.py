"""Saves a map as files that need neither a server nor a network."""

from collections.abc import Sequence
from pathlib import Path

from mesh_map.accesses import by_access
from mesh_map.drawing import picture
from mesh_map.model import Call, Map
from mesh_map.page import page


def save(folder: Path, drawn: Map, calls: Sequence[Call], note: str) -> Path:
    """Write `map.html` and `map.svg` to a folder, and return the path of the page.

    Args:
        folder: the folder, which is made if it does not exist.
        drawn: the map.
        calls: the last calls, the latest first.
        note: a sentence about the origin of the map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "map.svg").write_text(picture.draw_file(drawn))
    saved = folder / "map.html"
    saved.write_text(page.render(drawn, by_access(drawn.accesses, calls), note))
    return saved.absolute()
