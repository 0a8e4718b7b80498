"""The scraper's workload: its port, Pebble layer and version."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import ops

CONTAINER = "scraper"
PORT = 8080
VERSION = "1.0.0"

_PROGRAM = pathlib.Path(__file__).with_name("server.py")
_REMOTE_PROGRAM = "/opt/scraper/server.py"
_CHECK = "serving"


@dataclasses.dataclass(frozen=True)
class Target:
    """A URL to scrape, and the endpoint whose relation published it."""

    job: str
    url: str


def layer(name: str, targets: Sequence[Target], interval: int) -> ops.pebble.Layer:
    """Return the layer that scrapes the targets at this interval and checks its health."""
    return ops.pebble.Layer(
        {
            "services": {
                "scraper": {
                    "override": "replace",
                    "summary": "scrapes targets and shows the results",
                    "command": f"python3 {_REMOTE_PROGRAM}",
                    "startup": "enabled",
                    "environment": {
                        "NAME": name,
                        "PORT": str(PORT),
                        "TARGETS": json.dumps([dataclasses.asdict(target) for target in targets]),
                        "INTERVAL": str(interval),
                        # Pebble restarts a service if its layer changed, so a changed program
                        # needs a new version.
                        "VERSION": VERSION,
                    },
                },
            },
            "checks": {
                _CHECK: {
                    "override": "replace",
                    "level": "ready",
                    "http": {"url": f"http://localhost:{PORT}/health"},
                },
            },
        }
    )


def start(container: ops.Container, name: str, targets: Sequence[Target], interval: int) -> None:
    """Push the program and its layer, then start or restart the services that changed."""
    container.push(_REMOTE_PROGRAM, _PROGRAM.read_text(), make_dirs=True)
    container.add_layer("scraper", layer(name, targets, interval), combine=True)
    container.replan()


def status(container: ops.Container) -> ops.StatusBase:
    """Return active if the program passes its health check, or the reason to wait."""
    if not container.can_connect():
        return ops.WaitingStatus("waiting for Pebble")
    if _CHECK not in container.get_plan().checks:
        return ops.WaitingStatus("the workload has not been started yet")
    check = container.get_checks(_CHECK).get(_CHECK)
    if check and check.status != ops.pebble.CheckStatus.UP:
        return ops.WaitingStatus("the workload does not answer its health check")
    return ops.ActiveStatus()
