"""The endpoints of `juju integrate a b`: Juju's rules and messages."""

import re
from dataclasses import dataclass
from itertools import product

from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.charm import Endpoint
from rehearsal.juju.model.state import Application, Model, Relation, Saas

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*")


@dataclass(frozen=True)
class End:
    """One end of a future relation: an endpoint of an application.

    Attributes:
        name: the name of the application in the model.
        saas: the consumed offer, if the application is in another model.
    """

    name: str
    app: Application
    endpoint: Endpoint
    saas: Saas | None = None


def check_name(name: str) -> None:
    """Raise UsageError unless the name is a legal name of an application."""
    if not _NAME.fullmatch(name):
        raise UsageError(f'invalid application name "{name}"')


def infer(model: Model, first: str, second: str) -> tuple[End, End]:
    """Return the two ends that a pair of `app` or `app:endpoint` can mean.

    Raises:
        JujuError: if an application or endpoint does not exist, or not exactly one pair fits.
    """
    pairs = [
        (a, b)
        for a, b in product(_ends(model, first), _ends(model, second))
        if a.app is not b.app and _fit(a.endpoint, b.endpoint)
    ]
    explicit = [p for p in pairs if not any(end.endpoint.name == "juju-info" for end in p)] or pairs
    if not explicit:
        raise JujuError("no relations found")
    _refuse_ambiguous(first, second, [key(pair) for pair in explicit])
    return explicit[0]


def find(model: Model, first: str, second: str) -> Relation:
    """Return the relation that the two ends name.

    Raises:
        JujuError: if there is no such relation.
    """
    found = [
        relation
        for relation in model.relations
        if len(relation.sides) == 2
        and all(_names(text, relation, model) for text in (first, second))
    ]
    if not found:
        for text in (first, second):
            _ends(model, text)
        raise JujuError(f'relation matching "{first} {second}" not found (not found)')
    _refuse_ambiguous(first, second, [relation.key(model) for relation in found])
    return found[0]


def key(pair: tuple[End, End]) -> str:
    """Return the key of a relation of two ends, requirer first."""
    ordered = sorted(pair, key=lambda end: end.endpoint.role == "provider")
    return " ".join(f"{end.name}:{end.endpoint.name}" for end in ordered)


def _refuse_ambiguous(first: str, second: str, keys: list[str]) -> None:
    if len(keys) > 1:
        choices = "; ".join(f'"{choice}"' for choice in sorted(keys))
        raise JujuError(f'ambiguous relation: "{first} {second}" could refer to {choices}')


def _names(text: str, relation: Relation, model: Model) -> bool:
    keys = [side.key(model) for side in relation.sides]
    return text in (keys if ":" in text else [key.partition(":")[0] for key in keys])


def _ends(model: Model, text: str) -> list[End]:
    name, colon, endpoint = text.partition(":")
    if colon and not endpoint:
        raise UsageError(f'endpoint "{text}" not valid')
    app, saas = model.apps.get(name), model.saas.get(name)
    if saas:
        return _offered(saas, endpoint)
    if app is None:
        raise JujuError(f'application "{name}" not found (not found)')
    if not endpoint:
        return [End(name, app, e) for e in app.charm.endpoints.values() if e.role != "peer"]
    if endpoint not in app.charm.endpoints:
        raise JujuError(f'application "{name}" has no "{endpoint}" relation')
    return [End(name, app, app.charm.endpoints[endpoint])]


def _offered(saas: Saas, endpoint: str) -> list[End]:
    offer = saas.offer
    names = [name for name in offer.endpoints if endpoint in ("", name)]
    if not names:
        raise JujuError(f'saas application "{saas.name}" has no "{endpoint}" relation')
    return [End(saas.name, offer.app, offer.app.charm.endpoints[name], saas) for name in names]


def _fit(a: Endpoint, b: Endpoint) -> bool:
    return a.interface == b.interface and {a.role, b.role} == {"provider", "requirer"}
