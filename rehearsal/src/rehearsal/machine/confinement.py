"""Keeps the programs of units from changing the files of this machine."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rehearsal.machine import landlock

_Result = TypeVar("_Result")


class Confinement:
    """Runs programs that can change files in one folder only.

    Args:
        folder: the folder.

    Attributes:
        folder: the folder.
        is_possible: whether the kernel can confine programs; if not, they run as any others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_possible = True
        try:
            self.call(lambda: None)
        except OSError:
            self.is_possible = False

    def call(self, do: Callable[[], _Result]) -> _Result:
        """Call a function on a confined thread; the processes that it starts are confined, too."""
        with ThreadPoolExecutor(1) as pool:
            if self.is_possible:
                pool.submit(landlock.confine, self.folder).result()
            return pool.submit(do).result()

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that confines itself and then runs a program."""
        if not self.is_possible:
            return list(words)
        return [sys.executable, "-IS", landlock.__file__, str(self.folder), *words]
