"""Ends what a run leaves behind when it is killed.

Its input names the process groups of the run: `+N` started, `-N` stopped, `=0` all stopped. When
the input ends, so has the run.
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
    elif what == "-":
        groups.discard(group)
    else:
        groups.clear()
for group in groups:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
shutil.rmtree(sys.argv[1], ignore_errors=True)
