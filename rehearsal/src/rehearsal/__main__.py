"""Runs the command line for `python -m rehearsal`."""

import sys

from rehearsal.commands.command_line import main

if __name__ == "__main__":
    sys.exit(main())
