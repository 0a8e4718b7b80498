"""The present map, and the events by which open pages follow it."""

import json
import queue
import threading
from collections import defaultdict, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace

from mesh_map.accesses import derive, find
from mesh_map.model import Call, Map, Name, Snapshot, State
from mesh_map.page import page, table

_MOST = 5
"""The number of last calls that a page shows for each access."""
_KINDS = 1000
"""The number of kinds of calls that the map remembers; paths can differ without end."""
_Kind = tuple[object, ...]
"""The properties by which the last call of each kind is kept."""


class Board:
    """Keeps the map and tells open pages about changes and calls. All threads may use it.

    Args:
        note: a sentence about the origin of the map.

    Attributes:
        opened: is set when a page is opened.
        doubt: is set when a call has another result than the map says, so that it may be old.
    """

    def __init__(self, note: str) -> None:
        self._note = note
        self._lock = threading.RLock()
        self._pages: list[queue.SimpleQueue[str]] = []
        self._snapshot = Snapshot()
        self._calls: dict[_Kind, Call] = {}
        self._last: dict[str, deque[Call]] = defaultdict(lambda: deque(maxlen=_MOST))
        self._map = Map((), ())
        self.opened = threading.Event()
        self.doubt = threading.Event()

    @property
    def is_watched(self) -> bool:
        """Whether a page is open."""
        return bool(self._pages)

    def show(self, snapshot: Snapshot) -> bool:
        """Show a snapshot, and return whether it differs from the one before."""
        with self._lock:
            if snapshot == self._snapshot:
                return False
            if self._snapshot.models:
                self._forget(snapshot)
            self._snapshot = snapshot
            self._draw()
            return True

    def add(self, call: Call) -> None:
        """Show a call, and draw the map again if it is the first one of its kind."""
        with self._lock:
            kind = _kind(call)
            known = self._calls.get(kind)
            if known and known.is_denied and call.is_denied:
                call = replace(call, reason=known.reason, is_explained=known.is_explained)
            self._calls[kind] = call
            if len(self._calls) > _KINDS:
                del self._calls[next(iter(self._calls))]
            if known is None or known.is_denied is not call.is_denied:
                if self._contradicts(call):
                    self.doubt.set()
                self._draw()
            if not (access := find(self._map.accesses, call)):
                return
            self._last[access.key].appendleft(call)
            event = {"access": access.key, "denied": call.is_denied, "item": table.call(call)}
            self._send("call", event)

    def unexplained(self) -> list[Call]:
        """Return the denied calls whose reason the mesh has not been asked for."""
        with self._lock:
            return [c for c in self._calls.values() if c.is_denied and not c.is_explained]

    def explain(self, call: Call, reason: str) -> None:
        """Show the reason that the mesh gives for a denied call, if it gives one."""
        with self._lock:
            found = replace(call, reason=reason or call.reason, is_explained=True)
            present = self._calls.get(_kind(call))
            if present and present.is_denied:
                self._calls[_kind(call)] = found
                self._draw()

    def page(self) -> str:
        """Return the page as it is now."""
        with self._lock:
            return page.render(self._map, self._last, self._note, live=True)

    @contextmanager
    def events(self) -> Generator["queue.SimpleQueue[str]"]:
        """Open a queue of events for a page, which begins with the present map."""
        events: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._lock:
            self._pages.append(events)
            events.put(_event("map", self._parts()))
        self.opened.set()
        try:
            yield events
        finally:
            with self._lock:
                self._pages.remove(events)

    def _forget(self, snapshot: Snapshot) -> None:
        """Forget the calls between applications whose accesses have changed."""
        before = {access.key: access for access in derive(self._snapshot).accesses}
        after = {access.key: access for access in derive(snapshot).accesses}
        changed = {each for _, each in before.items() ^ after.items()}
        pairs = {(access.source, access.target) for access in changed}
        self._calls = {k: c for k, c in self._calls.items() if (c.source, c.target) not in pairs}

    def _contradicts(self, call: Call) -> bool:
        """Return whether the map says that a denied call is allowed, or the other way round."""
        if not call.is_denied:
            return find(self._map.accesses, call) is None
        allowing = [each for each in self._map.accesses if each.state is State.ALLOWED]
        pair = [each for each in allowing if (each.source, each.target) == _pair(call)]
        return any(call.request in each.requests for each in pair)

    def _draw(self) -> None:
        """Draw the map, and send it to the pages if it differs from the one before."""
        drawn = derive(self._snapshot, list(self._calls.values()))
        if drawn != self._map:
            self._map = drawn
            if self._pages:
                self._send("map", self._parts())

    def _parts(self) -> dict[str, str]:
        return asdict(page.parts(self._map, self._last))

    def _send(self, name: str, data: object) -> None:
        for each in self._pages:
            each.put(_event(name, data))


def _kind(call: Call) -> _Kind:
    return call.source, call.target, call.request


def _pair(call: Call) -> tuple[Name, Name]:
    return call.source, call.target


def _event(name: str, data: object) -> str:
    """Return a server-sent event. JSON has no line breaks, which would end its data."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
