"""`juju-rehearsal open`: lets a browser on this machine see a workload, past the mesh."""

import contextlib
import os
import shlex
import socketserver
import subprocess
import sys
import threading
from typing import cast

import jubilant
from jubilant.statustypes import UnitStatus

from rehearsal.machine.addresses import workload_address

_OUTSIDE = """\
no rehearsal runs here. Open a shell in one, and ask there:
    juju-rehearsal shell BUNDLE
    juju-rehearsal open APPLICATION"""
_RELAY = """\
import os, socket, sys, threading
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    while data := os.read(0, 65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := connection.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
"""
"""Runs beside the workload, with a connection to this machine as its input and output."""


class _UnknownError(Exception):
    """There is nothing to open; the message says why."""


class _Server(socketserver.ThreadingTCPServer):
    """Hands each connection to a command that runs beside a workload."""

    daemon_threads = True

    def __init__(self, command: list[str]) -> None:
        self.command = command
        super().__init__(("127.0.0.1", 0), _Connection)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        command, descriptor = cast("_Server", self.server).command, self.request.fileno()
        subprocess.run(command, stdin=descriptor, stdout=descriptor, check=False)


def serve(target: str) -> int:
    """Print a URL for each open port of a unit, and forward connections until it is interrupted.

    Args:
        target: a unit of the model in focus, or an application, whose first unit is taken.

    Returns:
        Exit status: 1 if the unit has no open port.
    """
    try:
        servers = _servers(target)
    except _UnknownError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    except jubilant.CLIError as error:
        sys.stderr.write(error.stderr or "")
        return 1
    threads = [threading.Thread(target=each.serve_forever, daemon=True) for each in servers]
    for thread in threads:
        thread.start()
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    return 0


def _servers(target: str) -> list[_Server]:
    if "REHEARSAL_DIRECTORY" not in os.environ:
        raise _UnknownError(_OUTSIDE)
    status = jubilant.Juju().status()
    name, unit = _unit(target, status)
    if not unit.open_ports:
        raise _UnknownError(f"{name} has opened no port, as `unit.set_ports` does")
    return [
        _forwarded(status.model.name, name, unit.address, each.partition("/")[0])
        for each in unit.open_ports
    ]


def _unit(target: str, status: jubilant.Status) -> tuple[str, UnitStatus]:
    """Return a unit by its name, or the first unit of an application."""
    units = {name: unit for app in status.apps.values() for name, unit in app.units.items()}
    asked = sorted(name for name in units if target in (name, name.partition("/")[0]))
    if not asked:
        known = ", ".join(sorted({*status.apps, *units})) or "none"
        raise _UnknownError(f"no application or unit {target}; there are: {known}")
    return asked[0], units[asked[0]]


def _forwarded(model: str, unit: str, address: str, port: str) -> _Server:
    """Return the server that forwards to a port of a unit, once its URL is printed."""
    relay = [sys.executable, "-IS", "-c", _RELAY, workload_address(address), port]
    server = _Server(["juju", "ssh", "--model", model, unit, shlex.join(relay)])
    print(f"port {port} of {unit}: http://127.0.0.1:{server.server_address[1]}/", flush=True)
    return server
