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
    unclear = {pair[0].app for pair in pairs if pairs.count(pair) > 1}
    units = [unit for app in sorted(unclear) for unit in list(status.apps[app].units)[:1]]
    if not units:
        return relations
    found = json.loads(juju.cli("show-unit", *units, "--format", "json"))
    ports = {
        (unit.partition("/")[0], info["endpoint"], _remote(info)): _ports(info)
        for unit, shown in found.items()
        for info in shown.get("relation-info") or ()
    }
    return [_filled(each, ports) for each in relations]


def _remote(info: Mapping[str, Any]) -> str:
    return next(iter(info.get("related-units") or ("",))).partition("/")[0]


def _ports(info: Mapping[str, Any]) -> frozenset[int]:
    """Return the ports that a relation names in data of the remote application and its units."""
    units: Mapping[str, Any] = info.get("related-units") or {}
    text = json.dumps([info.get("application-data"), *units.values()])
    return frozenset(map(int, _PORT.findall(text)))


def _filled(relation: Relation, ports: Mapping[tuple[str, str, str], frozenset[int]]) -> Relation:
    """Return a relation with its ports. Without units, juju does not name the remote side."""
    own = relation.requirer.app, relation.requirer_endpoint
    found = ports.get((*own, relation.remote)) or ports.get((*own, "")) or frozenset()
    return replace(relation, ports=found)
