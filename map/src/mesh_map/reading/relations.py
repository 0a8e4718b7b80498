"""The relations of a model, read from the table of `juju status --relations`.

Only this table names both endpoints of a relation and their roles.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import jubilant

from mesh_map.model import Name, Relation

_HEADING = re.compile(r"(Integration|Relation) provider\s+Requirer\s+Interface")
_PORT = re.compile(r"[^\s:]:(\d{1,5})\b")
IDENTITY = "cross_model_mesh"
"""The interface over which an application sends its identity."""
MESH = "service_mesh"
"""The interface over which an application joins a mesh."""


def read(
    juju: jubilant.Juju, status: jubilant.Status, offers: Mapping[str, Name]
) -> list[Relation]:
    """Return the relations of a model, except those among the units of one application.

    Args:
        juju: the model.
        status: its status.
        offers: the applications behind the offers of all models, by the URL of the offer.
    """
    remotes = {
        name: offers[url]
        for name, saas in status.app_endpoints.items()
        if (url := path_of(saas.url)) in offers
    }
    rows = _rows(juju.cli("status", "--relations", "--format", "tabular"))
    relations = [_relation(status, remotes, *row) for row in rows if row[0] != row[1]]
    # The model of an offer knows its callers by aliases alone; their own models name them.
    own = [each for each in relations if each.requirer.app in status.apps]
    return _with_ports(juju, status, own)


def path_of(url: str) -> str:
    """Return `model.offer` of the URL of an offer, without its controller and its user."""
    return url.rpartition(":")[2].rpartition("/")[2]


def _rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield provider, requirer and interface of each row of the table."""
    lines = iter(text.splitlines())
    if not any(_HEADING.match(line) for line in lines):
        return
    for line in lines:
        if not (words := line.split()):
            return
        yield words[0], words[1], words[2]


def _relation(
    status: jubilant.Status,
    remotes: Mapping[str, Name],
    provider: str,
    requirer: str,
    interface: str,
) -> Relation:
    theirs, _, their_endpoint = provider.partition(":")
    own, _, own_endpoint = requirer.partition(":")
    model = status.model.name
    saas = status.app_endpoints.get(theirs)
    endpoints = saas.endpoints.items() if saas else ()
    identity = next((name for name, each in endpoints if each.interface == IDENTITY), "")
    target = remotes.get(theirs, Name(model, theirs))
    name = Name(model, own)
    return Relation(name, own_endpoint, target, their_endpoint, theirs, interface, identity)


def _with_ports(
    juju: jubilant.Juju, status: jubilant.Status, relations: list[Relation]
) -> list[Relation]:
    """Return relations with the ports in their data, if two applications have several relations."""
    pairs = [(e.requirer, e.provider) for e in relations if e.interface not in (IDENTITY, MESH)]
    unclear = {name for pair in pairs if pairs.count(pair) > 1 for name in pair}
    apps = sorted(name.app for name in unclear if name.model == status.model.name)
    units = [unit for app in apps for unit in list(status.apps[app].units)[:1]]
    if not units:
        return relations
    found = json.loads(juju.cli("show-unit", *units, "--format", "json"))
    ports = {
        (app, info["endpoint"], _remote(info)): _ports(info)
        for app, shown in (
            (Name(status.model.name, unit.partition("/")[0]), shown)
            for unit, shown in found.items()
        )
        for info in shown.get("relation-info") or ()
    }
    return [_filled(each, ports) for each in relations]


def _remote(info: Mapping[str, Any]) -> str:
    return next(iter(info.get("related-units") or ("",))).partition("/")[0]


def _ports(info: Mapping[str, Any]) -> frozenset[int]:
    """Return the ports that a relation names in the data of an application and of remote units."""
    units: Mapping[str, Any] = info.get("related-units") or {}
    text = json.dumps([info.get("application-data"), *units.values()])
    return frozenset(map(int, _PORT.findall(text)))


def _filled(relation: Relation, ports: Mapping[tuple[Name, str, str], frozenset[int]]) -> Relation:
    """Return a relation with the ports that either of its sides shows.

    A unit shows the application data of the remote application on Juju 3.6, and that of its own
    application on Juju 4. Without units, juju does not name the remote side.
    """
    sides = (
        (relation.requirer, relation.requirer_endpoint, relation.remote),
        (relation.provider, relation.provider_endpoint, relation.requirer.app),
    )
    found = [ports.get(side) or ports.get((*side[:2], "")) or frozenset() for side in sides]
    return replace(relation, ports=frozenset[int]().union(*found))
