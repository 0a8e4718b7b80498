"""Commands about models."""

import re
import time
from collections.abc import Mapping

from rehearsal.juju.cli import status
from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.charm import ConfigValue
from rehearsal.juju.model.state import CONTROLLER_UUID, MODEL_DEFAULTS, USER, Model

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A name that Kubernetes allows for a namespace."""
_POLL = 0.02
"""Seconds between two looks at a model that is being destroyed."""


@command("add-model", "--no-switch", "--config=", "--credential=", usage="<model>")
def add_model(call: Call) -> None:
    """Adds a model."""
    if not call.args:
        raise UsageError('juju: no model name was passed. See "juju add-model --help".')
    name = call.args[0]
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" is not a valid name: '
            "model names may only contain lowercase letters, digits and hyphens"
        )
    with call.controller.lock:
        model = call.controller.add_model(name)
        _configure(call, model, call.pairs(call.options.all("--config")), [])
    if not call.options.has("--no-switch"):
        call.session.focus = name
    where = f"{status.CLOUD}/{status.REGION}"
    call.info(f"Added '{name}' model on {where} with credential 'k8s' for user '{USER}'")


@command(
    "destroy-model",
    "--no-prompt",
    "--destroy-storage",
    "--release-storage",
    "--force",
    "--no-wait",
    "--timeout=",
    usage="<model>",
)
def destroy_model(call: Call) -> None:
    """Removes a model and everything in it."""
    if not call.args:
        raise UsageError("no model specified")
    model = call.model(call.args[0])
    call.confirm(
        f'WARNING This command will destroy the "{model.name}" model and all its resources. '
        "It cannot be stopped.\n\n"
        "To continue, enter the name of the model to be destroyed: ",
        (model.name, f"{USER}/{model.name}"),
        "model destruction",
    )
    with call.controller.lock:
        call.info("Destroying model")
        call.controller.destroy_model(model, force=call.options.has("--force"))
    left = -1
    while call.controller.models.get(model.name) is model:
        if len(model.apps) != left:
            left = len(model.apps)
            call.info(f"Waiting for model to be removed, {left} application(s)...")
        time.sleep(_POLL)
    call.info("Model destroyed.")


@command("switch", usage="[<model>]")
def switch(call: Call) -> None:
    """Selects or names the current model."""
    old = _full(call.session.focus) if call.session.focus else ""
    if not call.args:
        call.out(old or _full(call.model().name))
        return
    if call.environment.get("JUJU_MODEL"):
        chosen = call.environment["JUJU_MODEL"]
        raise JujuError(
            f'cannot switch when JUJU_MODEL is overriding the model (set to "{chosen}")'
        )
    name = call.args[0].rpartition(":")[2].rpartition("/")[2]
    if name not in call.controller.models:
        raise JujuError(f'"{call.args[0]}" is not the name of a model or controller')
    call.session.focus = name
    call.info(f"{old} (no change)" if old == _full(name) else f"{old} -> {_full(name)}")


@command("models", "--format=", aliases=("list-models",))
def models(call: Call) -> None:
    """Lists the models."""
    with call.controller.lock:
        found = sorted(call.controller.models.values(), key=lambda model: model.name)
        rows = [
            ("Model", "Cloud/Region", "Type", "Status", "Units", "Access", "Last connection"),
            *(_row(call, model) for model in found),
        ]
        document = {
            "models": [_document(model) for model in found],
            "current-model": call.session.focus,
        }
    call.answer(document, f"Controller: {status.CONTROLLER}\n\n" + status.table(rows, (5,)))


@command("show-model", "--format=", usage="[<model>]")
def show_model(call: Call) -> None:
    """Shows a model."""
    model = call.model(call.args[0] if call.args else None)
    document = {model.name: _document(model)}
    call.answer(document, to_yaml(document))


@command("model-config", "--format=", "--reset=", usage="[<key>[=<value>] ...]")
def model_config(call: Call) -> None:
    """Shows or sets the configuration of a model."""
    settings = call.pairs(arg for arg in call.args if "=" in arg)
    asked = [arg for arg in call.args if "=" not in arg]
    reset = [name for name in (call.options.get("--reset") or "").split(",") if name]
    with call.controller.lock:
        model = call.model()
        _configure(call, model, settings, reset)
        values = model.settings()
    if asked:
        if asked[0] not in values:
            model_name = f"{USER}/{model.name}"
            raise JujuError(
                f'"{asked[0]}" is not a key of the currently targeted model: "{model_name}"'
            )
        call.out(str(values[asked[0]]))
    elif not settings and not reset:
        _show_config(call, model, values)


def _configure(call: Call, model: Model, settings: Mapping[str, str], reset: list[str]) -> None:
    if "agent-version" in settings:
        raise JujuError('"agent-version" must be set via "upgrade-model"')
    for name in (*settings, *reset):
        if name not in MODEL_DEFAULTS:
            call.info(
                f'WARNING key "{name}" is not defined in the current model configuration: '
                "possible misspelling"
            )
    changes = {
        name: value == "true" if value in ("true", "false") else value
        for name, value in settings.items()
    }
    call.controller.configure_model(model, changes, reset)


def _show_config(call: Call, model: Model, values: Mapping[str, ConfigValue]) -> None:
    sources = {name: "model" if name in model.config else "default" for name in sorted(values)}
    rows = [("Attribute", "From", "Value")]
    rows += [(name, source, str(values[name])) for name, source in sources.items()]
    document = {k: {"Value": values[k], "Source": source} for k, source in sources.items()}
    call.answer(document, status.table(rows))


@command("set-model-constraints", usage="<key>=<value> ...")
def set_model_constraints(call: Call) -> None:
    """Sets the constraints of a model, which a rehearsal keeps and does not apply."""
    with call.controller.lock:
        call.model().constraints.update(call.pairs(call.args))


@command("model-constraints", "--format=")
def model_constraints(call: Call) -> None:
    """Shows the constraints of a model."""
    with call.controller.lock:
        constraints = dict(call.model().constraints)
    call.answer(constraints, " ".join(f"{k}={v}" for k, v in constraints.items()) + "\n")


def _full(name: str) -> str:
    return f"{status.CONTROLLER}:{USER}/{name}"


def _row(call: Call, model: Model) -> tuple[str, ...]:
    name = f"{model.name}*" if model.name == call.session.focus else model.name
    where, units = f"{status.CLOUD}/{status.REGION}", str(len(list(model.units())))
    return name, where, "kubernetes", "available", units, USER, "just now"


def _document(model: Model) -> dict[str, object]:
    return {
        "name": f"{USER}/{model.name}",
        "short-name": model.name,
        "model-uuid": model.uuid,
        "model-type": "caas",
        "controller-uuid": CONTROLLER_UUID,
        "controller-name": status.CONTROLLER,
        "is-controller": False,
        "owner": USER,
        "cloud": status.CLOUD,
        "region": status.REGION,
        "type": "kubernetes",
        "life": "dying" if model.dying else "alive",
        "status": {"current": "destroying" if model.dying else "available"},
        "sla": status.SERVICE_LEVEL,
        "agent-version": model.juju.number,
    }
