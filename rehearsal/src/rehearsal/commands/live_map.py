"""The live map of a run: the page of mesh_map, with the calls from the mesh's access log."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from mesh_map.live.live_map import LiveMap
from mesh_map.model import Call, Name
from mesh_map.reading.snapshot import Reader
from rehearsal.rehearsal import Rehearsal
from rehearsal.traffic.access_log import App, Made, app_of, follow

_NOTE = "Live: calls appear as they are made, and the map follows your juju commands."
_NAME = "app.kubernetes.io/name"


@contextmanager
def serve(rehearsal: Rehearsal) -> Generator[str]:
    """Serve the map of a run, and yield the address of its page."""
    reader = Reader(cli_binary=str(rehearsal.directory / "bin" / "juju"))
    with LiveMap(reader, _NOTE) as live:
        threading.Thread(target=_follow, args=(rehearsal, live), daemon=True).start()
        yield live.url


def _follow(rehearsal: Rehearsal, live: LiveMap) -> None:
    """Show the calls of a run until its log is deleted."""
    for made in follow(rehearsal.access_log, lambda: _pods(rehearsal)):
        if made.decision:
            live.add(_call(made))


def _pods(rehearsal: Rehearsal) -> dict[str, App]:
    """Return the application of each pod, by the address of the pod."""
    found: dict[str, App] = {}
    for pod in rehearsal.store.list("Pod"):
        metadata: dict[str, Any] = pod["metadata"]
        labels: dict[str, str] = metadata.get("labels") or {}
        status: dict[str, Any] = pod.get("status") or {}
        if ip := status.get("podIP"):
            name = labels.get(_NAME) or app_of(metadata["name"])
            found[ip] = metadata["namespace"], name
    return found


def _call(made: Made) -> Call:
    is_denied = made.verdict == "denied"
    return Call(
        Name(*made.source),
        Name(*made.target),
        made.unit,
        made.method,
        made.port,
        made.path,
        "denied" if is_denied else str(made.code),
        made.decision.denial("it") if is_denied and made.decision else "",
        made.time[11:19],
    )
