"""Commands about relations."""

from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.cli.commands.offers import consumed
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model import endpoints


@command(
    "integrate",
    "--via=",
    usage="<application>[:<endpoint>] <application>[:<endpoint>]",
    aliases=("relate",),
)
def integrate(call: Call) -> None:
    """Relates two applications."""
    if len(call.args) != 2:
        raise UsageError("an integration must involve two applications")
    if all("." in end for end in call.args):
        raise UsageError("providing more than one remote endpoints not supported")
    with call.controller.lock:
        model = call.model()
        first, second = (consumed(call, model, end) for end in call.args)
        ends = endpoints.infer(model, first, second)
        for saas in (end.saas for end in ends):
            if saas and saas.offer.removed:
                raise JujuError(
                    f'Offer "{saas.name}" has been removed from the remote model.\n'
                    "To integrate with a new offer with the same name, first run\n"
                    f"'juju remove-saas {saas.name}' to remove the SAAS record from this model."
                )
        if call.options.get("--via") and not any(end.saas for end in ends):
            raise JujuError(
                "integration via subnets for non cross model relations not supported "
                "(not supported)"
            )
        call.controller.integrate(model, ends)


@command(
    "remove-relation", "--force", usage="<application>[:<endpoint>] <application>[:<endpoint>]"
)
def remove_relation(call: Call) -> None:
    """Removes a relation between two applications."""
    if len(call.args) != 2:
        raise UsageError("a relation must involve two applications")
    with call.controller.lock:
        call.controller.remove_relation(endpoints.find(call.model(), *call.args))
