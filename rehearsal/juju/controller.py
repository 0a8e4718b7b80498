"""Juju's controller: what commands do to models, applications and relations."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rehearsal.juju.charm import Charm, ConfigValue, load, name_of
from rehearsal.juju.endpoints import End, key
from rehearsal.juju.errors import JujuError
from rehearsal.juju.lifecycle import Lifecycle, Substrate
from rehearsal.juju.state import Application, Model, Offer, Relation, Side, Task, Unit
from rehearsal.juju.uniter import Uniter

_MOST_UNITS = 1000
"""More would need more addresses than a run has."""


class Controller:
    """One controller with its models. Hold `lock` to read or change what it knows.

    Attributes:
        models: by name.
        lock: guards everything.
    """

    def __init__(self, substrate: Substrate) -> None:
        self.models: dict[str, Model] = {}
        self.lock = threading.RLock()
        self._on = substrate
        self._lifecycle = Lifecycle(self.models, substrate)
        self._uniter = Uniter(self.models, self.lock, self._lifecycle, substrate)

    def start(self) -> None:
        """Begin to run hooks."""
        self._uniter.start()

    def stop(self) -> None:
        """Stop running hooks, and everything that runs in pods."""
        self._uniter.stop()
        units = [unit for model in self.models.values() for unit in model.units()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._lifecycle.stop_containers, units))

    def wake(self) -> None:
        """Have it look for hooks to run. Takes no lock."""
        self._uniter.wake()

    def add_model(self, name: str) -> Model:
        """Add a model and its namespace."""
        if name in self.models or self._on.cluster.has_namespace(name):
            raise JujuError(
                "the model cannot be created because a namespace with the proposed\n"
                "model name already exists in the k8s cluster.\n"
                "Please choose a different model name.\n (already exists)"
            )
        model = self.models[name] = Model(name)
        self._on.cluster.add_model(model)
        return model

    def destroy_model(self, model: Model, *, force: bool = False) -> None:
        """Begin to remove a model: all its applications first."""
        model.offers.clear()
        model.dying = True
        for app in list(model.apps.values()):
            self.remove_application(app, force=force)
        self._lifecycle.tidy(model)
        self.wake()

    def add_charm(self, model: Model, path: Path) -> Charm:
        """Upload a local charm: its next revision in the model, in a process of its own."""
        name = name_of(path)
        directory = self._on.directory / "charms" / model.uuid
        charm = load(path, model.revisions[name], directory)
        model.revisions[name] += 1
        self._uniter.add_charm(charm)
        return charm

    def deploy(self, app: Application) -> None:
        """Add an application with its peer relations and its units."""
        app.model.apps[app.name] = app
        for endpoint in app.charm.endpoints.values():
            if endpoint.role == "peer":
                side = Side(app, endpoint, app.model.take_relation_id(), app.name)
                app.model.relations.append(Relation((side,)))
        self._on.cluster.apply(app)
        self.scale(app, app.scale)

    def scale(self, app: Application, scale: int) -> None:
        """Set how many units an application has; the highest numbers go first."""
        if scale > _MOST_UNITS:
            raise JujuError(f"{scale} units are more than can be rehearsed ({_MOST_UNITS})")
        app.scale = scale
        for unit in app.units.values():
            unit.dying = unit.dying or unit.number >= scale
        self._on.cluster.apply(app)
        self._lifecycle.tidy(app.model)
        self.wake()

    def remove_application(self, app: Application, *, force: bool = False) -> None:
        """Begin to remove an application: its relations end, its units leave.

        With `force`, they leave without running a hook.
        """
        app.dying = True
        for relation in app.model.relations_of(app):
            relation.dying = True
        self.scale(app, 0)
        for unit in list(app.units.values()) if force else ():
            self._lifecycle.remove_unit(unit)
        self._lifecycle.tidy(app.model)

    def refresh(self, app: Application, charm: Charm) -> None:
        """Give an application another revision of its charm; its pods are replaced one by one."""
        app.charm = charm
        self._on.cluster.apply(app)
        self.wake()

    def resolve(self, unit: Unit, *, retry: bool) -> None:
        """Have a unit in error run its hook again, or go on without it."""
        unit.retry_at = 0.0
        unit.skip = not retry
        self.wake()

    def integrate(self, ends: tuple[End, End]) -> Relation:
        """Relate two applications of one model."""
        model = ends[0][0].model
        sides = tuple(
            Side(app, endpoint, number, app.name)
            for number in [model.take_relation_id()]
            for app, endpoint in ends
        )
        relation = Relation(sides)
        self._refuse(model, relation, key(ends))
        model.relations.append(relation)
        self.wake()
        return relation

    def remove_relation(self, relation: Relation) -> None:
        """Begin to remove a relation: its units hear of it, then it is gone."""
        relation.dying = True
        self._lifecycle.tidy(relation.sides[0].app.model)
        self.wake()

    def configure(self, app: Application, changes: Mapping[str, ConfigValue | None]) -> None:
        """Set options, or reset those that are None."""
        config = app.config | {k: v for k, v in changes.items() if v is not None}
        for name in (name for name, value in changes.items() if value is None):
            config.pop(name, None)
        if config != app.config:
            app.config = config
            app.config_version += 1
        self.wake()

    def trust(self, app: Application, trust: bool) -> None:
        """Grant or withdraw an application's rights in the cluster."""
        if app.trust != trust:
            app.trust = trust
            app.config_version += 1
        self._on.cluster.apply(app)
        self.wake()

    def offer(self, offer: Offer) -> None:
        """Offer endpoints of an application."""
        for name in offer.endpoints:
            if name not in offer.app.charm.endpoints:
                raise JujuError(
                    f'cannot add application offer "{offer.name}": getting relation endpoint for '
                    f'relation "{name}" and application "{offer.app.name}": '
                    f'application "{offer.app.name}" has no "{name}" relation'
                )
        offer.app.model.offers[offer.name] = offer

    def run_action(self, unit: Unit, action: str, params: Mapping[str, Any]) -> Task:
        """Queue an action on a unit."""
        task = Task(unit.app.model.take_task_id(), action, params)
        unit.tasks.append(task)
        self.wake()
        return task

    def _refuse(self, model: Model, relation: Relation, name: str) -> None:
        for other in model.relations:
            if other.key == relation.key:
                state = "is dying, but not yet removed" if other.dying else "(already exists)"
                raise JujuError(
                    f'cannot add relation "{name}":\nrelation {name} {state}:\n\n\n'
                    "Use 'juju status --relations' to view the current relations."
                )
        for side in relation.sides:
            taken = sum(
                s.app is side.app and s.endpoint == side.endpoint
                for r in model.relations
                for s in r.sides
            )
            if side.endpoint.limit is not None and taken >= side.endpoint.limit:
                raise JujuError(
                    f'cannot add relation "{name}": establishing a new relation for {side.key} '
                    f"would exceed its maximum relation limit of {side.endpoint.limit} "
                    "(quota limit exceeded)"
                )
