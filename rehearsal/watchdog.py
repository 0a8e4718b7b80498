"""Ends what a run leaves behind when it is killed.

Its input names the process groups of the run: `+N` started, `-N` stopped. When it ends, so has the
run, in order or not.
"""

import contextlib
import os
import shutil
import signal
import sys

groups: set[int] = set()
for line in sys.stdin:
    what, group = line[0], int(line[1:])
    if what == "+":
        groups.add(group)
    else:
        groups.discard(group)
for group in groups:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
shutil.rmtree(sys.argv[1], ignore_errors=True)
