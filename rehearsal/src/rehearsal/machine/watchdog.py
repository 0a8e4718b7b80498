"""Ends the processes that a killed run leaves behind.

Its input names the process groups of the run: `+N` started, `-N` stopped. When it ends, so has the
run, in order or not.
"""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def clean_up(groups: Iterable[int], directory: str) -> None:
    """Kill process groups, and remove the run's folder."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Wait for the end of the run."""
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # it has to outlive the run to clean up after it
    groups: set[int] = set()
    for line in sys.stdin:
        what, group = line[0], int(line[1:])
        if what == "+":
            groups.add(group)
        else:
            groups.discard(group)
    clean_up(groups, sys.argv[1])


if __name__ == "__main__":
    main()
