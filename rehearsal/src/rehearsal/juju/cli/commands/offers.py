"""Commands about offers, and about the offers that a model consumes."""

import re
from typing import Any

from rehearsal.juju.cli import status
from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.errors import JujuError, SilentError, UsageError
from rehearsal.juju.model.state import USER, Model, Offer, Relation

_URL = re.compile(
    r"((?P<controller>[^:/]+):)?((?P<user>[^/]+)/)?(?P<model>[^./:]+)\.(?P<offer>[^.:]+)"
    r"(:(?P<endpoint>.+))?"
)


@command("offer", usage="[<model>.]<application>:<endpoint>[,<endpoint> ...] [<offer name>]")
def offer(call: Call) -> None:
    """Offers endpoints of an application to other models."""
    if not call.args:
        raise UsageError("an offer must at least specify application endpoint")
    target, colon, names = call.args[0].partition(":")
    if not colon:
        raise JujuError(
            'endpoints must conform to format "<application-name>:<endpoint-name>[,...]" '
        )
    if not names:
        raise JujuError(f'specify endpoints for {target}" ')
    model_name, _, app_name = target.rpartition(".")
    with call.controller.lock:
        model = call.model(model_name or None)
        app = model.apps.get(app_name)
        if app is None:
            raise JujuError(
                f'getting offered application {app_name}: application "{app_name}" not found'
            )
        made = Offer(call.args[1] if len(call.args) > 1 else app_name, app, tuple(names.split(",")))
        call.controller.offer(made)
    shown = ", ".join(made.endpoints)
    call.info(f'Application "{app_name}" endpoints [{shown}] available at "{made.url}"')


@command("remove-offer", "--force", "--yes", "--no-prompt", usage="<offer URL> ...")
def remove_offer(call: Call) -> None:
    """Withdraws offers."""
    if not call.args:
        raise UsageError("no offers specified")
    with call.controller.lock:
        for text in call.args:
            url = text if "." in text else f"{call.model().name}.{text}"
            match = _parse(url)
            there = _model(call, match["model"]).offers.get(match["offer"])
            if there:  # Juju takes an offer that is not there for removed
                call.controller.remove_offer(there, force=call.options.has("--force"))


@command("consume", usage="<offer URL> [<name>]")
def consume(call: Call) -> None:
    """Makes an offer of another model known in this one."""
    if not call.args:
        raise UsageError("no remote offer specified")
    url, *rest = call.args
    with call.controller.lock:
        name = add_saas(call, call.model(), url, rest[0] if rest else None)
    shown = url if "/" in url else f"{USER}/{url}"
    call.info(f"Added {shown} as {name}")


def add_saas(call: Call, model: Model, url: str, name: str | None = None) -> str:
    """Consume an offer in a model; return the name by which the model knows it.

    Args:
        call: the command.
        model: consumes.
        url: `[controller:][user/]model.offer`.
        name: that of the offer unless given.

    Raises:
        JujuError: the URL is not one, there is no such offer, or the name is taken.
    """
    match = _parse(url)
    if match["endpoint"]:
        raise JujuError(f'saas offer "{url}" shouldn\'t include endpoint')
    found = find(call, url)
    if found.app.model is model:
        raise JujuError(f"could not consume {found.url}: an offer of the same model")
    try:
        return call.controller.consume(model, found, name or found.name).name
    except JujuError as error:
        raise JujuError(f"could not consume {found.url}: {error}") from error


def find(call: Call, url: str) -> Offer:
    """Return the offer of a URL.

    Raises:
        JujuError: the URL is not one, or there is no such offer.
    """
    match = _parse(url)
    offer = _model(call, match["model"]).offers.get(match["offer"])
    if offer is None:
        raise JujuError(f'application offer "{USER}/{match["model"]}.{match["offer"]}" not found')
    return offer


def consumed(call: Call, model: Model, end: str) -> str:
    """Return an end of a relation by a name of the model; an offer's URL is consumed first."""
    match = _URL.fullmatch(end)
    if match is None:
        return end
    name = add_saas(call, model, end.removesuffix(f":{match['endpoint']}"))
    return f"{name}:{match['endpoint']}" if match["endpoint"] else name


def _parse(url: str) -> re.Match[str]:
    match = _URL.fullmatch(url)
    if match is None:
        raise JujuError(
            f'application offer URL has invalid form, must be [<user/]<model>.<appname>: "{url}"'
        )
    return match


def _model(call: Call, name: str) -> Model:
    if name not in call.controller.models:
        raise JujuError(f'model "{USER}/{name}" not found')
    return call.controller.models[name]


@command("remove-saas", "--force", "--no-wait", "--no-prompt", usage="<name> ...")
def remove_saas(call: Call) -> None:
    """Removes consumed offers and their relations from a model."""
    if not call.args:
        raise UsageError("no saas application names specified")
    failed = False
    with call.controller.lock:
        model = call.model()
        for name in call.args:
            if name in model.saas:
                call.controller.remove_saas(model.saas[name])
                continue
            missing = f'saas application "{name}" not found'
            call.terminal.write("stderr", f"removing SAAS application {name} failed: {missing}\n")
            failed = True
    if failed:
        raise SilentError


@command("offers", "--format=", aliases=("list-offers",))
def offers(call: Call) -> None:
    """Lists the offers of a model."""
    rows = [
        ("Offer", "User", "Relation ID", "Status", "Endpoint", "Interface", "Role"),
    ]
    with call.controller.lock:
        there = sorted(call.model().offers.items())
        for name, made in there:
            rows += [_connected(name, made, r) for r in made.connections] or [
                (name, "-", *[""] * 5)
            ]
        document = {name: _document(made) for name, made in there}
    call.answer(document, status.table(rows))


def _connected(name: str, made: Offer, relation: Relation) -> tuple[str, ...]:
    side = relation.side(made.app)
    endpoint = side.endpoint
    joined = "joined" if side.unit_bags else "joining"
    return name, USER, str(side.id), joined, endpoint.name, endpoint.interface, endpoint.role


def _document(made: Offer) -> dict[str, Any]:
    document = {
        "application": made.app.name,
        "store": status.CONTROLLER,
        "charm": made.app.charm.url,
        "offer-url": made.url,
        "endpoints": status.offered(made),
    }
    connections = [_connection(made, relation) for relation in made.connections]
    return document | ({"connections": connections} if connections else {})


def _connection(made: Offer, relation: Relation) -> dict[str, Any]:
    side = relation.side(made.app)
    return {
        "source-model-uuid": relation.other(made.app).app.model.uuid,
        "username": USER,
        "relation-id": side.id,
        "endpoint": side.endpoint.name,
        "status": {"current": "joined" if side.unit_bags else "joining"},
    }


@command("find-offers", "--format=")
def find_offers(call: Call) -> None:
    """Lists the offers of all models."""
    rows = [("Store", "URL", "Access", "Interfaces")]
    document: dict[str, Any] = {}
    with call.controller.lock:
        models = sorted(call.controller.models.values(), key=lambda model: model.name)
        for made in (offer for model in models for offer in model.offers.values()):
            ends = status.offered(made)
            shown = ", ".join(f"{end['interface']}:{name}" for name, end in ends.items())
            rows.append((status.CONTROLLER, made.url, USER, shown))
            document[made.url] = {"access": USER, "endpoints": ends}
    if not document:
        raise JujuError("no matching application offers found")
    call.answer(document, status.table(rows))


@command("show-offer", "--format=", usage="<offer URL>")
def show_offer(call: Call) -> None:
    """Shows an offer."""
    if not call.args:
        raise UsageError("must specify endpoint URL")
    with call.controller.lock:
        made = find(call, call.args[0])
        document = {f"{status.CONTROLLER}:{made.url}": {"access": USER} | _document(made)}
    call.answer(document, to_yaml(document))
