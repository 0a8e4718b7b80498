"""Watches: the streams of changes that clients hold open."""

import itertools
import queue
import time
from collections.abc import Iterator

from rehearsal.kubernetes.selectors import Matches
from rehearsal.kubernetes.status import StatusError
from rehearsal.kubernetes.store import Change, Object, Store

_Queue = queue.SimpleQueue[Change | None]


class Watches:
    """All open streams of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: set[_Queue] = set()

    def stream(self, kind: str, within: Matches, since: int, seconds: float) -> Iterator[Object]:
        """Yield the events of a watch until it ends, at the latest after some seconds.

        The watch begins after the resourceVersion `since`, or with all objects if that is 0. An
        object that begins to match the selector counts as added, one that ceases to match as
        deleted.
        """
        events = _Queue()
        with self._store.lock:
            past = self._store.changes(since) if since else self._present(kind)
            unsubscribe = self._store.subscribe(events.put)
            self._open.add(events)
        try:
            if past is None:
                gone = StatusError(
                    410, "Expired", f"too old resource version: {since} ({self._store.oldest})"
                )
                yield {"type": "ERROR", "object": gone.body}
                return
            for change in itertools.chain(past, _arriving(events, time.monotonic() + seconds)):
                if change.object["kind"] == kind:
                    yield from _events(change, within)
        finally:
            unsubscribe()
            self._open.discard(events)

    def end(self) -> None:
        """End all streams."""
        for events in tuple(self._open):
            events.put(None)

    def _present(self, kind: str) -> list[Change]:
        return [Change("ADDED", obj) for obj in self._store.list(kind)]


def _arriving(events: _Queue, end: float) -> Iterator[Change]:
    while (left := end - time.monotonic()) > 0:
        try:
            change = events.get(timeout=left)
        except queue.Empty:
            return
        if change is None:
            return
        yield change


def _events(change: Change, within: Matches) -> Iterator[Object]:
    before = change.previous is not None and within(change.previous)
    after = change.type != "DELETED" and within(change.object)
    if before or after:
        happened = "DELETED" if not after else "MODIFIED" if before else "ADDED"
        yield {"type": happened, "object": change.object}
