"""`juju deploy`: a charm, or a bundle."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rehearsal.juju.cli.call import Call, command
from rehearsal.juju.cli.commands.offers import add_saas, find
from rehearsal.juju.cli.values import option
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model import bundle, endpoints, packing
from rehearsal.juju.model.bundle import Bundle, BundleApplication, BundleOffer
from rehearsal.juju.model.charm import Charm, ConfigValue
from rehearsal.juju.model.state import Application, Model, Offer

_BUNDLE_ONLY = ("--overlay", "--dry-run")
_CHARM_ONLY = ("--config", "--num-units", "--base", "--resource")


_CHARMHUB_NAME = re.compile(r"(ch:)?[a-z][a-z0-9-]*")


@command(
    "deploy",
    "--trust",
    "--force",
    "--dry-run",
    "--overlay=",
    "--config=",
    "-n,--num-units=",
    "--resource=",
    "--base=",
    "--channel=",
    "--constraints=",
    usage="<charm or bundle> [<application>]",
)
def deploy(call: Call) -> None:
    """Deploys a charm or a bundle."""
    if not call.args:
        raise UsageError("no charm or bundle specified")
    path = call.path(call.args[0])
    if not path.exists() and not bundle.find(path).exists():
        raise JujuError(_missing(call.args[0]))
    if bundle.is_bundle(path):
        _refuse(call, _CHARM_ONLY, "bundle")
        _deploy_bundle(call, path)
    else:
        _refuse(call, _BUNDLE_ONLY, "charm")
        _deploy_charm(call, bundle.find(path))


def _missing(name: str) -> str:
    if _CHARMHUB_NAME.fullmatch(name):
        return f'"{name}" is from Charmhub, which is not rehearsed; a path begins with ./ or /'
    return f'no charm was found at "{name}"'


def _refuse(call: Call, names: tuple[str, ...], kind: str) -> None:
    given = [name for name in names if call.options.all(name)]
    if given:
        shown = ", ".join(given)
        raise JujuError(f"options provided but not supported when deploying a {kind}: {shown}")


def _deploy_charm(call: Call, path: Path) -> None:
    model = call.model()
    units = call.options.number("--num-units", 1)
    if units < 1:
        raise UsageError("--num-units must be a positive integer")
    charm = _add_charm(call, model, call.args[0], path)
    with call.controller.lock:
        name = call.args[1] if len(call.args) > 1 else charm.name
        endpoints.check_name(name)
        call.info(f'Located local charm "{charm.name}", revision {charm.revision}')
        settings = call.pairs(call.options.all("--config"))
        resources = call.pairs(call.options.all("--resource"))
        app = _application(model, charm, name, units, settings, resources)
        app.trust = call.options.has("--trust")
        _add(call, app)
    call.info(
        f'Deploying "{name}" from local charm "{charm.name}", '
        f"revision {charm.revision} on ubuntu@24.04/stable"
    )


def _add_charm(call: Call, model: Model, named: str, path: Path) -> Charm:
    """Upload a charm and say so if it is not the one that the user may expect."""
    if line := packing.note(named, path):
        call.note(line)
    return call.controller.add_charm(model, path, call.note)


def _deploy_bundle(call: Call, path: Path) -> None:
    wanted = bundle.read(path, [call.path(text) for text in call.options.all("--overlay")])
    model = call.model()
    _check_trust(call, wanted)
    if call.options.has("--dry-run"):
        changes = list(_changes(model, wanted))
        call.out("\n".join(["Changes to deploy bundle:", *changes]))
        return
    with call.controller.lock:
        changes = list(_changes(model, wanted))
        if not changes:
            call.info("No changes to apply.")
            return
        call.out("\n".join(["Executing changes:", *changes]))
    try:
        charms = _add_charms(call, model, wanted)
        with call.controller.lock:
            _execute(call, model, wanted, charms)
    except JujuError as error:
        raise JujuError(f"cannot deploy bundle: {error}") from error
    call.info("Deploy of bundle completed.")


def _check_trust(call: Call, wanted: Bundle) -> None:
    names = sorted(name for name, app in wanted.applications.items() if app.trust)
    if names and not call.options.has("--trust") and not call.options.has("--force"):
        raise JujuError(
            "Bundle cannot be deployed without trusting applications with your cloud credentials.\n"
            "Please repeat the deploy command with the --trust argument if you consent to trust "
            "the following application(s):\n" + "\n".join(f"  - {name}" for name in names)
        )


def _changes(model: Model, wanted: Bundle) -> Iterator[str]:
    """Yield a line for each thing that deploying the bundle will do."""
    new = [app for name, app in wanted.applications.items() if name not in model.apps]
    for charm in sorted({app.charm for app in new}):
        yield f"- upload charm {charm} with architecture=amd64"
    for name, app in sorted(wanted.applications.items()):
        yield from _application_changes(model.apps.get(name), app)
    for name, url in _consumed(model, wanted):
        yield f"- consume offer {name} at {url}"
    for made in _offers(model, wanted):
        yield f"- create offer {made.name} using {made.app}:{','.join(made.endpoints)}"
    for first, second in wanted.relations:
        if not _is_related(model, first, second):
            yield f"- add relation {first} - {second}"


def _application_changes(there: Application | None, wanted: BundleApplication) -> Iterator[str]:
    if there is None:
        yield f"- deploy application {wanted.name}{_with_units(wanted.scale)}"
        return
    if _new_settings(there, wanted):
        yield f"- set application options for {wanted.name}"
    if there.scale != wanted.scale:
        yield f"- scale {wanted.name} to {wanted.scale} units"


def _new_settings(app: Application, wanted: BundleApplication) -> dict[str, ConfigValue]:
    """Return the options for which a bundle has another value than an application that is there."""
    settings = {key: option(app.charm, key, value) for key, value in wanted.options.items()}
    return {key: value for key, value in settings.items() if app.settings().get(key) != value}


def _with_units(scale: int) -> str:
    return f" with {scale} unit{'s' if scale > 1 else ''}" if scale else ""


def _offers(model: Model, wanted: Bundle) -> list[BundleOffer]:
    offers = [offer for app in wanted.applications.values() for offer in app.offers]
    return [offer for offer in offers if offer.name not in model.offers]


def _consumed(model: Model, wanted: Bundle) -> list[tuple[str, str]]:
    return [(name, url) for name, url in wanted.saas.items() if name not in model.saas]


def _add_charms(call: Call, model: Model, wanted: Bundle) -> dict[Path, Charm]:
    """Upload the charms of the applications that a bundle adds."""
    with call.controller.lock:
        for _, url in _consumed(model, wanted):
            find(call, url)  # before anything is done
        new = [app for app in wanted.applications.values() if app.name not in model.apps]
    named = {app.path: app.charm for app in new}
    return {path: _add_charm(call, model, name, path) for path, name in named.items()}


def _execute(call: Call, model: Model, wanted: Bundle, charms: Mapping[Path, Charm]) -> None:
    for name, app in sorted(wanted.applications.items()):
        if name in model.apps:
            call.controller.configure(model.apps[name], _new_settings(model.apps[name], app))
            call.controller.scale(model.apps[name], app.scale)
        else:
            _add_from_bundle(call, model, charms[app.path], app)
    for name, url in _consumed(model, wanted):
        call.info(f"Added {url} as {add_saas(call, model, url, name)}")
    for made in _offers(model, wanted):
        call.controller.offer(Offer(made.name, model.apps[made.app], made.endpoints))
    for first, second in wanted.relations:
        if not _is_related(model, first, second):
            _relate(call, model, first, second)


def _relate(call: Call, model: Model, first: str, second: str) -> None:
    try:
        call.controller.integrate(model, endpoints.infer(model, first, second))
    except JujuError as error:
        raise JujuError(f'cannot add relation between "{first}" and "{second}": {error}') from error


def _add_from_bundle(call: Call, model: Model, charm: Charm, wanted: BundleApplication) -> None:
    try:
        app = _application(
            model, charm, wanted.name, wanted.scale, wanted.options, wanted.resources
        )
        app.trust = wanted.trust
        _add(call, app)
    except JujuError as error:
        raise JujuError(f'cannot deploy application "{wanted.name}": {error}') from error


def _application(
    model: Model,
    charm: Charm,
    name: str,
    scale: int,
    settings: Mapping[str, Any],
    resources: Mapping[str, Any],
) -> Application:
    missing = [image for image in charm.images if image not in resources]
    if missing:
        raise JujuError(f"local charm missing OCI images for: {', '.join(missing)}")
    config = {key: option(charm, key, value) for key, value in settings.items()}
    images = {image: str(resources[image]) for image in charm.images}
    return Application(name, model, charm, scale, config, images)


def _add(call: Call, app: Application) -> None:
    if app.name in app.model.saas:
        raise JujuError(
            f'cannot add application "{app.name}": saas application with same name already exists'
        )
    if app.name in app.model.apps:
        raise JujuError(
            f'cannot add application "{app.name}": application already exists: \n'
            "deploy application using an alias name:\n"
            "    juju deploy <application> <alias>\n"
            "or use remove-application to remove the existing one and try again."
        )
    for line in app.charm.not_rehearsed:
        call.note(f'WARNING charm "{app.charm.name}": {line}')
    call.controller.deploy(app)


def _is_related(model: Model, first: str, second: str) -> bool:
    try:
        return not endpoints.find(model, first, second).dying
    except JujuError:
        return False
