"""Durations in Go's notation, for Juju's options and Pebble's layers."""

import re

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|us|µs|ns|m|s)")


def seconds(duration: str) -> float:
    """Return the seconds of a duration such as `500ms`, `10s` or `1m30s`.

    Raises:
        ValueError: if it is not a duration.
    """
    parts = _PART.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f'time: invalid duration "{duration}"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
