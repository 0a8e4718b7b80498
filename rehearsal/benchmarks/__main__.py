"""Prints the cost of the rehearsal: `tox -e bench`."""

import juju
import mesh


def main() -> None:
    """Print a table for hooks and commands, and a list for the mesh."""
    for row in juju.rows():
        print("".join(f"{cell:>14}" for cell in row), flush=True)
    print()
    for what, figure in mesh.rows():
        print(f"{what:<46} {figure:>10}", flush=True)


if __name__ == "__main__":
    main()
