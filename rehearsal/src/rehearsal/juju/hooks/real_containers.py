"""Services and commands of a hook, which ops.testing only records, on real processes."""

import contextlib
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import ops
import scenario as testing

from rehearsal.juju.hooks.messages import ContainerContext, HookContext, PebbleCall
from rehearsal.juju.pods.pebble_exec import Execution, execute, failed

_SERVICE_METHODS = ("autostart", "start", "stop", "restart", "replan")
Share = Callable[[str], None]
"""Takes the name of a container, whose files are then the same for charm and processes."""


@contextmanager
def live_containers(
    hook: HookContext, share: Share, call: Callable[[PebbleCall], str | None]
) -> Generator[None]:
    """Make the methods of ops.Container reach real processes while a hook runs.

    Args:
        hook: the hook.
        share: is called before a process may look at files, and in the end.
        call: carries out a request about services; returns the text of an error, or None.
    """
    containers = {container.name: container for container in hook.containers}
    started: list[Execution] = []
    methods: dict[str, Callable[..., Any]] = {
        name: _service_method(getattr(ops.Container, name), name, share, call)
        for name in _SERVICE_METHODS
    }
    methods["exec"] = _exec_method(containers, share, started)
    try:
        with replaced(ops.Container, methods):
            yield
    finally:
        for execution in started:
            execution.kill()
        for name in containers:
            share(name)


@contextmanager
def replaced(owner: object, methods: dict[str, Callable[..., Any]]) -> Generator[None]:
    """Give a class other methods, or a module other functions, for a while."""
    originals = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


def _service_method(
    original: Callable[..., None],
    operation: str,
    share: Share,
    call: Callable[[PebbleCall], str | None],
) -> Callable[..., None]:
    def method(container: ops.Container, *services: str) -> None:
        original(container, *services)
        share(container.name)
        if error := call(PebbleCall(container.name, operation, services, _plan(container))):
            raise failed(operation, error)

    return method


def _exec_method(
    containers: dict[str, ContainerContext], share: Share, started: list[Execution]
) -> Callable[..., Execution]:
    def method(container: ops.Container, command: list[str], **options: Any) -> Execution:
        share(container.name)
        services = _plan(container).get("services", {})
        execution = execute(containers[container.name].place, services, command, options)
        started.append(execution)
        return execution

    return method


def _plan(container: ops.Container) -> dict[str, Any]:
    return cast("dict[str, Any]", container.get_plan().to_dict())


def _share(root: Path, seen: Path) -> None:
    """Make the files that the charm sees those of the container's folder, by links.

    Files that the charm made at the top level move there. Files that processes made there appear.
    """
    if not seen.is_dir():
        return
    for entry in (entry for entry in seen.iterdir() if not entry.is_symlink()):
        _move(entry, root / entry.name)
    for entry in root.iterdir():
        with contextlib.suppress(FileExistsError):
            (seen / entry.name).symlink_to(entry)


def _move(entry: Path, target: Path) -> None:
    if entry.is_dir():
        shutil.copytree(entry, target, dirs_exist_ok=True)
        shutil.rmtree(entry)
    else:
        shutil.copy(entry, target)
        entry.unlink()


def sharing(
    hook: HookContext, context: "testing.Context[ops.CharmBase]", state: testing.State
) -> Share:
    """Return a function that shares the files of a hook's containers."""
    roots = {container.name: container.place.root for container in hook.containers}

    def share(name: str) -> None:
        _share(roots[name], state.get_container(name).get_filesystem(context))

    return share
