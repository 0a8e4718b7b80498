"""`juju scp`: files between this machine and the containers of units."""

import shutil
from pathlib import Path

from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.cli.tasks import NotScheduledError, find_unit
from rehearsal.juju.errors import JujuError
from rehearsal.juju.model.state import Unit


@command(
    *("scp", "--container=", "--no-host-key-checks", "--proxy"),
    usage="[<unit>:]<source> [<unit>:]<destination>",
)
def scp(call: Call) -> None:
    """Copies a file or a folder to or from a unit."""
    ends = [word for word in call.args if not word.startswith("-")]
    if len(ends) < 2:
        raise JujuError("source and destination are required")
    if len(ends) > 2:
        raise JujuError("only one source and one destination are allowed for a k8s application")
    source, destination = (_path(call, end) for end in ends)
    if destination.is_dir():
        destination /= source.name
    try:
        if source.is_dir():
            shutil.copytree(source, destination, dirs_exist_ok=True)
        else:
            shutil.copy(source, destination)
    except OSError as error:
        raise JujuError(f"cannot copy {ends[0]} to {ends[1]}: {error.strerror}") from error


def _path(call: Call, end: str) -> Path:
    """Return a path on this machine for one end of a copy."""
    target, colon, path = end.partition(":")
    if not colon:
        return call.path(end)
    if not target:
        raise JujuError("target must match format: [pod[/container]:]path")
    with call.controller.lock:
        try:
            unit = find_unit(call, target.rpartition("@")[2])
        except NotScheduledError as error:
            raise JujuError(f'unit "{target}" not found') from error
        root = _root(call, unit).resolve()
    found = (root / path.lstrip("/")).resolve()
    if not found.is_relative_to(root):
        raise JujuError(f"{path} is outside of the container")
    return found


def _root(call: Call, unit: Unit) -> Path:
    """Return the folder with the files of a container; the charm's is the one with its code."""
    name = call.options.get("--container") or "charm"
    if unit.pod is None:
        raise JujuError(f"unit {unit.name} has no pod yet")
    if name == "charm":
        return unit.pod.charm.root
    if name not in unit.pod.containers:
        known = ", ".join(["charm", *unit.app.charm.containers])
        raise JujuError(f'container "{name}" must be one of: {known}')
    return unit.pod.containers[name].place.root
