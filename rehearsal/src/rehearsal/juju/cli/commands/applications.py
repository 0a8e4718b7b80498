"""Commands about applications, their units and their configuration."""

from typing import Any

from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.cli.values import option
from rehearsal.juju.errors import JujuError, SilentError, UsageError
from rehearsal.juju.model import packing
from rehearsal.juju.model.charm import find, name_of
from rehearsal.juju.model.state import Application


@command("config", "--format=", "--reset=", "--file=", usage="<application> [<key>[=<value>] ...]")
def config(call: Call) -> None:
    """Gets, sets, or resets configuration for an application."""
    if not call.args:
        raise UsageError("no application name specified")
    name, *rest = call.args
    settings = [arg for arg in rest if "=" in arg]
    asked = [arg for arg in rest if "=" not in arg]
    if len(asked) > 1:
        raise UsageError("cannot specify multiple keys to get")
    with call.controller.lock:
        if settings or call.options.get("--reset"):
            _configure(call, call.app(name, 'application "{}" not found'), settings)
        else:
            _show_config(call, call.app(name), asked)


def _configure(call: Call, app: Application, settings: list[str]) -> None:
    changes: dict[str, Any] = {}
    for name in filter(None, (call.options.get("--reset") or "").split(",")):
        if name not in app.charm.options:
            raise JujuError(f'updating application charm settings: unknown option "{name}"')
        changes[name] = None
    for setting in settings:
        name, _, value = setting.partition("=")
        if not name:
            raise UsageError(f'expected "key=value", got "{setting}"')
        try:
            changes[name] = option(app.charm, name, value)
        except JujuError as error:
            raise JujuError(f"parsing settings for application: {error}") from error
    call.controller.configure(app, changes)


def _show_config(call: Call, app: Application, asked: list[str]) -> None:
    if not asked:
        document = _config_document(app)
        call.answer(document, to_yaml(document))
        return
    if asked[0] not in app.charm.options:
        raise JujuError(
            f'key "{asked[0]}" not found in "{app.name}" application config or charm settings.'
        )
    value = app.settings().get(asked[0], "")
    call.out(str(value).lower() if isinstance(value, bool) else str(value))


def _config_document(app: Application) -> dict[str, Any]:
    return {
        "application": app.name,
        "application-config": {"trust": _setting(app.trust, False, "bool", "user")},
        "charm": app.charm.name,
        "settings": {
            name: _setting(
                app.settings().get(name), spec.get("default"), spec.get("type", "string")
            )
            | {"description": spec.get("description", "")}
            for name, spec in app.charm.options.items()
        },
    }


def _setting(value: Any, default: Any, kind: str, changed: str = "user") -> dict[str, Any]:
    source = "unset" if value is None else "default" if value == default else changed
    setting = {"default": default, "source": source, "type": kind, "value": value}
    return {key: item for key, item in setting.items() if item is not None}


@command("trust", "--remove", "--scope=", usage="<application>")
def trust(call: Call) -> None:
    """Grants an application access to the cluster, or withdraws it."""
    if not call.args:
        raise UsageError("no application name specified")
    remove, scope = call.options.has("--remove"), call.options.get("--scope")
    if scope not in (None, "cluster"):
        raise JujuError(f'scope "{scope}" not valid')
    if not remove and scope is None:
        raise JujuError(
            "'juju trust' currently grants full access to the cluster itself.\n"
            "Set the scope to 'cluster' using '--scope=cluster' to confirm this choice.\n"
        )
    with call.controller.lock:
        app = call.app(call.args[0], 'application "{}" not found')
        call.controller.trust(app, not remove)


@command(
    "refresh",
    "--path=",
    "--trust",
    "--force-units",
    "--resource=",
    "--config=",
    usage="<application>",
)
def refresh(call: Call) -> None:
    """Gives an application another revision of its local charm."""
    if not call.args:
        raise UsageError("no application specified")
    text = call.options.get("--path")
    if text is None:
        raise JujuError("refreshing a local charm requires either --path or --switch")
    with call.controller.lock:
        app = call.app(call.args[0])
        path = find(call.path(text))
        if not path.exists():
            raise JujuError(f'no charm found at "{text}"')
        if line := packing.note(text, path):
            call.note(line)
        if name_of(path) != app.charm.name:
            raise JujuError(f'cannot refresh "{app.charm.name}" to "{name_of(path)}"')
    charm = call.controller.add_charm(app.model, path, call.note)
    with call.controller.lock:
        app = call.app(call.args[0])
        call.controller.refresh(app, charm)
        if call.options.has("--trust"):
            call.controller.trust(app, True)
    call.info(f'Added local charm "{charm.name}", revision {charm.revision}, to the model')


@command("resolved", "--no-retry", "--all", usage="[<unit> ...]", aliases=("resolve",))
def resolved(call: Call) -> None:
    """Has units in error run their hook again."""
    if not call.args and not call.options.has("--all"):
        raise UsageError("no unit specified")
    with call.controller.lock:
        units = {unit.name: unit for unit in call.model().units()}
        names = call.args or [name for name, unit in units.items() if unit.error]
        for name in names:
            if name not in units:
                raise JujuError(f'unit "{name}" not found')
            if not units[name].error:
                raise JujuError(f'unit "{name}" is not in an error state')
            call.controller.resolve(units[name], retry=not call.options.has("--no-retry"))


@command("scale-application", usage="<application> <scale>")
def scale_application(call: Call) -> None:
    """Sets the number of units of an application."""
    if not call.args:
        raise UsageError("no application specified")
    if len(call.args) < 2:
        raise UsageError("no scale specified")
    name, text = call.args
    if not (text.isascii() and text.lstrip("-").isdigit()):
        raise UsageError(f'invalid scale "{text}": strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise UsageError("scale must be a positive integer")
    with call.controller.lock:
        missing = 'could not scale application "{0}": application "{0}" does not exist'
        call.controller.scale(call.app(name, missing), int(text))
    call.info(f"{name} scaled to {text} units")


@command("add-unit", "-n,--num-units=", usage="<application>")
def add_unit(call: Call) -> None:
    """Adds units to an application."""
    if not call.args:
        raise UsageError("no application specified")
    with call.controller.lock:
        app = call.app(call.args[0], 'application "{}" does not exist')
        call.controller.scale(app, app.scale + call.options.number("--num-units", 1))


@command(
    "remove-unit",
    "-n,--num-units=",
    "--no-prompt",
    "--force",
    "--destroy-storage",
    usage="<application>",
)
def remove_unit(call: Call) -> None:
    """Removes units from an application, the highest numbers first."""
    if not call.args:
        raise UsageError("no application specified")
    if "/" in call.args[0]:
        raise UsageError(
            "k8s models do not support removing named units.\n"
            "Instead specify an application with --num-units.\n"
        )
    number = call.options.number("--num-units", 0)
    if number < 1:
        raise UsageError("specify the number of units (> 0) to remove using --num-units")
    with call.controller.lock:
        app = call.app(call.args[0], 'application "{}" does not exist')
        if number > app.scale:
            raise JujuError("cannot remove more units than currently exist not valid")
        call.controller.scale(app, app.scale - number)
    call.info(f"scaling down to {app.scale} units")


@command(
    "remove-application",
    "--no-prompt",
    "--force",
    "--no-wait",
    "--destroy-storage",
    usage="<application> ...",
)
def remove_application(call: Call) -> None:
    """Removes applications."""
    if not call.args:
        raise UsageError("no application specified")
    failed = False
    if not call.options.has("--no-prompt"):
        shown = "".join(f"will remove application {name}\n" for name in call.args)
        call.confirm(f"WARNING {shown}\nContinue [y/N]? ", ("y", "yes"), "application removal")
    with call.controller.lock:
        for name in call.args:
            try:
                _remove(call, call.app(name, 'application "{}" not found'))
            except JujuError as error:
                call.terminal.write(
                    "stderr", f"ERROR removing application {name} failed: {error}\n"
                )
                failed = True
    if failed:
        raise SilentError


def _remove(call: Call, app: Application) -> None:
    offers = sum(offer.app is app for offer in app.model.offers.values())
    if offers:
        plural = "" if offers == 1 else "s"
        used = f"application is used by {offers} offer{plural}"
        raise JujuError(f'cannot destroy application "{app.name}": {used}')
    call.out(f"will remove application {app.name}")
    for unit in app.units.values():
        call.out(f"- will remove unit {unit.name}")
    call.controller.remove_application(app, force=call.options.has("--force"))
