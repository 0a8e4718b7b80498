"""Which endpoints `juju integrate a b` means: Juju's rules and messages."""

import re
from itertools import product

from rehearsal.juju.charm import Endpoint
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.state import Application, Model, Relation

End = tuple[Application, Endpoint]
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*")


def check_name(name: str) -> None:
    """Raise UsageError unless the name may be an application's."""
    if not _NAME.fullmatch(name):
        raise UsageError(f'invalid application name "{name}"')


def infer(model: Model, first: str, second: str) -> tuple[End, End]:
    """Return the two ends that `app` or `app:endpoint`, given twice, can mean together.

    Raises:
        JujuError: if an application or endpoint is not there, or none or more than one pair fits.
    """
    pairs = [
        (a, b) for a, b in product(_ends(model, first), _ends(model, second)) if _fit(a[1], b[1])
    ]
    explicit = [p for p in pairs if not any(end[1].name == "juju-info" for end in p)] or pairs
    if not explicit:
        raise JujuError("no relations found")
    _refuse_ambiguous(first, second, [key(pair) for pair in explicit])
    return explicit[0]


def find(model: Model, first: str, second: str) -> Relation:
    """Return the relation that the two ends name.

    Raises:
        JujuError: if there is none.
    """
    for text in (first, second):
        _ends(model, text)
    found = [
        relation
        for relation in model.relations
        if len(relation.sides) == 2 and all(_names(text, relation) for text in (first, second))
    ]
    if not found:
        raise JujuError(f'relation matching "{first} {second}" not found (not found)')
    _refuse_ambiguous(first, second, [relation.key for relation in found])
    return found[0]


def key(pair: tuple[End, End]) -> str:
    """Return the key of a relation of two ends, requirer first."""
    ordered = sorted(pair, key=lambda end: end[1].role == "provider")
    return " ".join(f"{app.name}:{endpoint.name}" for app, endpoint in ordered)


def _refuse_ambiguous(first: str, second: str, keys: list[str]) -> None:
    if len(keys) > 1:
        choices = "; ".join(f'"{choice}"' for choice in sorted(keys))
        raise JujuError(f'ambiguous relation: "{first} {second}" could refer to {choices}')


def _names(text: str, relation: Relation) -> bool:
    app, _, endpoint = text.partition(":")
    return any(s.app.name == app and endpoint in ("", s.endpoint.name) for s in relation.sides)


def _ends(model: Model, text: str) -> list[End]:
    name, colon, endpoint = text.partition(":")
    if colon and not endpoint:
        raise UsageError(f'endpoint "{text}" not valid')
    app = model.apps.get(name)
    if app is None and "." in name:
        raise JujuError(f'"{text}" is of another model: that is not rehearsed')
    if app is None:
        raise JujuError(f'application "{name}" not found (not found)')
    if not endpoint:
        return [(app, e) for e in app.charm.endpoints.values() if e.role != "peer"]
    if endpoint not in app.charm.endpoints:
        raise JujuError(f'application "{name}" has no "{endpoint}" relation')
    return [(app, app.charm.endpoints[endpoint])]


def _fit(a: Endpoint, b: Endpoint) -> bool:
    return a.interface == b.interface and {a.role, b.role} == {"provider", "requirer"}
