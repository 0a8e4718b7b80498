"""A board of the live page and its server."""

from collections.abc import Generator

import pytest

from mesh_map.live.board import Board
from mesh_map.live.server import Server
from tests.example import SNAPSHOT


@pytest.fixture
def board() -> Board:
    """Return a board on which the scraper is allowed."""
    board = Board("Live.")
    board.show(SNAPSHOT)
    return board


@pytest.fixture
def server(board: Board) -> Generator[Server]:
    server = Server(board)
    server.start()
    yield server
    server.stop()
