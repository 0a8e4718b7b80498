"""The boxes of a map and their words: applications, and an access between each two of them."""

from dataclasses import dataclass

from mesh_map.drawing.style import Style
from mesh_map.drawing.words import fit, width, wrap
from mesh_map.model import Access, Application, State

_HEADINGS = {
    State.ALLOWED: "allowed {}",
    State.OPEN: "open: {}",
    State.WAITING: "waiting: {}",
    State.RELATED: "related, but denied: {}",
    State.DENIED: "denied: {}",
}


@dataclass(frozen=True)
class Words:
    """The lines of a box, each fitted into its width.

    Attributes:
        heading: the lines at the top.
        lines: the lines below.
        alert: lines about the status of an application, if it is not active.
    """

    heading: tuple[str, ...]
    lines: tuple[str, ...]
    alert: tuple[str, ...] = ()

    def height(self, style: Style) -> int:
        """Return the height of a box that these words fill."""
        count = len(self.heading) + len(self.lines) + len(self.alert)
        return count * style.line + 2 * style.inset - round(style.size * 0.3)


def of_application(app: Application, style: Style) -> Words:
    """Return the words of an application: its name, its membership and its trouble."""
    room = style.node - 2 * style.inset
    heading = fit(app.name.app, room, style.size, bold=True)
    place = "on the mesh" if app.on_mesh else "off the mesh"
    units = "1 unit" if app.units == 1 else f"{app.units} units"
    both = f"{place}, {units}"
    size = style.size - 1
    lines = (both,) if width(both, size) <= room else (fit(place, room, size), units)
    alert = wrap(app.trouble, room - style.size * 1.5, style.size - 1, 3)
    return Words((heading,), lines, tuple(alert))


def heading(access: Access) -> str:
    """Return the state of an access with its reason."""
    return _HEADINGS[access.state].format(access.reason)


def of_access(access: Access, style: Style) -> Words:
    """Return the words of an access: its state with the reason, and its requests."""
    room = style.chip - 2 * style.inset
    at_top = wrap(heading(access), room - style.size * 1.5, style.size, 4, bold=True)
    shown = [fit(each, room, style.size - 1, mono=True) for each in requests(access, style.lines)]
    return Words(tuple(at_top), tuple(shown))


def requests(access: Access, most: int) -> list[str]:
    """Return the requests or relations of an access: all, or the first ones and a number."""
    if access.state in (State.WAITING, State.RELATED) and access.relations:
        found = [f"relation {relation}" for relation in access.relations]
    else:
        found = list(access.requests)
    if len(found) <= most:
        return found
    kept = max(most - 1, 1)
    return [*found[:kept], f"and {len(found) - kept} more"][:most]
