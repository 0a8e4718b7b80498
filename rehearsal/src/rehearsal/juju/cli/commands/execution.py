"""`juju exec` and `juju ssh`: programs on this machine in the environment of a unit."""

import os
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace

from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.cli.tasks import (
    NotScheduledError,
    find_unit,
    refuse_failed,
    result,
    scheduled,
    waiting_time,
)
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.state import Operation, Task, Unit
from rehearsal.juju.pods.unit_command import Place, UnitCommand

_WAIT = 300.0
"""Seconds for which `juju exec` waits unless told otherwise."""
_KEPT = ("LANG", "PATH", "TERM", "USER")
"""Variables of the rehearsal's own environment that a program in the charm's container gets."""
_PATH = re.compile(r"(?<![^\s\"'=;|&<>()`])/[^\s\"'=;|&<>()`]+")
"""An absolute path in a line for a shell."""
_UNCONFINED = """\
WARNING this shell can change the files of this machine: the kernel cannot confine it.
"""


@command(
    *("exec", "--format=", "--wait=", "-u,--unit=", "-a,--app,--application=", "--all"),
    anywhere=False,
    usage="<commands>",
)
def execute(call: Call) -> None:
    """Runs a command where a unit's charm runs."""
    if not call.args:
        raise UsageError("no commands specified")
    script = call.args[0] if len(call.args) == 1 else shlex.join(call.args)
    wait = waiting_time(call, _WAIT)
    with call.controller.lock:
        operation = Operation(call.model().take_task_id(), "juju-exec", {"command": script})
        with scheduled(call, operation.id):
            units = _units(call)
        call.model().operations[operation.id] = operation
        programs = {unit: _in_charm(call, unit, ["bash", "-c", script]) for unit in units}
    tasks = {unit: _run(call, unit, program, wait) for unit, program in programs.items()}
    operation.tasks |= {unit.name: task for unit, task in tasks.items()}
    results = {unit.name: result(unit.name, task) for unit, task in tasks.items()}
    call.answer(results, _text(tasks, "stdout"))
    if call.options.get("--format", "plain") == "plain":
        call.terminal.write("stderr", _text(tasks, "stderr"))
    refuse_failed(tasks.values())


def _units(call: Call) -> list[Unit]:
    if call.options.has("--all"):
        return list(call.model().units())
    apps, units = _names(call, "--application"), _names(call, "--unit")
    wrong = [name for name in units if "/" not in name]
    if wrong:
        shown = "".join(f'\n  "{name}" is not a valid unit name' for name in wrong)
        raise UsageError(f"The following exec targets are not valid:{shown}")
    if not apps and not units:
        raise UsageError(
            "You must specify a target, either through --all, --machine, --application or --unit"
        )
    of_apps = [unit for name in apps for unit in call.app(name).units.values()]
    return [*of_apps, *(find_unit(call, name) for name in units)]


def _names(call: Call, option: str) -> list[str]:
    return [name for text in call.options.all(option) for name in text.split(",")]


def _run(call: Call, unit: Unit, program: UnitCommand, wait: float) -> Task:
    with call.controller.lock:
        task = Task(unit.app.model.take_task_id(), "juju-exec", {}, started=time.time())
    try:
        done = call.controller.execute(program, wait)
    except TimeoutError as error:
        raise JujuError(f"timed out waiting for results from: unit {unit.name}") from error
    texts = {"stdout": done.stdout, "stderr": done.stderr}
    task.results = {name: text for name, text in texts.items() if text}
    message = f"exit status {done.returncode}" if done.returncode else ""
    task.finish("failed" if done.returncode else "completed", message, done.returncode)
    return task


def _text(tasks: dict[Unit, Task], stream: str) -> str:
    """Return the output of all units, under their names if there are several."""
    texts = {unit.name: str(task.results.get(stream, "")) for unit, task in tasks.items()}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "\n".join(f"{name}:\n{text}" for name, text in texts.items() if text)


@command(
    *("ssh", "--container=", "--no-host-key-checks", "--pty=", "--proxy="),
    anywhere=False,
    usage="[<user>@]<unit> [<command>]",
)
def ssh(call: Call) -> None:
    """Opens a shell, or runs a command, in a container of a unit."""
    if not call.args:
        raise UsageError("no target name specified")
    target, *words = call.args
    container = call.options.get("--container", "charm") or "charm"
    with call.controller.lock:
        try:
            unit = find_unit(call, target.rpartition("@")[2])
        except NotScheduledError as error:
            raise JujuError(f'unit "{target}" not found') from error
        if container == "charm":
            program = _in_charm(call, unit, _shell(words))
        else:
            program = _in_workload(unit, container, words)
    processes = call.controller.processes
    if not words and not processes.confinement.is_possible:
        call.terminal.write("stderr", _UNCONFINED)
    call.terminal.become(replace(program, words=processes.command(program.words)))


def _shell(words: Sequence[str]) -> list[str]:
    """Return the command of ssh: a shell, which gets the words, if there are any, as one line."""
    return ["bash", "-c", " ".join(words)] if words else ["bash", "--norc"]


def _in_charm(call: Call, unit: Unit, words: list[str]) -> UnitCommand:
    """Return a program that runs beside the charm's code, with the unit's identity."""
    if unit.pod is None:
        raise JujuError(f"unit {unit.name} has no pod yet")
    root, processes = unit.pod.charm.root, call.controller.processes
    own = {name: os.environ[name] for name in _KEPT if name in os.environ}
    names = {"JUJU_UNIT_NAME": unit.name, "JUJU_MODEL_NAME": unit.app.model.name}
    names["PS1"] = _prompt(unit)
    folders = {"HOME": str(root), "TMPDIR": str(processes.temporary)}
    environment = {**own, **unit.pod.environment, **names, **folders}
    place = Place(root, environment, processes.confinement.is_possible)
    return _checked(place, UnitCommand(words, environment, root))


def _in_workload(unit: Unit, name: str, words: Sequence[str]) -> UnitCommand:
    """Return a program that runs in a container of the workload."""
    container = unit.pod.containers.get(name) if unit.pod else None
    if container is None:
        known = ", ".join(["charm", *unit.app.charm.containers])
        raise JujuError(f'container "{name}" must be one of: {known}')
    place = container.place
    line = _PATH.sub(lambda path: place.inside(path[0]), " ".join(words))
    program = place.program(_shell([line] if line else []))
    environment = {**program.environment, "PS1": _prompt(unit)}
    return _checked(place, replace(program, environment=environment))


def _prompt(unit: Unit) -> str:
    """Return the prompt of a shell in a unit: its pod is the host, as in a real cluster."""
    return f"root@{unit.pod_name}:\\w# "


def _checked(place: Place, program: UnitCommand) -> UnitCommand:
    """Return a program, unless it might do harm."""
    if refusal := place.refusal(program):
        raise JujuError(refusal)
    return program
