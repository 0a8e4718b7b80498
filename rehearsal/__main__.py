"""`python -m rehearsal`."""

import sys

try:
    from rehearsal.command_line import main
except ModuleNotFoundError as error:
    sys.exit(
        f"{error.name} is not installed in this Python. `make demo` sets up one that has it:\n"
        "    .venv/bin/python -m rehearsal"
    )
sys.exit(main())
