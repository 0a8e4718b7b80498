"""Juju's controller: the effects of commands on models, applications and relations."""

import math
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from rehearsal.juju.errors import JujuError
from rehearsal.juju.hooks import environment
from rehearsal.juju.hooks.environment import Environment, Say
from rehearsal.juju.hooks.event_order import EventOrder
from rehearsal.juju.hooks.hook_runner import HookRunner
from rehearsal.juju.model.charm import Charm, ConfigValue, load, name_of
from rehearsal.juju.model.endpoints import End, key
from rehearsal.juju.model.lifecycle import Lifecycle, Substrate
from rehearsal.juju.model.state import Application, Model, Offer, Relation, Saas, Side, Task, Unit
from rehearsal.juju.pods.pebble import Container
from rehearsal.juju.pods.unit_command import UnitCommand, run
from rehearsal.juju.version import JujuVersion
from rehearsal.machine.processes import Processes

_MOST_UNITS = 1000
"""A larger number would need more addresses than a run has."""


class Controller:
    """One controller with its models. Hold `lock` to read or change its data.

    Args:
        substrate: Kubernetes, processes and folders.
        order: chooses the next hook if Juju leaves the order open.
        juju: the version of Juju.

    Attributes:
        juju: the version of Juju.
        models: by name.
        lock: guards everything.
    """

    def __init__(self, substrate: Substrate, order: EventOrder, juju: JujuVersion) -> None:
        self.juju = juju
        self.models: dict[str, Model] = {}
        self.lock = threading.RLock()
        self._on = substrate
        self._uploading = threading.Lock()
        self._environments: dict[Path, Environment] = {}
        self._lifecycle = Lifecycle(self.models, substrate, self.wake)
        self._hook_runner = HookRunner(self.models, self.lock, self._lifecycle, substrate, order)

    def stop(self) -> None:
        """Stop running hooks, and all processes in pods."""
        self._hook_runner.stop()
        units = [unit for model in self.models.values() for unit in model.units()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._lifecycle.stop_containers, units))

    def wake(self) -> None:
        """Start a search for hooks to run. Takes no lock."""
        self._hook_runner.wake()

    def changed(self) -> None:
        """Have agents act on a command that changed something. Takes no lock."""
        self._hook_runner.hold()
        self._hook_runner.wake()

    def add_model(self, name: str) -> Model:
        """Add a model and its namespace."""
        if name in self.models or self._on.cluster.has_namespace(name):
            raise JujuError(
                "the model cannot be created because a namespace with the proposed\n"
                "model name already exists in the k8s cluster.\n"
                "Please choose a different model name.\n (already exists)"
            )
        model = self.models[name] = Model(name, self.juju)
        self._on.cluster.add_model(model)
        return model

    def configure_model(
        self, model: Model, changes: Mapping[str, ConfigValue], reset: Iterable[str] = ()
    ) -> None:
        """Set and reset options of a model. Units that wait by the old options start over."""
        kept = {name: value for name, value in model.config.items() if name not in set(reset)}
        before, model.config = model.config, kept | dict(changes)
        try:
            interval = model.update_status_interval()
        except ValueError as error:
            model.config = before
            raise JujuError(
                f"invalid update status hook interval in model configuration: {error}"
            ) from error
        for unit in model.units():
            unit.update_at = min(unit.update_at, time.monotonic() + interval)
            if unit.error:
                unit.retry_at = time.monotonic() if model.retries_hooks() else math.inf
        self.changed()

    def destroy_model(self, model: Model, *, force: bool = False) -> None:
        """Begin to remove a model: all its applications first."""
        model.offers.clear()
        model.dying = True
        for app in list(model.apps.values()):
            self.remove_application(app, force=force)
        self._lifecycle.tidy_model(model)
        self.changed()

    def add_charm(self, model: Model, path: Path, say: Say) -> Charm:
        """Upload a local charm: its next revision in the model.

        Do not hold `lock`, since making an environment may take minutes.

        Args:
            model: gets the charm.
            path: the charm's folder or `.charm` file.
            say: prints a line about the charm's environment.
        """
        name = name_of(path)
        directory = self._on.directory / "charms" / model.uuid
        with self._uploading:
            charm = load(path, model.revisions[name], directory)
            source = path if path.is_dir() else charm.root
            self._environments[charm.root] = environment.prepare(source, name, say)
            model.revisions[name] += 1
        return charm

    def _run(self, charm: Charm) -> None:
        """Start the process of a charm, unless another application has started it."""
        if made := self._environments.pop(charm.root, None):
            self._hook_runner.add_charm(charm, made)

    def deploy(self, app: Application) -> None:
        """Add an application with its peer relations and its units."""
        if app.model.dying:
            raise JujuError(
                f'cannot add application "{app.name}": model "{app.model.name}" is no longer alive'
            )
        app.model.apps[app.name] = app
        self._run(app.charm)
        for line in app.charm.not_rehearsed:
            app.model.log.append((time.time(), f"{app.name}/0", "WARNING", line))
        for endpoint in app.charm.endpoints.values():
            if endpoint.role == "peer":
                side = Side(app, endpoint, app.model.take_relation_id(), app.name)
                app.relations.append(Relation((side,)))
        self._on.cluster.apply(app)
        self.scale(app, app.scale)

    def scale(self, app: Application, scale: int) -> None:
        """Set the number of units of an application. Units with the highest numbers leave first."""
        if scale > _MOST_UNITS:
            raise JujuError(f"{scale} units are more than can be rehearsed ({_MOST_UNITS})")
        if app.dying and scale:
            raise JujuError("application is not found or not alive")
        app.scale = scale
        for unit in app.units.values():
            unit.dying = unit.dying or unit.number >= scale
        self._on.cluster.apply(app)
        self._lifecycle.tidy(app)
        self.changed()

    def remove_application(self, app: Application, *, force: bool = False) -> None:
        """Begin to remove an application: its relations end, its units leave.

        With `force`, the units leave without running a hook.
        """
        app.dying = True
        for relation in app.relations:
            relation.dying = True
        self.scale(app, 0)
        for unit in list(app.units.values()) if force else ():
            self._lifecycle.remove_unit(unit)
        self._lifecycle.tidy(app)

    def refresh(self, app: Application, charm: Charm) -> None:
        """Give an application another revision of its charm, which replaces its pods one by one."""
        app.charm = charm
        self._run(charm)
        self._on.cluster.apply(app)
        self.changed()

    def resolve(self, unit: Unit, *, retry: bool) -> None:
        """Let a unit in error run its hook again, or skip it."""
        unit.retry_at = 0.0
        unit.skip = not retry
        self.changed()

    def integrate(self, model: Model, ends: tuple[End, End]) -> Relation:
        """Relate two applications of a model, or an application and a consumed offer.

        A relation has a number in each of its models.
        """
        _refuse(model, ends)
        saas = next((end.saas for end in ends if end.saas), None)
        numbers = {m: m.take_relation_id() for m in dict.fromkeys(end.app.model for end in ends)}
        sides = (
            Side(end.app, end.endpoint, numbers[end.app.model], _seen_as(end, saas)) for end in ends
        )
        relation = Relation(tuple(sides), saas)
        for end in ends:
            end.app.relations.append(relation)
        self.changed()
        return relation

    def remove_relation(self, relation: Relation) -> None:
        """Begin to remove a relation. It is gone after its units have run their hooks."""
        relation.dying = True
        for side in relation.sides:
            self._lifecycle.tidy(side.app)
        self.changed()

    def configure(self, app: Application, changes: Mapping[str, ConfigValue | None]) -> None:
        """Set options, or reset those that are None."""
        config = app.config | {k: v for k, v in changes.items() if v is not None}
        for name in (name for name, value in changes.items() if value is None):
            config.pop(name, None)
        if config != app.config:
            app.config = config
            app.config_version += 1
        self.changed()

    def trust(self, app: Application, trust: bool) -> None:
        """Grant or withdraw an application's rights in the cluster."""
        if app.trust != trust:
            app.trust = trust
            app.config_version += 1
        self._on.cluster.apply(app)
        self.changed()

    def offer(self, offer: Offer) -> None:
        """Offer endpoints of an application, or change an offer of that name."""
        for name in offer.endpoints:
            if name not in offer.app.charm.endpoints:
                raise JujuError(
                    f'cannot add application offer "{offer.name}": getting relation endpoint for '
                    f'relation "{name}" and application "{offer.app.name}": '
                    f'application "{offer.app.name}" has no "{name}" relation'
                )
        there = offer.app.model.offers.setdefault(offer.name, offer)
        used = {r.side(there.app).endpoint.name for r in there.connections}
        for name in sorted(used.difference(offer.endpoints)):
            raise JujuError(
                f'cannot update application offer "{offer.name}": updating offer {there.app.name}:'
                f'{name} would remove endpoint "{name}" which has active consumers'
            )
        there.app, there.endpoints = offer.app, offer.endpoints

    def remove_offer(self, offer: Offer, *, force: bool = False) -> None:
        """Withdraw an offer. With `force`, also withdraw an offer in use, and end its relations."""
        number = len(offer.connections)
        if number and not force:
            used = f"offer has {number} relation{'s' if number > 1 else ''}"
            raise JujuError(f'cannot delete application offer "{offer.name}": {used}')
        for relation in offer.connections:
            self.remove_relation(relation)
        del offer.app.model.offers[offer.name]

    def consume(self, model: Model, offer: Offer, name: str) -> Saas:
        """Consume an offer of another model in a model. Consuming it again has no effect."""
        there = model.saas.get(name)
        if there and there.offer is not offer and not there.offer.removed:
            raise JujuError(
                f'saas application called "{name}" from a different model already exists'
            )
        if name in model.apps:
            raise JujuError(
                f'cannot add saas application "{name}": '
                "local application with same name already exists"
            )
        if there is None or there.offer is not offer:
            model.saas[name] = Saas(name, model, offer)
        return model.saas[name]

    def remove_saas(self, saas: Saas) -> None:
        """Begin to remove a consumed offer from a model. Its relations end first."""
        saas.dying = True
        for relation in saas.relations:
            self.remove_relation(relation)
        self._lifecycle.tidy_model(saas.model)

    def containers(self, model: str, app: str) -> list[tuple[str, Container]]:
        """Return the containers of an application, each with the name of its pod."""
        with self.lock:
            units = [unit for unit in self.models[model].units() if unit.app.name == app]
            pods = [(unit.pod_name, unit.pod) for unit in units if unit.pod]
        return [(name, container) for name, pod in pods for container in pod.containers.values()]

    @property
    def processes(self) -> Processes:
        """The processes of units."""
        return self._on.processes

    def execute(self, program: UnitCommand, timeout: float) -> "CompletedProcess[str]":
        """Run a unit's command. Takes no lock.

        Raises:
            TimeoutError: the command has not ended in this time, and was stopped.
        """
        return run(program, self._on.processes, timeout)

    def run_action(self, unit: Unit, action: str, params: Mapping[str, Any]) -> Task:
        """Queue an action on a unit."""
        task = Task(unit.app.model.take_task_id(), action, params)
        if unit.pod is None:
            task.terminate()
            return task
        unit.tasks.append(task)
        self.wake()
        return task


def _seen_as(end: End, saas: Saas | None) -> str:
    """Return the name of an end's application on the other side of a relation."""
    return end.name if saas is None or end.saas else saas.alias(end.app)


def _refuse(model: Model, ends: tuple[End, End]) -> None:
    """Raise JujuError unless the two may be related."""
    name = key(ends)
    if all(end.saas for end in ends):
        first, second = (end.name for end in ends)
        raise JujuError(
            f'cannot add relation "{name}": '
            f'cannot add relation between saas applications "{first}" and "{second}"'
        )
    for other in ends[0].app.relations:
        if other.key(model) == name:
            raise JujuError(_taken(ends, other) if model.juju.names_dying else _exists(ends))
    for end in ends:
        if end.app.dying or (end.saas and end.saas.dying):
            raise JujuError(f'cannot add relation "{name}": application "{end.name}" is not alive')
        _refuse_full(name, end)


def _taken(ends: tuple[End, End], there: Relation) -> str:
    """Return the error of Juju 3.6 for a relation that already exists."""
    name = key(ends)
    state = "is dying, but not yet removed" if there.dying else "(already exists)"
    return (
        f'cannot add relation "{name}":\nrelation {name} {state}:\n\n\n'
        "Use 'juju status --relations' to view the current relations."
    )


def _exists(ends: tuple[End, End]) -> str:
    """Return the error of Juju 4 for a relation that already exists, alive or dying."""
    first, second = (f"{end.name}:{end.endpoint.name}" for end in ends)
    return (
        f'adding relation between endpoints "{first}" and "{second}": '
        f'cannot add relation "{first}", "{second}": relation {first} {second}: already exists'
    )


def _refuse_full(name: str, end: End) -> None:
    taken = sum(r.side(end.app).endpoint == end.endpoint for r in end.app.relations)
    if end.endpoint.limit is not None and taken >= end.endpoint.limit:
        raise JujuError(
            f'cannot add relation "{name}": establishing a new relation for '
            f"{end.name}:{end.endpoint.name} would exceed its maximum relation limit of "
            f"{end.endpoint.limit} (quota limit exceeded)"
        )
