"""`python -m demo map`: the map of a deployed demo, with the calls of each scraper."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jubilant

from demo import patience
from demo.picture import parse
from demo.table import AUTHORIZATION_POLICIES, EXPECTED
from mesh_map.accesses import derive
from mesh_map.model import Call, Name, Snapshot
from mesh_map.page.file import save
from mesh_map.reading.snapshot import Reader

_CALLER, _CALLED = "metrics-scraper-k8s", "metrics-producer-k8s"
_NOTE = "Made by `python -m demo map`: models as juju shows them, and the calls of each scraper."


def draw(model: str, folder: Path) -> Path:
    """Have each scraper call each producer, save the map, and return the path of its page.

    Args:
        model: name of the first model of the demo, with which the name of the second one begins.
        folder: the folder for the page and the picture.

    Raises:
        ValueError: the controller has no such model; the message names its models.
        jubilant.CLIError: juju failed.
        jubilant.TaskError: an action failed.
    """
    found = Reader().models()
    models = [name for name in (model, f"{model}-remote") if name in found]
    if not models:
        raise ValueError(f"there is no model {model}; the models are: {', '.join(found) or 'none'}")
    reader = Reader(models)
    snapshot = reader.read()
    calls = [_explained(reader, snapshot, call) for call in _calls(snapshot)]
    return save(folder, derive(snapshot, calls), calls, _NOTE)


def _explained(reader: Reader, snapshot: Snapshot, call: Call) -> Call:
    return replace(call, reason=reader.explain(call, snapshot)) if call.is_denied else call


def _calls(snapshot: Snapshot) -> Iterator[Call]:
    apps = snapshot.applications.values()
    for caller in (app.name for app in apps if app.charm == _CALLER and app.units):
        for called in (app.name for app in apps if app.charm == _CALLED):
            yield from _probe(snapshot, caller, called)


def _probe(snapshot: Snapshot, caller: Name, called: Name) -> Iterator[Call]:
    """Have the leader of a scraper make every call, and yield those that got an answer."""
    params = {"app": called.app, "model": called.model, "format": "json"}
    juju = jubilant.Juju(model=caller.model)
    task = patience.run(juju, f"{caller.app}/leader", "probe", params)
    enforcement = {m.name: m.enforcement for m in snapshot.models}.get(called.model, "")
    denials = EXPECTED.get(enforcement, AUTHORIZATION_POLICIES).denials
    rows: list[dict[str, str]] = json.loads(task.results["rows"])
    for row in rows:
        result = "denied" if row["result"] in denials else row["result"]
        if result == "denied" or result.isdecimal():
            call = parse(caller, called, row["request"], result)
            yield replace(call, unit=row["target"]) if call.unit else call
