"""The error of a failed hook, in one line."""

import re

_HEAD = "Traceback (most recent call last):\n"
_IN_CHARM = re.compile(r'^ *File ".*/charms/[0-9a-f-]{36}/[^/]+/((src|lib)/.*)", line (\d+)', re.M)
"""A line of a traceback that is about a charm's own code, or a library that it brings along."""
_MODULE = re.compile(r"^(\w+\.)+(?=\w+(:|$))")
"""The module before the name of an exception."""
_ADVICE = "For further information visit"
"""Start of the lines that pydantic adds to each of its errors."""
_MOST_LINES = 8


def summary(error: str) -> str:
    """Return the exception in a traceback, and the line of the charm at which it came up.

    An error without a traceback is returned as it is.
    """
    *_, last = error.split(_HEAD)
    said = _message(last) if last != error else error.strip()
    places = [(match[2], f"{match[1]}:{match[3]}") for match in _IN_CHARM.finditer(last)]
    # A charm's author looks for the own line before the one in a library.
    ordered = sorted(places, key=lambda place: place[0] == "src")
    return said + (f" ({ordered[-1][1]})" if ordered else "")


def _message(last: str) -> str:
    """Return the exception at the end of a traceback; its lines follow those of the code."""
    lines = last.rstrip().splitlines()
    start = next((n for n, line in enumerate(lines) if not line.startswith(" ")), len(lines) - 1)
    first, *more = lines[start : start + _MOST_LINES]
    told = [line for line in more if line.strip() and not line.strip().startswith(_ADVICE)]
    joined = [f": {line.strip()}" if line.startswith(" ") else f"; {line}" for line in told]
    return _MODULE.sub("", first.strip()) + "".join(joined)
