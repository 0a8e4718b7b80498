"""Commands that look and change nothing."""

from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

from rehearsal.juju.cli import status
from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.durations import seconds
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.hooks import resolver
from rehearsal.juju.model.state import USER, Application, Model, Relation, Unit

_CLEAR = "\x1b[H\x1b[2J"
"""Moves a terminal's cursor to the top and clears the rest."""


@command(
    "status",
    "--format=",
    "--relations",
    "--integrations",
    "--color",
    "--no-color",
    "--utc",
    "--watch=",
    usage="[<selector> ...]",
)
def show_status(call: Call) -> None:
    """Shows the state of a model."""
    text = call.options.get("--watch")
    _show_status(call)
    while text:
        try:
            call.terminal.pause(seconds(text))
        except ValueError as error:
            raise UsageError(f'invalid value "{text}" for option --watch: {error}') from error
        call.terminal.write("stdout", _CLEAR if call.terminal.is_interactive else "\n")
        _show_status(call)


def _show_status(call: Call) -> None:
    with call.controller.lock:
        model = _filtered(call.model(), call.args)
        document = status.document(model)
        relations = call.options.has("--relations") or call.options.has("--integrations")
        text = status.tabular(model, relations=relations)
    call.answer(document, text)
    if call.args and not document["applications"]:
        call.info("Nothing matched specified filter" + ("s." if len(call.args) > 1 else "."))
    elif not document["applications"] and call.options.get("--format", "tabular") == "tabular":
        call.info(f'\nModel "{USER}/{model.name}" is empty.')


def _filtered(model: Model, patterns: list[str]) -> Model:
    """Return the model with those of its applications that a pattern matches, all without one."""
    if not patterns:
        return model
    names = [pattern.partition("/")[0] for pattern in patterns]
    apps = {n: app for n, app in model.apps.items() if any(fnmatch(n, name) for name in names)}
    offers = {n: offer for n, offer in model.offers.items() if offer.app.name in apps}
    used = {r.saas for app in apps.values() for r in app.relations}
    saas = {name: each for name, each in model.saas.items() if each in used or name in names}
    return replace(model, apps=apps, offers=offers, saas=saas)


@command("show-unit", "--format=", "--app", "--endpoint=", "--related-unit=", usage="<unit> ...")
def show_unit(call: Call) -> None:
    """Shows a unit with the data of its relations."""
    if not call.args:
        raise UsageError("an unit name must be supplied")
    document: dict[str, Any] = {}
    with call.controller.lock:
        for name in call.args:
            app, slash, number = name.partition("/")
            if not slash or not number.isdigit():
                raise UsageError(f"unit name {name} not valid")
            found = call.model().apps.get(app)
            unit = found.units.get(int(number)) if found else None
            if unit is None:
                raise JujuError(f'unit "{name}" not found')
            document[name] = _unit(unit, call.options.get("--endpoint"))
    call.answer(document, to_yaml(document))


def _unit(unit: Unit, endpoint: str | None) -> dict[str, Any]:
    relations = [
        _relation(unit, relation)
        for relation in unit.app.relations
        if endpoint in (None, relation.side(unit.app).endpoint.name)
    ]
    return {
        "workload-version": unit.version,
        "opened-ports": [f"{number}/{protocol}" for protocol, number in sorted(unit.ports)],
        "charm": unit.app.charm.url,
        "leader": unit.is_leader,
        "life": "dying" if unit.dying else "alive",
        "relation-info": relations,
        "provider-id": unit.pod_name,
        "address": unit.pod.ip if unit.pod else "",
    }


def _relation(unit: Unit, relation: Relation) -> dict[str, Any]:
    own, other = relation.side(unit.app), relation.other(unit.app)
    bag = own.unit_bags.get(unit)
    return {
        "relation-id": own.id,
        "endpoint": own.endpoint.name,
        **({"cross-model": True} if relation.saas else {}),
        "related-endpoint": other.endpoint.name,
        "application-data": dict(other.app_bag.content),
        "local-unit": {"in-scope": bag is not None, "data": dict(bag.content) if bag else {}},
        "related-units": {
            name: {"in-scope": True, "data": dict(other.unit_bags[remote].content)}
            for name, remote in resolver.remote_units(unit, relation).items()
        },
    }


@command("show-application", "--format=", usage="<application> ...")
def show_application(call: Call) -> None:
    """Shows applications."""
    if not call.args:
        raise UsageError("an application name must be supplied")
    with call.controller.lock:
        document = {name: _application(call.app(name)) for name in call.args}
    call.answer(document, to_yaml(document))


def _application(app: Application) -> dict[str, Any]:
    return {
        "charm": app.charm.name,
        "base": "ubuntu@24.04",
        "principal": True,
        "exposed": app.exposed,
        "remote": False,
        "life": "dying" if app.dying else "alive",
        "endpoint-bindings": dict.fromkeys(["", *sorted(app.charm.endpoints)], "alpha"),
    }


@command("version", "--format=", "--all")
def version(call: Call) -> None:
    """Shows the version of Juju that is rehearsed."""
    full = f"{call.controller.juju.number}-ubuntu-amd64"
    call.answer({"version": full, "compiler": "gc", "official": False}, f"{full}\n")
