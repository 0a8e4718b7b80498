"""Fits words into boxes. The font is not known here, so widths are those of wide fonts."""

import textwrap

_SANS, _BOLD, _MONO = 0.56, 0.6, 0.62
"""The width of a character, in units of the font's size."""


def width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """Return the width of a text."""
    return len(text) * size * _factor(mono, bold)


def fit(text: str, room: float, size: float, *, mono: bool = False, bold: bool = False) -> str:
    """Return a text that is cut to a width, with an ellipsis in place of its end."""
    most = max(int(room / (size * _factor(mono, bold))), 2)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrap(text: str, room: float, size: float, lines: int, *, bold: bool = False) -> list[str]:
    """Return a text in lines of a width, cut after the last line."""
    most = max(int(room / (size * _factor(False, bold))), 4)
    return textwrap.wrap(text, most, max_lines=lines, placeholder="…")


def _factor(mono: bool, bold: bool) -> float:
    return _MONO if mono else _BOLD if bold else _SANS
