"""Reads a snapshot of models with jubilant, from any controller."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jubilant

from mesh_map.model import Application, Call, Model, Name, Relation, Snapshot
from mesh_map.reading import policies, reasons, relations
from mesh_map.reading.policies import Review
from mesh_map.reading.relations import IDENTITY, MESH


@dataclass(frozen=True)
class _Read:
    """A model as it was read."""

    juju: jubilant.Juju
    status: jubilant.Status

    @property
    def name(self) -> str:
        return self.status.model.name

    def relations(self, offers: Mapping[str, Name]) -> list[Relation]:
        return relations.read(self.juju, self.status, offers)


def _read(juju: jubilant.Juju) -> _Read:
    return _Read(juju, juju.status())


class Reader:
    """Reads snapshots with one `juju`.

    Args:
        models: the models to read; by default all models of the controller that have a mesh.
        cli_binary: the `juju` to use.
    """

    def __init__(self, models: Sequence[str] = (), cli_binary: str | None = None) -> None:
        self._models = models
        self._cli_binary = cli_binary
        self._actions: dict[str, frozenset[str]] = {}

    def models(self) -> list[str]:
        """Return the names of the controller's models that are not being removed.

        Raises:
            jubilant.CLIError: juju failed.
        """
        words = ("models", "--format", "json")
        listed = jubilant.Juju(cli_binary=self._cli_binary).cli(*words, include_model=False)
        models: list[dict[str, Any]] = json.loads(listed)["models"]
        return [m["short-name"] for m in models if not m["is-controller"] and m["life"] == "alive"]

    def read(self) -> Snapshot:
        """Return the present state of the models.

        Raises:
            jubilant.CLIError: juju failed.
            jubilant.TaskError: the action of a mesh failed.
        """
        # Each command takes a while, so the models are read at the same time.
        with ThreadPoolExecutor() as pool:
            reads = list(pool.map(_read, self._jujus()))
            of_models = pool.map(_Read.relations, reads, itertools.repeat(_offers(reads)))
            found = [relation for each in of_models for relation in each]
            meshes = [(read, mesh) for read in reads for mesh in self._meshes(read, found)]
            reviews = list(pool.map(_review, meshes))
        by_model = {read.name: review for (read, _), review in zip(meshes, reviews, strict=True)}
        names = {Name(read.name, mesh) for read, mesh in meshes}
        members = {each.requirer for each in found if each.interface == MESH}
        return Snapshot(
            tuple(
                _model(read, names, members, by_model.get(read.name, Review())) for read in reads
            ),
            tuple(each for each in found if each.interface not in (IDENTITY, MESH)),
            frozenset((e.requirer, e.provider) for e in found if e.interface == IDENTITY),
            tuple(policy for review in reviews for policy in review.policies),
        )

    def look(self) -> object:
        """Return a value that differs if relations, units or states of applications do.

        It costs two short commands and one for each model, and runs no action.

        Raises:
            jubilant.CLIError: juju failed.
        """
        return [_outline(juju.status()) for juju in self._jujus()]

    def explain(self, call: Call, snapshot: Snapshot) -> str:
        """Return the reason that a mesh of the target's model gives for its decision on a call."""
        juju = jubilant.Juju(model=call.target.model, cli_binary=self._cli_binary)
        models = [model for model in snapshot.models if model.name == call.target.model]
        meshes = [mesh.name.app for model in models for mesh in model.meshes]
        return reasons.explain(juju, meshes[0], call) if meshes else ""

    def _jujus(self) -> Iterable[jubilant.Juju]:
        return [
            jubilant.Juju(model=name, cli_binary=self._cli_binary)
            for name in self._models or self.models()
        ]

    def _meshes(self, read: _Read, found: Iterable[Relation]) -> list[str]:
        """Return the applications of a model that provide a mesh and list their policies."""
        providers = {e.provider for e in found if e.interface == MESH}
        names = sorted(each.app for each in providers if each.model == read.name)
        return [name for name in names if self._has_action(read, name)]

    def _has_action(self, read: _Read, app: str) -> bool:
        """Return whether an application has the action `policies`, and so has a leader to ask."""
        status = read.status.apps[app]
        if status.charm not in self._actions:
            listed = read.juju.cli("actions", app, "--format", "json")
            self._actions[status.charm] = frozenset(json.loads(listed or "{}"))
        return policies.ACTION in self._actions[status.charm] and bool(status.units)


def _review(asked: tuple[_Read, str]) -> Review:
    read, mesh = asked
    return policies.read(read.juju, mesh)


def _outline(status: jubilant.Status) -> object:
    """Return the parts of a status that a map shows.

    The state of agents is not among them, since asking a mesh makes its agent busy.
    """
    apps = {
        name: (app.app_status.current, app.app_status.message, sorted(app.units), app.relations)
        for name, app in status.apps.items()
    }
    remotes = {name: remote.relations for name, remote in status.app_endpoints.items()}
    return status.model.name, apps, remotes, sorted(status.offers)


def _offers(reads: Iterable[_Read]) -> dict[str, Name]:
    """Return the applications behind offers, by `model.offer`."""
    return {
        f"{read.name}.{offer}": Name(read.name, status.app)
        for read in reads
        for offer, status in read.status.offers.items()
    }


def _model(read: _Read, meshes: set[Name], members: set[Name], review: Review) -> Model:
    apps = [_application(read, name, members) for name in sorted(read.status.apps)]
    return Model(
        read.name,
        tuple(app for app in apps if app.name not in meshes),
        tuple(app for app in apps if app.name in meshes),
        review.note,
        review.enforcement,
    )


def _application(read: _Read, name: str, members: set[Name]) -> Application:
    found = read.status.apps[name]
    full = Name(read.name, name)
    status = found.app_status
    units = len(found.units)
    return Application(
        full, found.charm_name, units, full in members, status.current, status.message
    )
