"""The cost of a large map, and the time from a call to its appearance on the page.

    python map/benchmarks [CALLS]

The second figure needs a Chromium, and the tests beside this folder for the example.
"""

import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright

from mesh_map.drawing import picture
from mesh_map.live.board import Board
from mesh_map.live.server import Server
from mesh_map.page import page
from tests.example import SCRAPER, SNAPSHOT, denied
from tests.test_picture import many

_APPLICATIONS = 100
_CALLS = 200
_BETWEEN = 0.05
"""Seconds between two calls."""
_WATCH = """
window.seen = [];
new MutationObserver(() => {
  for (const item of document.querySelectorAll("tr .calls li:not([data-seen])")) {
    item.dataset.seen = "";
    window.seen.push([item.textContent, performance.timeOrigin + performance.now()]);
  }
}).observe(document.getElementById("tables"), { childList: true, subtree: true });
"""


def main() -> None:
    """Print the figures."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else _CALLS
    start = time.perf_counter()
    drawn = many(_APPLICATIONS)
    middle = time.perf_counter()
    picture.draw(drawn)
    end = time.perf_counter()
    print(f"{_APPLICATIONS} applications, {len(drawn.accesses)} accesses")
    print(f"derive: {(middle - start) * 1000:.0f} ms, draw: {(end - middle) * 1000:.0f} ms")
    print(f"page: {len(page.render(drawn, {}, '')) / 1000:.0f} kB")
    if not (program := shutil.which("chromium")):
        print("no Chromium, so no time from a call to its appearance")
        return
    delays = sorted(_delays(program, calls))
    last = delays[int(len(delays) * 0.99) - 1]
    print(f"{len(delays)} calls: median {statistics.median(delays):.0f} ms, p99 {last:.0f} ms")


def _delays(program: str, calls: int) -> Iterator[float]:
    """Yield the milliseconds from each call to its appearance on the page."""
    board = Board("Live.")
    board.show(SNAPSHOT)
    server = Server(board)
    server.start()
    with sync_playwright() as playwright:
        options = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        shown = browser.new_page()
        shown.goto(server.url)
        shown.wait_for_timeout(1000)
        shown.evaluate(_WATCH)
        made = dict(_make(board, calls))
        shown.wait_for_timeout(2000)
        seen: list[tuple[str, float]] = shown.evaluate("window.seen")
        browser.close()
    server.stop()
    for text, at in seen:
        yield at - made[text.partition(" ")[0]]


def _make(board: Board, calls: int) -> Iterator[tuple[str, float]]:
    """Make calls, and yield the name and the time of each one."""
    for number in range(calls):
        call = replace(denied(SCRAPER), result="200", time=str(number))
        yield str(number), time.time() * 1000
        board.add(call)
        time.sleep(_BETWEEN)


if __name__ == "__main__":
    main()
