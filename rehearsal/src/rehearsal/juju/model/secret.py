"""Secrets in the controller: their revisions, their grants, and the revision of each reader.

A secret ends with its owner, and a grant with its relation. No code has to clean up, since each use
looks up whether owner, relation and reader still exist.
"""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rehearsal.juju.hooks.messages import Hook, SecretContext

if TYPE_CHECKING:
    from rehearsal.juju.model.state import Application, Model, Relation, Unit

    Owner = Application | Unit | None
    Grantee = Application | Unit

_ID_LETTERS = "0123456789abcdefghijklmnopqrstuv"


@dataclass
class Revision:
    """The content of a revision."""

    content: dict[str, str]
    created: float = field(default_factory=time.time)


@dataclass
class View:
    """A unit's view of a secret that it has read.

    Attributes:
        tracked: the revision that it reads.
        told: the latest revision that the unit knows.
        label: the unit's label for the secret.
    """

    tracked: int
    told: int
    label: str | None = None


@dataclass(eq=False)
class Secret:
    """One secret.

    Attributes:
        owner: a unit, an application, or None for the user.
        label: the owner's label, or the name of a user's secret.
        grants: its readers, each with the relation of the grant, which is None for a user's secret.
        views: the views of the units that have read it.
        obsolete: revisions that the owner knows to have no reader.
        auto_prune: whether such revisions of a user's secret are removed automatically.
    """

    id: str
    model: "Model"
    owner: "Owner"
    revisions: dict[int, Revision]
    label: str | None = None
    description: str | None = None
    grants: set[tuple["Grantee", "Relation | None"]] = field(
        default_factory=set[tuple["Grantee", "Relation | None"]]
    )
    views: dict["Unit", View] = field(default_factory=dict["Unit", View])
    obsolete: set[int] = field(default_factory=set[int])
    auto_prune: bool = False
    updated: float = field(default_factory=time.time)

    @property
    def latest(self) -> int:
        """The number of the latest revision."""
        return max(self.revisions)

    @property
    def unused(self) -> list[int]:
        """The revisions without a reader, except for the latest one."""
        used = {v.tracked for unit, v in self.views.items() if self.is_readable_by(unit)}
        return [number for number in self.revisions if number != self.latest and number not in used]

    def add_revision(self, content: Mapping[str, str]) -> None:
        """Add a revision."""
        self.revisions[self.latest + 1] = Revision(dict(content))
        self.updated = time.time()
        self.prune()

    def prune(self) -> None:
        """Drop the revisions without a reader, if the user wants that."""
        for number in self.unused if self.auto_prune else ():
            del self.revisions[number]

    def is_owned_by(self, unit: "Unit") -> bool:
        """Return whether it belongs to a unit or to the unit's application."""
        return self.owner is unit or self.owner is unit.app

    def is_readable_by(self, unit: "Unit") -> bool:
        """Return whether a unit may read it."""
        return unit.is_there and (self.is_owned_by(unit) or self._is_granted_to(unit))

    def _is_granted_to(self, unit: "Unit") -> bool:
        relations = (None, *unit.app.relations)
        return any(
            grantee in (unit, unit.app) and relation in relations
            for grantee, relation in self.grants
        )


def new_id() -> str:
    """Return an identifier of the form that Juju gives."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(20))


def known(model: "Model") -> dict[str, Secret]:
    """Return the secrets of a model whose owners still exist, by identifier."""
    return {s.id: s for s in model.secrets.values() if s.owner is None or s.owner.is_there}


def within_reach(unit: "Unit") -> Iterator[Secret]:
    """Yield the secrets of the unit's model and of the models that its relations lead to."""
    models = [unit.app.model, *(r.other(unit.app).app.model for r in unit.app.relations)]
    for model in dict.fromkeys(models):
        yield from known(model).values()


def readable(unit: "Unit") -> list[Secret]:
    """Return the secrets that a unit may read."""
    return [secret for secret in within_reach(unit) if secret.is_readable_by(unit)]


def denied(unit: "Unit") -> frozenset[str]:
    """Return the identifiers of secrets that a unit could learn and may not read."""
    return frozenset(s.id for s in within_reach(unit) if not s.is_readable_by(unit))


def hooks(unit: "Unit") -> Iterator[Hook]:
    """Yield the hooks that tell a unit about secrets."""
    for secret in readable(unit):
        if not secret.is_owned_by(unit):
            view = secret.views.get(unit)
            if view and max(view.tracked, view.told) < secret.latest:
                yield Hook("secret_changed", secret=secret.id)
        elif secret.owner is unit or unit.is_leader:
            for number in secret.unused:
                if number not in secret.obsolete:
                    yield Hook("secret_remove", secret=secret.id, revision=number)


def record(unit: "Unit", hook: Hook, latest: Mapping[str, int]) -> None:
    """Record that a hook has told a unit about a secret.

    Args:
        unit: the unit.
        hook: the hook, which has run.
        latest: the latest revisions when it began, by identifier.
    """
    for secret in (s for s in readable(unit) if s.id == hook.secret):
        if hook.revision is not None:
            secret.obsolete.add(hook.revision)
        elif unit in secret.views:
            secret.views[unit].told = latest[secret.id]


def context(unit: "Unit") -> list[SecretContext]:
    """Return the secrets that a unit may read, from its point of view."""
    return [_context(unit, secret) for secret in readable(unit)]


def _context(unit: "Unit", secret: Secret) -> SecretContext:
    view = secret.views.get(unit) or View(secret.latest, secret.latest)
    tracked = view.tracked if view.tracked in secret.revisions else secret.latest
    owner = "unit" if secret.owner is unit else "app" if secret.owner is unit.app else None
    return SecretContext(
        id=secret.id,
        owner=owner,
        label=secret.label if owner else view.label,
        description=secret.description if owner else None,
        tracked=tracked,
        latest=secret.latest,
        content=secret.revisions[tracked].content,
        latest_content=secret.revisions[secret.latest].content,
        grants=_grants(unit, secret) if owner else {},
    )


def _grants(unit: "Unit", secret: Secret) -> dict[int, set[str]]:
    granted = {
        relation.side(unit.app).id: {
            name
            for name, grantee in _remotes(unit, relation).items()
            if (grantee, relation) in secret.grants
        }
        for relation in unit.app.relations
    }
    return {number: names for number, names in granted.items() if names}


def _remotes(unit: "Unit", relation: "Relation") -> "dict[str, Grantee]":
    """Return the other side of a relation, by its name on this side."""
    other = relation.other(unit.app)
    units = {f"{other.seen_as}/{number}": each for number, each in other.app.units.items()}
    return {other.seen_as: other.app, **units}


def commit(
    unit: "Unit",
    before: Iterable[SecretContext],
    after: Iterable[SecretContext],
    removed: Iterable[tuple[str, int]],
) -> None:
    """Apply the changes that a hook made to secrets.

    Args:
        unit: the unit that ran it.
        before: the secrets at its start.
        after: the secrets at its end.
        removed: identifiers and revisions that it has removed.
    """
    found, left = {s.id: s for s in before}, {s.id: s for s in after}
    reached = {s.id: s for s in readable(unit)}
    for identifier in (found.keys() - left.keys()) & reached.keys():
        del reached[identifier].model.secrets[identifier]
    for identifier, number in removed:
        if identifier in left.keys() & reached.keys():
            reached[identifier].revisions.pop(number, None)
    for identifier, new in left.items():
        secret = reached.get(identifier) or (_add(unit, new) if identifier not in found else None)
        if secret is not None:
            _update(unit, secret, found.get(identifier, new), new)


def _add(unit: "Unit", new: SecretContext) -> Secret:
    owner = unit if new.owner == "unit" else unit.app
    secret = Secret(new.id, unit.app.model, owner, {1: Revision(new.latest_content)}, new.label)
    secret.description, secret.grants = new.description, _granted(unit, new)
    unit.app.model.secrets[new.id] = secret
    return secret


def _update(unit: "Unit", secret: Secret, old: SecretContext, new: SecretContext) -> None:
    if new.owner:
        secret.label, secret.description = new.label, new.description
        if new.latest_content != old.latest_content:
            secret.add_revision(new.latest_content)
        if new.grants != old.grants:
            secret.grants = _granted(unit, new)
    if new.read or unit in secret.views:
        view = secret.views.setdefault(unit, View(new.tracked, new.tracked))
        view.tracked = new.tracked
        view.label = new.label
        secret.prune()


def _granted(unit: "Unit", new: SecretContext) -> "set[tuple[Grantee, Relation | None]]":
    return {
        (grantee, relation)
        for relation in unit.app.relations
        for name, grantee in _remotes(unit, relation).items()
        if name in new.grants.get(relation.side(unit.app).id, ())
    }
