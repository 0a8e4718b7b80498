"""A map that follows models and calls while a `with` block lasts."""

import threading
from types import TracebackType

import jubilant

from mesh_map.live.board import Board
from mesh_map.live.server import Server
from mesh_map.model import Call, Snapshot
from mesh_map.reading.snapshot import Reader

_FAILURES = (jubilant.CLIError, jubilant.TaskError, TimeoutError, ValueError, LookupError)
"""The errors of juju, for example about a model that has just been removed."""
_PAUSE = 1.0
"""Seconds between two looks at the models while a page is open."""
_AGAIN = 3
"""How often models are read after a change: units run their hooks for some seconds."""


class LiveMap:
    """Serves the map of the models of a controller.

    It asks juju only while a page is open.

    Args:
        reader: reads the models.
        note: a sentence about the origin of the map.
    """

    def __init__(self, reader: Reader, note: str) -> None:
        self._reader = reader
        self._board = Board(note)
        self._server = Server(self._board)
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._snapshot = Snapshot()
        self._outline: object = None
        self._readings = 0

    @property
    def url(self) -> str:
        """The address of the page."""
        return self._server.url

    def add(self, call: Call) -> None:
        """Show a call that was made."""
        self._board.add(call)

    def __enter__(self) -> "LiveMap":
        self._server.start()
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._board.opened.set()
        self._watcher.join()
        self._server.stop()

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self._board.opened.wait()
            self._board.opened.clear()
            while self._board.is_watched and not self._stopped.is_set():
                self._look()
                self._stopped.wait(_PAUSE)

    def _look(self) -> None:
        """Read the models if they have changed, and the reasons of denied calls."""
        try:
            outline = self._reader.look()
            if outline != self._outline or self._board.doubt.is_set():
                self._outline, self._readings = outline, _AGAIN
                self._board.doubt.clear()
            if self._readings and not self._stopped.is_set():
                self._readings -= 1
                self._snapshot = self._reader.read()
                self._board.show(self._snapshot)
            self._explain()
        except _FAILURES:
            self._outline = None  # look again

    def _explain(self) -> None:
        for call in self._board.unexplained():
            if self._stopped.is_set():
                return
            self._board.explain(call, self._reader.explain(call, self._snapshot))
