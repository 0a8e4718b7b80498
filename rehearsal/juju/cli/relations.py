"""Commands about relations and offers."""

from rehearsal.juju import endpoints, status
from rehearsal.juju.cli.call import USER, Call, command
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.state import Offer


@command("integrate", "--via=")
def integrate(call: Call) -> None:
    """Relates two applications."""
    if len(call.args) != 2:
        raise UsageError("an integration must involve two applications")
    with call.controller.lock:
        call.controller.integrate(endpoints.infer(call.model(), *call.args))


command("relate", "--via=")(integrate)


@command("remove-relation", "--force")
def remove_relation(call: Call) -> None:
    """Removes a relation between two applications."""
    if len(call.args) != 2:
        raise UsageError("a relation must involve two applications")
    with call.controller.lock:
        call.controller.remove_relation(endpoints.find(call.model(), *call.args))


@command("offer")
def offer(call: Call) -> None:
    """Offers endpoints of an application to other models."""
    if not call.args:
        raise UsageError("an offer must at least specify application endpoint")
    target, _, names = call.args[0].partition(":")
    if not names:
        raise JujuError(
            'endpoints must conform to format "<application-name>:<endpoint-name>[,...]" '
        )
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
    url = f"{USER}/{model.name}.{made.name}"
    call.info(f'Application "{app_name}" endpoints [{shown}] available at "{url}"')


@command("offers", "--format=")
def offers(call: Call) -> None:
    """Lists the offers of a model."""
    with call.controller.lock:
        model = call.model()
        rows = [("Offer", "User", "Relation ID", "Status", "Endpoint", "Interface", "Role")]
        rows += [(name, "-", "", "", "", "", "") for name in sorted(model.offers)]
        document = {
            name: {
                "application": made.app.name,
                "store": status.CONTROLLER,
                "charm": made.app.charm.url,
                "offer-url": f"{USER}/{model.name}.{name}",
                "endpoints": {
                    e: {
                        "interface": made.app.charm.endpoints[e].interface,
                        "role": made.app.charm.endpoints[e].role,
                    }
                    for e in made.endpoints
                },
            }
            for name, made in sorted(model.offers.items())
        }
    call.answer(document, status.table(rows))
