"""Starts a charm's worker on the Python of the charm's own environment.

`python -I launch.py PACKAGES CODE WORD...` runs the worker with these words. PACKAGES is a folder
of packages that come before those of this Python, or empty. CODE is a folder that holds the
rehearsal and nothing else, so that a charm cannot import a package which it does not bring along.
"""

import site
import sys
import sysconfig


def main(packages: str, code: str, *words: str) -> None:
    """Set the path for imports and become the worker."""
    if packages:
        _put_first(packages)
    sys.path.append(code)
    from rehearsal.juju.hooks import worker

    worker.main(*words)


def _put_first(packages: str) -> None:
    """Put a folder, and the folders that its .pth files name, before this Python's packages."""
    before = list(sys.path)
    site.addsitedir(packages)
    added = [path for path in sys.path if path not in before]
    own = sysconfig.get_path("purelib")
    start = before.index(own) if own in before else len(before)
    sys.path[:] = [*before[:start], *added, *before[start:]]


if __name__ == "__main__":
    main(*sys.argv[1:])
