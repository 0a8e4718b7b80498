"""The producer's workload: its ports, Pebble layer and version."""

import pathlib

import ops

CONTAINER = "producer"
METRICS_PORT = 9090
DATA_PORT = 8080
VERSION = "1.0.0"

_PROGRAM = pathlib.Path(__file__).with_name("server.py")
_REMOTE_PROGRAM = "/opt/producer/server.py"
_CHECK = "serving"


def layer() -> ops.pebble.Layer:
    """Return the layer that runs the program and checks its health."""
    return ops.pebble.Layer(
        {
            "services": {
                "producer": {
                    "override": "replace",
                    "summary": "metrics and data",
                    "command": f"python3 {_REMOTE_PROGRAM}",
                    "startup": "enabled",
                    "environment": {
                        "METRICS_PORT": str(METRICS_PORT),
                        "DATA_PORT": str(DATA_PORT),
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
                    "http": {"url": f"http://localhost:{DATA_PORT}/health"},
                },
            },
        }
    )


def start(container: ops.Container) -> None:
    """Push the program and its layer, then start or restart the services that changed."""
    container.push(_REMOTE_PROGRAM, _PROGRAM.read_text(), make_dirs=True)
    container.add_layer("producer", layer(), combine=True)
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
