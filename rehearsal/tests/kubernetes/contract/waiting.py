"""Waiting for effects that a real cluster shows a moment later."""

import time
from collections.abc import Callable

_SECONDS = 30


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not so within {_SECONDS} seconds"
        time.sleep(0.02)
