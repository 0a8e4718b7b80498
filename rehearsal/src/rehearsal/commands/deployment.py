"""A bundle in a model of its own: its deployment, and its problems."""

import logging
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jubilant
from jubilant.statustypes import UnitStatus

from rehearsal.juju.hooks import failure
from rehearsal.juju.model.bundle import is_bundle
from rehearsal.juju.model.charm import upstream_images

_BETWEEN, _LOOKS = 0.1, 5
"""Seconds between two looks at a model, and how many in a row have to find it settled."""
logging.getLogger("jubilant.wait").setLevel(logging.CRITICAL)  # it has a line for each change
_RUNS_ON = re.compile(r" unit\.(\S+)/\d+\.juju-log (?:ops|Operator Framework) (\S+) up and running")
_LEFT_OUT = re.compile(
    r" WARNING unit\.(\S+)\.juju-log "
    r"(.* is not on this machine: .*|.*: services and layers of \S+( image)? are left out)"
)


def deploy(
    juju: jubilant.Juju,
    bundle: str,
    overlays: Sequence[str],
    resources: Sequence[str],
    show: Callable[[str], None],
) -> int:
    """Add a model named after the bundle's file and deploy the bundle there.

    Args:
        juju: gets the model.
        bundle: the file or folder of a bundle or a charm, as it was typed.
        overlays: files that are laid over it.
        resources: images of a charm, as `NAME=IMAGE`. By default they are those that the charm
            names as `upstream-source`.
        show: is called with each line of Juju about errors and about the packages of charms.

    Returns:
        Juju's exit status.

    Raises:
        jubilant.CLIError: Juju refuses the model; `stderr` has the reason.
    """
    options = [word for overlay in overlays for word in ("--overlay", overlay)]
    images = [*_upstream(Path(bundle)), *resources]
    options += [word for image in images for word in ("--resource", image)]
    name = re.sub("[^a-z0-9]+", "-", Path(bundle).absolute().stem.lower()).strip("-") or "bundle"
    juju.cli("add-model", name, include_model=False)
    juju.model = name
    words = [juju.cli_binary, "deploy", bundle, "--trust", "--quiet", "--model", name, *options]
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            show(line)
    return process.returncode


def _upstream(path: Path) -> list[str]:
    """Return the images that a charm names itself, as `NAME=IMAGE`; a bundle names none."""
    if not path.exists() or is_bundle(path):
        return []
    return [f"{name}={image}" for name, image in upstream_images(path).items()]


def settle(juju: jubilant.Juju, timeout: float, show: Callable[[str], None]) -> bool:
    """Wait until no unit has anything left to do, and return whether that came.

    A unit in error counts as settled: Juju runs its hook again, but nothing else will come.

    Args:
        juju: knows the model.
        timeout: seconds to wait at most.
        show: is told how far it has come.
    """

    def settled(status: jubilant.Status) -> bool:
        wanted = sum(app.scale for app in status.apps.values())
        idle = [unit for _, unit in units(status) if unit.juju_status.current == "idle"]
        active = [unit for unit in idle if unit.is_active]
        show(f"{len(active)} of {wanted} units are active")
        return len(idle) == wanted == len(list(units(status)))

    try:
        juju.wait(settled, delay=_BETWEEN, timeout=timeout, successes=_LOOKS)
    except TimeoutError:
        return False
    return True


def units(status: jubilant.Status) -> Iterator[tuple[str, UnitStatus]]:
    """Yield all units with their names."""
    for app in status.apps.values():
        yield from app.units.items()


def not_active(juju: jubilant.Juju) -> list[str]:
    """Return a line for each unit that is not active, with the reason, or is not idle."""
    return [line for name, unit in units(juju.status()) if (line := _line(juju, name, unit))]


def _line(juju: jubilant.Juju, name: str, unit: UnitStatus) -> str:
    workload, agent = unit.workload_status, unit.juju_status
    busy = "" if agent.current == "idle" else f" ({agent.current} {agent.message}".rstrip() + ")"
    if unit.is_active and not busy:
        return ""
    cause = f": {_last_error(juju, name)}" if unit.is_error else ""
    return f"{name} is {workload.current}{busy}: {workload.message}".rstrip(": ") + cause


def _last_error(juju: jubilant.Juju, unit: str) -> str:
    """Return the last error of a unit, in one line."""
    options = ("--level", "ERROR", "--include", unit, "--include-module", "unit.", "--limit", "1")
    log = juju.cli("debug-log", *options)
    return failure.summary(log.partition(".juju-log ")[2]) or "see juju debug-log"


def left_out(juju: jubilant.Juju) -> list[str]:
    """Return a line for each program, service or layer of an image that a unit would have used."""
    matches = _LEFT_OUT.finditer(juju.cli("debug-log", "--level", "WARNING", "--replay"))
    return list(dict.fromkeys(f"{match[1]}: {match[2]}" for match in matches))


def versions(juju: jubilant.Juju) -> list[str]:
    """Return a line for each application with the version of ops that it runs on."""
    matches = _RUNS_ON.finditer(juju.cli("debug-log", "--level", "DEBUG", "--replay"))
    return sorted({f"{match[1]}: ops {match[2]}" for match in matches})
