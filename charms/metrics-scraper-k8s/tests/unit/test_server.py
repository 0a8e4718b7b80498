"""The program, over real HTTP."""

import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import server

Answer = tuple[int, str]


@dataclass
class Target:
    """A server to scrape: the answer that it gives, and the requests that it got."""

    url: str
    answer: Answer
    requests: list[str]


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target("", (200, "up 1\n"), [])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target.requests.append(self.path)
            status, body = target.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's)
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        target.url = f"http://127.0.0.1:{listener.server_port}/metrics"
        threading.Thread(target=listener.serve_forever, args=(0.01,), daemon=True).start()
        yield target
        listener.shutdown()


@dataclass
class Program:
    """The program, which runs, and where it listens."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> httpx.Response:
        """Return what the program answers."""
        return httpx.get(self.url + path, timeout=5, trust_env=False)

    def scrapes(self) -> list[dict[str, Any]]:
        """Return the latest scrapes, when each target has been scraped."""
        return eventually(
            lambda: self.get("/api/targets").json(),
            lambda scrapes: all(scrape["health"] != "unknown" for scrape in scrapes),
        )

    def stop(self) -> tuple[int, str]:
        """End it as Pebble does, and return its exit status and its log."""
        self.process.send_signal(signal.SIGTERM)
        log, _ = self.process.communicate(timeout=5)
        return self.process.returncode, log


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program on some targets."""
    processes: list[subprocess.Popen[str]] = []

    def start(*urls: str, interval: float = 60, **environment: str) -> Program:
        port = free_port()
        settings = {
            "NAME": "scraper in model demo",
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": str(port),
            "TARGETS": json.dumps([{"job": "metrics", "url": url} for url in urls]),
            "INTERVAL": str(interval),
            "VERSION": "1.2.3",
        }
        process = subprocess.Popen(
            [sys.executable, server.__file__],
            env={**os.environ, **settings, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        eventually(lambda: listens(port), bool)
        return Program(process, f"http://127.0.0.1:{port}")

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def eventually(look: Callable[[], Any], well: Callable[[Any], bool]) -> Any:
    """Return what is seen, as soon as it is well."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if well(seen := look()):
            return seen
        time.sleep(0.02)
    raise TimeoutError("it did not come to be")


def test_reads_no_file_and_goes_on_after_what_is_no_url(
    start: Start, target: Target, tmp_path: pathlib.Path
):
    secret = tmp_path / "token"
    secret.write_text("secret")

    file, bare, broken, good = start(
        secret.as_uri(), "nonsense", "http://[::1", target.url
    ).scrapes()

    assert (file["health"], file["answer"], file["error"]) == ("down", "", "not an http URL")
    assert (bare["health"], bare["error"]) == ("down", "not an http URL")
    assert (broken["health"], broken["error"]) == ("down", "invalid ipv6 url")
    assert good["health"] == "up"


def test_shows_what_a_target_answered(start: Start, target: Target):
    [scrape] = start(target.url).scrapes()

    assert (scrape["job"], scrape["url"]) == ("metrics", target.url)
    assert (scrape["health"], scrape["code"], scrape["answer"]) == ("up", 200, "up 1\n")
    assert scrape["error"] == ""
    assert scrape["scraped_at"].endswith("+00:00")


def test_shows_a_target_that_the_mesh_denies_as_down(start: Start, target: Target):
    target.answer = 403, "RBAC: access denied"

    [scrape] = start(target.url).scrapes()

    assert (scrape["health"], scrape["code"]) == ("down", 403)
    assert (scrape["error"], scrape["answer"]) == ("denied", "RBAC: access denied")


def test_does_not_blame_the_mesh_for_what_a_target_answers_itself(start: Start, target: Target):
    target.answer = 403, "log in first"

    [scrape] = start(target.url).scrapes()

    assert (scrape["health"], scrape["error"]) == ("down", "403 forbidden")


def test_shows_a_target_that_is_away_as_down(start: Start):
    [scrape] = start(f"http://127.0.0.1:{free_port()}/metrics").scrapes()

    assert (scrape["health"], scrape["code"]) == ("down", None)
    assert scrape["error"] == "connection refused"


def test_says_in_plain_words_that_a_target_hangs_up(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
        program = start(url)
        listener.accept()[0].close()

        [scrape] = program.scrapes()

    assert scrape["error"] in {
        "remote end closed connection without response",
        "connection reset by peer",
    }


def test_scrapes_each_target_again_and_again(start: Start, target: Target):
    program = start(target.url, interval=0.05)
    program.scrapes()
    target.answer = 500, "broken"

    [scrape] = eventually(program.scrapes, lambda scrapes: scrapes[0]["code"] == 500)

    assert scrape["health"] == "down"
    assert len(target.requests) > 1


def test_calls_through_the_proxy_of_its_environment(start: Start, target: Target):
    proxy = target.url.removesuffix("/metrics")

    [scrape] = start("http://producer.demo.svc/data", HTTP_PROXY=proxy, NO_PROXY="").scrapes()

    assert scrape["health"] == "up"
    assert target.requests == ["http://producer.demo.svc/data"]


def test_page_shows_each_target_and_trusts_no_answer(start: Start, target: Target):
    target.answer = 200, "<script>alert(1)</script>"
    program = start(target.url)
    program.scrapes()

    page = program.get("/").text

    assert target.url in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>" not in page


def test_page_says_whose_it_is_and_what_came_of_each_target(start: Start, target: Target):
    target.answer = 403, "RBAC: access denied"
    program = start(target.url)
    [scrape] = program.scrapes()

    page = program.get("/").text

    assert "<h1>Targets of scraper in model demo</h1>" in page
    assert '<td class="state">denied<' in page
    assert f">{scrape['scraped_at'][11:19]}<" in page
    assert f">{scrape['duration'] * 1000:.1f} ms<" in page


@pytest.mark.parametrize(("length", "shown"), [(120, "x" * 120), (121, "x" * 120 + "…")])
def test_page_shows_of_a_long_answer_the_beginning(
    start: Start, target: Target, length: int, shown: str
):
    target.answer = 200, "x" * length
    program = start(target.url)
    program.scrapes()

    assert f"<code>{shown}</code>" in program.get("/").text


def test_without_targets_the_page_says_what_to_do(start: Start):
    program = start()

    assert program.scrapes() == []
    assert "No targets: relate metrics or data." in program.get("/").text


def test_health_is_answered_and_other_paths_are_not_found(start: Start):
    program = start()

    assert program.get("/health").json() == {"version": "1.2.3"}
    assert program.get("/other").status_code == 404


def test_logs_each_scrape_and_request_and_ends_well_on_sigterm(start: Start, target: Target):
    program = start(target.url)
    program.scrapes()
    program.get("/health")

    status, log = program.stop()

    assert status == 0
    assert f"up {target.url}\n" in log
    assert "127.0.0.1 'GET /health HTTP/1.1' 200\n" in log
