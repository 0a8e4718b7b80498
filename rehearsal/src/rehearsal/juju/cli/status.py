"""`juju status`: the tables as people know them, and the JSON that programs read."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

from rehearsal.juju.model.state import Application, Model, Offer, Relation, Saas, Status, Unit

CONTROLLER, CLOUD, REGION = "rehearsal", "k8s", "localhost"
_SEVERITY = ("unknown", "terminated", "active", "waiting", "maintenance", "blocked", "error")
SERVICE_LEVEL = "unsupported"
_APP_HEADERS = (
    *("App", "Version", "Status", "Scale", "Charm"),
    *("Channel", "Rev", "Address", "Exposed", "Message"),
)
_UNIT_HEADERS = ("Unit", "Workload", "Agent", "Address", "Ports", "Message")
_OFFER_HEADERS = (
    *("Offer", "Application", "Charm", "Rev"),
    *("Connected", "Endpoint", "Interface", "Role"),
)
Row = tuple[str, ...]


def application_status(app: Application) -> Status:
    """Return the status that the charm set for the application, or the worst of its units."""
    if app.own_status:
        return app.own_status
    statuses = [unit.status for unit in app.units.values()]
    return max(
        statuses,
        key=lambda s: _SEVERITY.index(s.current),
        default=Status("unknown", "", app.created),
    )


def tabular(model: Model, *, relations: bool = False) -> str:
    """Return the tables of a model, each with a line of headers."""
    sections = [_model(model), _consumed(model), _apps(model), _units(model), _offers(model)]
    if relations:
        sections.append(_relations(model))
    return "\n".join(table(rows, right) for rows, right in sections if len(rows) > 1)


def table(rows: Sequence[Row], right: Iterable[int] = ()) -> str:
    """Lay out rows in columns two spaces apart; the last cell of a row is never padded.

    Args:
        rows: the cells; the first row holds the headers.
        right: the columns that are aligned to the right.
    """
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell
            if i == len(row) - 1
            else cell.rjust(widths[i])
            if i in right
            else cell.ljust(widths[i])
            for i, cell in enumerate(row)
        )
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def document(model: Model) -> dict[str, Any]:
    """Return a model's status as `--format json` gives it."""
    return _filled(
        {
            "model": {
                "name": model.name,
                "type": "caas",
                "controller": CONTROLLER,
                "cloud": CLOUD,
                "region": REGION,
                "version": model.juju.number,
                "model-status": _status(Status("available", "", model.created)),
                "sla": SERVICE_LEVEL,
            },
            "machines": {},
            "applications": {name: _app(app) for name, app in sorted(model.apps.items())},
            "application-endpoints": {
                name: _saas(saas) for name, saas in sorted(model.saas.items())
            }
            or None,
            "offers": {name: _offer(offer) for name, offer in sorted(model.offers.items())} or None,
            "storage": {},
            "controller": {"timestamp": time.strftime("%H:%M:%SZ", time.gmtime())},
        }
    )


def _model(model: Model) -> tuple[list[Row], tuple[int, ...]]:
    now = time.strftime("%H:%M:%SZ", time.gmtime())
    return [
        ("Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"),
        (model.name, CONTROLLER, f"{CLOUD}/{REGION}", model.juju.number, SERVICE_LEVEL, now),
    ], ()


def _apps(model: Model) -> tuple[list[Row], tuple[int, ...]]:
    rows: list[Row] = [_APP_HEADERS]
    for name, app in sorted(model.apps.items()):
        status = application_status(app)
        ready = sum(unit.agent.current in ("executing", "idle") for unit in app.units.values())
        scale = str(app.scale) if ready == app.scale else f"{ready}/{app.scale}"
        version = next((unit.version for unit in app.units.values() if unit.version), "")
        charm, revision = app.charm.name, str(app.charm.revision)
        exposed = "yes" if app.exposed else "no"
        cells = (name, version, status.current, scale, charm, "", revision, app.address, exposed)
        rows.append((*cells, _cut(status.message, 120)))
    return rows, (3, 6)


def _units(model: Model) -> tuple[list[Row], tuple[int, ...]]:
    rows: list[Row] = [_UNIT_HEADERS]
    for unit in sorted(model.units(), key=lambda unit: (unit.app.name, unit.number)):
        name = f"{unit.name}*" if unit.is_leader else unit.name
        ports = ",".join(_ports(unit))
        address = unit.pod.ip if unit.pod else ""
        message = unit.status.message
        rows.append((name, unit.status.current, unit.agent.current, address, ports, message))
    return rows, ()


def _consumed(model: Model) -> tuple[list[Row], tuple[int, ...]]:
    rows: list[Row] = [("SAAS", "Status", "Store", "URL")]
    for name, saas in sorted(model.saas.items()):
        rows.append((name, _saas_status(saas).current, CONTROLLER, saas.offer.url))
    return rows, ()


def _saas_status(saas: Saas) -> Status:
    """Return the status of the offering application as the consuming model hears it."""
    if saas.offer.removed:
        return Status("terminated", "offer has been removed")
    return application_status(saas.offer.app)


def _offers(model: Model) -> tuple[list[Row], tuple[int, ...]]:
    rows: list[Row] = [_OFFER_HEADERS]
    for name, offer in sorted(model.offers.items()):
        charm = offer.app.charm
        connected = f"{_active(offer)}/{len(offer.connections)}"
        cells = (name, offer.app.name, charm.name, str(charm.revision), connected)
        for endpoint in (charm.endpoints[e] for e in offer.endpoints):
            rows.append((*cells, endpoint.name, endpoint.interface, endpoint.role))
            cells = ("",) * len(cells)
    return rows, ()


def _relations(model: Model) -> tuple[list[Row], tuple[int, ...]]:
    rows: list[Row] = [("Integration provider", "Requirer", "Interface", "Type", "Message")]
    rows += sorted(_relation(relation, model) for relation in model.relations)
    return rows, ()


def _relation(relation: Relation, model: Model) -> Row:
    provider = next((s for s in relation.sides if s.endpoint.role != "requirer"), relation.sides[0])
    requirer = relation.other(provider.app)
    kind = "peer" if provider is requirer else "regular"
    message = "" if _is_joined(relation) else "joining"
    return provider.key(model), requirer.key(model), provider.endpoint.interface, kind, message


def _is_joined(relation: Relation) -> bool:
    """Return whether a unit has entered a relation, on the side that is of the model or on both."""
    return all(side.unit_bags for side in relation.sides)


def _active(offer: Offer) -> int:
    return sum(_is_joined(relation) for relation in offer.connections)


def _app(app: Application) -> dict[str, Any]:
    return {
        "charm": app.charm.url,
        "base": {"name": "ubuntu", "channel": "24.04"},
        "charm-origin": "local",
        "charm-name": app.charm.name,
        "charm-rev": app.charm.revision,
        "scale": app.scale or None,
        "address": app.address,
        "exposed": app.exposed,
        "life": "dying" if app.dying else None,
        "application-status": _status(application_status(app)),
        "relations": _related(app) or None,
        "units": {unit.name: _unit(unit) for unit in app.units.values()} or None,
        "version": next((unit.version for unit in app.units.values() if unit.version), None),
    }


def _related(app: Application) -> dict[str, list[dict[str, str]]]:
    related: dict[str, list[dict[str, str]]] = {}
    for relation in app.relations:
        own, other = relation.side(app), relation.other(app)
        entry = {
            "related-application": other.seen_as,
            "interface": own.endpoint.interface,
            "scope": "global",
        }
        related.setdefault(own.endpoint.name, []).append(entry)
    return dict(sorted(related.items()))


def _unit(unit: Unit) -> dict[str, Any]:
    return {
        "workload-status": _status(unit.status),
        "juju-status": _status(unit.agent) | {"version": unit.app.model.juju.number},
        "leader": unit.is_leader or None,
        "open-ports": _ports(unit) or None,
        "address": unit.pod.ip if unit.pod else None,
        "provider-id": unit.pod_name,
    }


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "application": offer.app.name,
        "charm": offer.app.charm.url,
        "total-connected-count": len(offer.connections) or None,
        "active-connected-count": _active(offer) or None,
        "endpoints": offered(offer),
    }


def offered(offer: Offer) -> dict[str, dict[str, str]]:
    """Return the endpoints of an offer, by name."""
    endpoints = (offer.app.charm.endpoints[name] for name in offer.endpoints)
    return {e.name: {"interface": e.interface, "role": e.role} for e in endpoints}


def _saas(saas: Saas) -> dict[str, Any]:
    related: dict[str, list[str]] = {}
    for relation in saas.relations:
        name = relation.side(saas.offer.app).endpoint.name
        related.setdefault(name, []).append(relation.other(saas.offer.app).app.name)
    return {
        "url": f"{CONTROLLER}:{saas.offer.url}",
        "endpoints": offered(saas.offer),
        "life": "dying" if saas.dying else None,
        "application-status": _status(_saas_status(saas)),
        "relations": related or None,
    }


def _status(status: Status) -> dict[str, Any]:
    since = time.strftime("%d %b %Y %H:%M:%SZ", time.gmtime(status.since))
    return {"current": status.current, "message": status.message or None, "since": since}


def _ports(unit: Unit) -> list[str]:
    return [f"{number}/{protocol.upper()}" for protocol, number in sorted(unit.ports)]


def _filled(value: Any) -> Any:
    """Return a document without the values that are None, which Juju leaves out."""
    if not isinstance(value, dict):
        return value
    items = cast("dict[str, Any]", value).items()
    return {k: _filled(v) for k, v in items if v is not None}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
