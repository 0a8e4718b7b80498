"""The live page in a browser: calls, changes and the end of a run appear on it."""

from dataclasses import replace

from playwright.sync_api import expect

from mesh_map.live.board import Board
from mesh_map.live.server import Server
from tests.browser.conftest import OpenPage
from tests.example import NO_RELATION, OUTSIDER, POLICIES, SCRAPER, SNAPSHOT, denied

DATA = ".access.allowed[role=button]:visible:has-text('relation data')"
expect.set_options(timeout=60_000)


def test_a_call_moves_along_its_edge_and_is_listed(
    open_page: OpenPage, board: Board, server: Server
):
    page = open_page(server.url)
    page.locator(DATA).click()

    board.add(replace(denied(SCRAPER), result="200"))

    expect(page.locator("#details")).to_contain_text("12:00:00 GET producer:8080/data: 200")
    page.wait_for_selector(".access.allowed .dot", state="attached")
    page.wait_for_selector(".dot", state="detached")


def test_a_first_denied_call_adds_an_edge(open_page: OpenPage, board: Board, server: Server):
    page = open_page(server.url)
    edge = page.locator(".access.denied[role=button]:visible")
    expect(edge).to_have_count(0)

    board.add(denied(OUTSIDER, reason="no policy allows it"))

    expect(edge).to_contain_text("denied: no relation allows it")


def test_the_reason_of_the_mesh_takes_the_place_of_the_log(
    open_page: OpenPage, board: Board, server: Server
):
    page = open_page(server.url)
    board.add(denied(OUTSIDER, reason="no policy allows it"))
    page.locator(".access.denied[role=button]:visible").click()

    (call,) = board.unexplained()
    board.explain(call, NO_RELATION)

    expect(page.locator("#details")).to_contain_text(NO_RELATION)
    assert board.unexplained() == []


def test_a_removed_relation_fades_its_edge(open_page: OpenPage, board: Board, server: Server):
    page = open_page(server.url)
    expect(page.locator(DATA)).to_have_count(1)

    board.show(replace(SNAPSHOT, relations=SNAPSHOT.relations[1:], policies=POLICIES[:2]))

    page.wait_for_selector(".access.gone[role=button]:visible")
    expect(page.locator(DATA)).to_have_count(0)
    expect(page.locator(".access.allowed[role=button]:visible")).to_have_count(1)


def test_the_focus_stays_on_an_edge_as_the_map_changes(
    open_page: OpenPage, board: Board, server: Server
):
    page = open_page(server.url)
    page.locator(DATA).focus()

    board.add(denied(OUTSIDER))

    expect(page.locator(".access.denied[role=button]:visible")).to_have_count(1)
    expect(page.locator(DATA)).to_be_focused()


def test_calm_pages_do_not_move(open_page: OpenPage, board: Board, server: Server):
    page = open_page(server.url, calm=True)

    board.add(replace(denied(SCRAPER), result="200"))

    expect(page.locator("tr[data-access] .calls li")).to_have_count(1)
    assert page.locator(".dot").count() == 0


def test_calls_of_before_are_on_a_page_that_is_opened_later(
    open_page: OpenPage, board: Board, server: Server
):
    board.add(denied(OUTSIDER))

    page = open_page(server.url)

    expect(page.locator("tr[data-access] .calls li.denied")).to_have_count(1)
