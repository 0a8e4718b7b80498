"""Differences of the status of a model from the expected state, each as a sentence.

They have the form `NAME: expected STATE, observed STATE`.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Set
from typing import Any

import jubilant


def of_other_scale(status: jubilant.Status) -> Iterator[str]:
    """Yield the applications with more or fewer units than their scale."""
    for name, app in status.apps.items():
        if len(app.units) != app.scale:
            yield f"{name}: expected {app.scale} units, observed {len(app.units)}"


def incomplete(status: jubilant.Status) -> Iterator[str]:
    """Yield the applications and units that are not active, idle and of the newest charm."""
    for name, app in status.apps.items():
        if not app.is_active:
            yield f"{name}: expected active, observed {app.app_status.current}"
        for unit_name, unit in app.units.items():
            if not unit.is_active or unit.juju_status.current != "idle":
                observed = f"{unit.workload_status.current} and {unit.juju_status.current}"
                yield f"{unit_name}: expected active and idle, observed {observed}"
            if unit.upgrading_from:
                yield f"{unit_name}: expected {app.charm}, observed {unit.upgrading_from}"


def unrelated(juju: jubilant.Juju, status: jubilant.Status) -> Iterator[str]:
    """Yield the units that are not in the scope of a relation with another application.

    Juju 4 shows with each unit only the units on the other side, so this looks from both sides. It
    does not show which units are in the scope of a cross-model relation.
    """
    relations = list(_relations(status))
    observers = {name: min(status.apps[name].units) for name, _, _ in relations}
    in_scope = units_in_scope(juju, set(observers.values()))
    for name, endpoint, other in relations:
        found = in_scope[observers[name]].get(endpoint, set())
        for unit in sorted(status.apps[other].units.keys() - found):
            yield f"{name}:{endpoint}: expected {unit} in scope, observed {sorted(found)}"


def units_in_scope(juju: jubilant.Juju, units: Set[str]) -> dict[str, dict[str, set[str]]]:
    """Return the units in the scope of relations, by unit and endpoint, with a single command."""
    if not units:
        return {}
    shown = json.loads(juju.cli("show-unit", *sorted(units), "--format", "json"))
    return {unit: _joined(info.get("relation-info") or []) for unit, info in shown.items()}


def _joined(relations: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set[str])
    for relation in relations:
        related: dict[str, dict[str, Any]] = relation.get("related-units") or {}
        found[relation["endpoint"]] |= {name for name, each in related.items() if each["in-scope"]}
    return dict(found)


def _relations(status: jubilant.Status) -> Iterator[tuple[str, str, str]]:
    """Yield application, endpoint and related application, from both sides of each relation."""
    for name, app in status.apps.items():
        for endpoint, relations in app.relations.items():
            for relation in relations:
                if relation.related_app in status.apps.keys() - {name}:
                    yield name, endpoint, relation.related_app


def still_related(juju: jubilant.Juju, first: str, second: str) -> Iterator[str]:
    """Yield a sentence for each side of a relation that status has; a remote side is not there."""
    apps = juju.status().apps
    for one, other in ((first, second), (second, first)):
        name, _, endpoint = one.partition(":")
        relations = apps[name].relations.get(endpoint, []) if name in apps else []
        if other.partition(":")[0] in (relation.related_app for relation in relations):
            yield f"{one}: expected no relation with {other}, observed that it is there"
