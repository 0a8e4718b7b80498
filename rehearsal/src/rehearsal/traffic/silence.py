"""The reasons for which the services of a container may not answer."""

import signal
from collections.abc import Iterator

from rehearsal.juju.pods.pebble import Container, Service
from rehearsal.machine import listeners

_WHERE = "it has to listen on the address in $BIND_ADDRESS"
_IN_USE = "address already in use"


def reasons(pod: str, container: Container) -> Iterator[str]:
    """Yield a line for each service of a container, with its condition and advice."""
    services = container.services
    if not services and not container.left_out:
        yield f"{pod}, {container.name}: the charm has started no service"
    for name, service in services.items():
        lines = container.log(name).read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else ""
        listening = _listening(service, container.address)
        condition = listening or _exited(service) or "listens on no port"
        told = [condition, *([f"its last line: {said}"] if said else [])]
        told += [_WHERE] if _IN_USE in said.lower() and not listening else []
        yield f"{pod}, {container.name}.{name}: {'; '.join(told)}"


def _listening(service: Service, address: str) -> str:
    """Return the sockets of a service, with advice if none is at the address of its pod."""
    if not service.running:
        return ""
    sockets = listeners.of_group(service.process.pid)
    text = f"listens on {', '.join(map(str, sockets))}" if sockets else ""
    if not sockets or any(str(socket.address) == address for socket in sockets):
        return text
    return f"{text}; {_WHERE}"


def _exited(service: Service) -> str:
    """Return how a service exited the last time, and how often it was started again."""
    code = service.code
    if code is None:
        return ""
    how = f"exited with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    times = "once" if service.restarts == 1 else f"{service.restarts} times"
    return f"{how}, restarted {times}" if service.restarts else how
