"""`juju-rehearsal open`: the addresses at which a browser on this machine finds a workload."""

import os
import sys
from collections.abc import Iterator

import jubilant

from rehearsal.machine.addresses import workload_address

_OUTSIDE = """\
no rehearsal runs here. Open a shell in one, and ask there:
    juju-rehearsal shell BUNDLE
    juju-rehearsal open APPLICATION"""


class _UnknownError(Exception):
    """There is no such address; the message says why."""


def show(target: str) -> int:
    """Print the URL of each open port of an application's units, or of one unit.

    Args:
        target: an application or a unit of the model in focus.

    Returns:
        Exit status: 0 if there is an open port.
    """
    try:
        urls = _urls(target)
    except _UnknownError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    except jubilant.CLIError as error:
        sys.stderr.write(error.stderr or "")
        return 1
    print("\n".join(urls))
    return 0


def _urls(target: str) -> list[str]:
    if "REHEARSAL_DIRECTORY" not in os.environ:
        raise _UnknownError(_OUTSIDE)
    status = jubilant.Juju().status()
    units = {name: unit for app in status.apps.values() for name, unit in app.units.items()}
    asked = {n: unit for n, unit in units.items() if target in (n, n.partition("/")[0])}
    if not asked:
        known = ", ".join(sorted({*status.apps, *units})) or "none"
        raise _UnknownError(f"no application or unit {target}; there are: {known}")
    urls = [url for _, unit in sorted(asked.items()) for url in _of(unit.address, unit.open_ports)]
    if not urls:
        raise _UnknownError(f"{target} has opened no port, as `unit.set_ports` does")
    return urls


def _of(address: str, ports: list[str]) -> Iterator[str]:
    """Yield the URL of each open port; nothing of the mesh stands before the workload's address."""
    for port in ports if address else ():
        yield f"http://{workload_address(address)}:{port.partition('/')[0]}/"
