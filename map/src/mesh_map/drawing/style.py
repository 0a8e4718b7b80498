"""The measures of a picture: for wide and narrow screens, and for maps of many applications."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Measures in pixels.

    Attributes:
        node: the width of an application.
        chip: the width of the words on an access.
        reach: the distance between columns, which edges cross.
        gap: the distance between boxes of a column.
        padding: the distance between boxes and the border of their model.
        size: the size of the font.
        lines: the number of requests that an access shows.
    """

    node: int
    chip: int
    reach: int
    gap: int
    padding: int
    size: int
    lines: int

    @property
    def line(self) -> int:
        """The height of a line of text."""
        return round(self.size * 1.45)

    @property
    def end(self) -> int:
        """The distance between the ends of two edges at an application."""
        return round(self.size * 1.3)

    @property
    def inset(self) -> int:
        """The distance between a box and its text."""
        return round(self.size * 0.85)


WIDE = Style(node=196, chip=312, reach=92, gap=18, padding=28, size=14, lines=3)
NARROW = Style(node=84, chip=138, reach=14, gap=12, padding=6, size=11, lines=3)
DENSE = Style(node=168, chip=250, reach=64, gap=8, padding=20, size=12, lines=1)
