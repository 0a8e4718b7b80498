"""The server of the live page: its answers, and its end."""

import http.client
from dataclasses import replace

import pytest

from mesh_map.live.board import Board
from mesh_map.live.server import Server
from mesh_map.model import Call
from tests.example import OUTSIDER, POLICIES, SCRAPER, SNAPSHOT, denied


def ask(server: Server, path: str, host: str = "") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(server.url.split("/")[2], timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def read_event(response: http.client.HTTPResponse) -> str:
    lines = list(iter(response.readline, b"\n"))
    return b"".join(lines).decode()


def test_the_page_is_on_a_loopback_address(server: Server):
    with ask(server, "/") as response:
        assert server.url.startswith("http://127.0.0.1:")
        assert response.status == 200
        assert b"allowed by relation data" in response.read()


@pytest.mark.parametrize("path", ["/other", "/../etc/passwd", "/events/x"])
def test_nothing_else_is_served(server: Server, path: str):
    with ask(server, path) as response:
        assert response.status == 404


@pytest.mark.parametrize("path", ["/", "/events"])
def test_a_name_of_another_site_is_refused(server: Server, path: str):
    with ask(server, path, host="evil.example") as response:
        assert response.status == 403


def test_events_begin_with_the_map_and_go_on_with_calls(server: Server, board: Board):
    with ask(server, "/events") as response:
        assert read_event(response).startswith("event: map\n")

        board.add(denied(OUTSIDER))

        assert read_event(response).startswith("event: map\n")
        call = read_event(response)
    assert call.startswith("event: call\n")
    assert "GET producer:8080/data: denied" in call


def test_a_call_that_is_known_does_not_draw_the_map_again(server: Server, board: Board):
    board.add(denied(OUTSIDER))
    with ask(server, "/events") as response:
        read_event(response)

        board.add(denied(OUTSIDER))

        assert read_event(response).startswith("event: call\n")


def test_a_page_that_is_open_does_not_hold_up_the_end(board: Board):
    server = Server(board)
    server.start()
    response = ask(server, "/events")
    read_event(response)

    server.stop()

    response.close()


@pytest.mark.parametrize(
    ("call", "is_doubtful"),
    [
        (denied(SCRAPER), True),
        (replace(denied(OUTSIDER), result="200"), True),
        (denied(SCRAPER, "POST"), False),
        (denied(OUTSIDER), False),
        (replace(denied(SCRAPER), result="200"), False),
    ],
)
def test_a_call_that_contradicts_the_map_has_it_read_again(
    board: Board, call: Call, is_doubtful: bool
):
    board.add(call)

    assert board.doubt.is_set() is is_doubtful


def test_an_allowed_call_keeps_no_reason_of_a_denial(board: Board):
    board.add(denied(OUTSIDER))
    (call,) = board.unexplained()
    board.add(replace(denied(OUTSIDER), result="200"))

    board.explain(call, "no relation allows it")

    assert board.unexplained() == []
    assert "denied: no relation allows it" not in board.page()


def test_calls_over_a_changed_relation_are_forgotten(board: Board):
    board.add(denied(SCRAPER, "POST"))
    board.add(denied(OUTSIDER))

    board.show(replace(SNAPSHOT, policies=POLICIES[:2]))

    assert [call.source for call in board.unexplained()] == [OUTSIDER]


def test_a_snapshot_that_is_the_same_changes_nothing(board: Board):
    assert not board.show(SNAPSHOT)
