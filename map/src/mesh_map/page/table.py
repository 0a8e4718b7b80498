"""Shows a map as tables, for screen readers and for the details of an access."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from mesh_map.drawing.boxes import heading
from mesh_map.drawing.picture import CLASSES
from mesh_map.model import Access, Application, Call, Map

Calls = Mapping[str, Sequence[Call]]
"""The last calls of each access, by its key; the latest call comes first."""
_ACCESS = ("From", "To", "State", "Requests", "Policies and reasons", "Last calls", "Command")
_APPLICATION = ("Model", "Application", "Mesh", "Units", "Status")
_HELP = "The map knows no single juju command that changes this."


def accesses(drawn: Map, calls: Calls) -> str:
    """Return a table with a row for each access."""
    rows = "".join(_access(access, calls.get(access.key, ())) for access in drawn.accesses)
    return _table("Who may call whom", _ACCESS, rows)


def applications(drawn: Map) -> str:
    """Return a table with a row for each application."""
    rows = [
        _application(app, app in model.meshes)
        for model in drawn.models
        for app in (*model.applications, *model.meshes)
    ]
    return _table("Applications", _APPLICATION, "".join(rows))


def call(made: Call) -> str:
    """Return an item of the list of last calls."""
    reason = f": {made.reason}" if made.reason else ""
    target = made.unit or made.target.app
    text = f"{made.method} {target}:{made.port}{made.path}"
    time = f"{made.time} " if made.time else ""
    state = "denied" if made.is_denied else "answered"
    return f'<li class="{state}">{escape(f"{time}{text}: {made.result}{reason}")}</li>'


def _access(access: Access, calls: Sequence[Call]) -> str:
    cells = (
        escape(str(access.source)),
        escape(str(access.target)),
        f'<strong class="{CLASSES[access.state]}">{escape(heading(access))}</strong>',
        _list([*access.requests, *(f"relation {each}" for each in access.relations)]),
        _list(access.details),
        f'<ul class="calls">{"".join(map(call, calls))}</ul>',
        f"<code>{escape(access.command)}</code>" if access.command else _HELP,
    )
    return f'<tr role="row" data-access="{access.key}">{_cells(_ACCESS, cells)}</tr>'


def _application(app: Application, is_mesh: bool) -> str:
    status = f"{app.status}: {app.message}".rstrip(": ")
    place = "on the mesh" if app.on_mesh else "off the mesh"
    place = "provides the mesh" if is_mesh else place
    cells = (app.name.model, app.name.app, place, str(app.units), status)
    return f'<tr role="row">{_cells(_APPLICATION, map(escape, cells))}</tr>'


def _table(caption: str, headings: Sequence[str], rows: str) -> str:
    cells = (f'<th role="columnheader" scope="col">{heading}</th>' for heading in headings)
    head = f'<thead role="rowgroup"><tr role="row">{"".join(cells)}</tr></thead>'
    body = f'<tbody role="rowgroup">{rows}</tbody>'
    return f'<table role="table"><caption>{caption}</caption>{head}{body}</table>'


def _cells(headings: Sequence[str], cells: Iterable[str]) -> str:
    named = zip(headings, cells, strict=True)
    return "".join(f'<td role="cell" data-heading="{name}">{cell}</td>' for name, cell in named)


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
