"""`juju controllers` and `juju whoami`: the one controller of a rehearsal, and its one user."""

from typing import Any

from rehearsal.juju.cli import status
from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.model.state import CONTROLLER_UUID, USER

_ACCESS = "superuser"


@command("controllers", "--format=", "--refresh", aliases=("list-controllers",))
def controllers(call: Call) -> None:
    """Lists the controller of the rehearsal."""
    where, number = f"{status.CLOUD}/{status.REGION}", call.controller.juju.number
    with call.controller.lock:
        models, focus = len(call.controller.models), call.session.focus
    row = (f"{status.CONTROLLER}*", focus or "-", USER, _ACCESS, where)
    headers = ("Controller", "Model", "User", "Access", "Cloud/Region")
    rows = [
        (*headers, "Models", "Nodes", "HA", "Version"),
        (*row, str(models or "-"), "1", "-", number),
    ]
    shown = {status.CONTROLLER: _document(focus, number, models)}
    document = {"controllers": shown, "current-controller": status.CONTROLLER}
    call.answer(document, status.table(rows, (5, 6, 7)))


def _document(focus: str | None, number: str, models: int) -> dict[str, Any]:
    return {
        **({"current-model": f"{USER}/{focus}"} if focus else {}),
        "user": USER,
        "access": _ACCESS,
        "uuid": CONTROLLER_UUID,
        "api-endpoints": [],
        "cloud": status.CLOUD,
        "region": status.REGION,
        "agent-version": number,
        "model-count": models,
    }


@command("whoami", "--format=")
def whoami(call: Call) -> None:
    """Shows the controller, the model in focus and the user."""
    focus = call.session.focus
    document = {
        "controller": status.CONTROLLER,
        **({"model": focus} if focus else {}),
        "user": USER,
    }
    lines = [
        ("Controller:", status.CONTROLLER),
        ("Model:", focus or "<no-current-model>"),
        ("User:", USER),
    ]
    call.answer(document, status.table(lines))
