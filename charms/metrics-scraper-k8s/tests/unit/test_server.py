"""The program in the container, called over HTTP."""

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
    """A server to scrape, its answer, and the requests that it received."""

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
    """The running program and its URL."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> httpx.Response:
        """Return the response of the program."""
        return httpx.get(self.url + path, timeout=5, trust_env=False)

    def scrapes(self) -> list[dict[str, Any]]:
        """Return the latest scrapes as soon as each target has been scraped."""
        return eventually(
            lambda: self.get("/api/targets").json(),
            lambda scrapes: all(scrape["health"] != "unknown" for scrape in scrapes),
        )

    def stop(self) -> tuple[int, str]:
        """Stop the program as Pebble does, and return its exit status and its log."""
        self.process.send_signal(signal.SIGTERM)
        log, _ = self.process.communicate(timeout=5)
        return self.process.returncode, log


Start = Callable[..., Program]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts the program with some targets."""
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


def eventually(look: Callable[[], Any], accepted: Callable[[Any], bool]) -> Any:
    """Return the first accepted value."""
    seen: Any = None
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if accepted(seen := look()):
            return seen
        time.sleep(0.02)
    raise TimeoutError(f"no accepted value within 10 seconds, last: {seen}")


def test_reads_no_file_and_continues_after_an_invalid_url(
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


def test_shows_the_answer_of_a_target(start: Start, target: Target):
    [scrape] = start(target.url).scrapes()

    assert (scrape["job"], scrape["url"]) == ("metrics", target.url)
    assert (scrape["health"], scrape["code"], scrape["answer"]) == ("up", 200, "up 1\n")
    assert scrape["error"] == ""
    assert scrape["scraped_at"].endswith("+00:00")


def test_target_denied_by_the_mesh_is_down(start: Start, target: Target):
    target.answer = 403, "RBAC: access denied"

    [scrape] = start(target.url).scrapes()

    assert (scrape["health"], scrape["code"]) == ("down", 403)
    assert (scrape["error"], scrape["answer"]) == ("denied", "RBAC: access denied")


def test_403_of_the_target_itself_is_not_shown_as_denied(start: Start, target: Target):
    target.answer = 403, "log in first"

    [scrape] = start(target.url).scrapes()

    assert (scrape["health"], scrape["error"]) == ("down", "403 forbidden")


def test_unreachable_target_is_down(start: Start):
    [scrape] = start(f"http://127.0.0.1:{free_port()}/metrics").scrapes()

    assert (scrape["health"], scrape["code"]) == ("down", None)
    assert scrape["error"] == "connection refused"


def test_closed_connection_is_shown_in_plain_words(start: Start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
        program = start(url)
        listener.accept()[0].close()

        [scrape] = program.scrapes()

    assert scrape["error"] in {
        "remote end closed connection without response",
        "connection reset by peer",
    }


def test_scrapes_each_target_repeatedly(start: Start, target: Target):
    program = start(target.url, interval=0.05)
    program.scrapes()
    target.answer = 500, "broken"

    [scrape] = eventually(program.scrapes, lambda scrapes: scrapes[0]["code"] == 500)

    assert scrape["health"] == "down"
    assert len(target.requests) > 1


def test_uses_the_proxy_that_the_environment_names(start: Start, target: Target):
    proxy = target.url.removesuffix("/metrics")

    [scrape] = start("http://producer.demo.svc/data", HTTP_PROXY=proxy, NO_PROXY="").scrapes()

    assert scrape["health"] == "up"
    assert target.requests == ["http://producer.demo.svc/data"]


def test_page_escapes_the_answer_of_a_target(start: Start, target: Target):
    target.answer = 200, "<script>alert(1)</script>"
    program = start(target.url)
    program.scrapes()

    page = program.get("/").text

    assert target.url in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>" not in page


def test_page_names_the_scraper_and_shows_each_result(start: Start, target: Target):
    target.answer = 403, "RBAC: access denied"
    program = start(target.url)
    [scrape] = program.scrapes()

    page = program.get("/").text

    assert "<h1>Targets of scraper in model demo</h1>" in page
    assert '<td class="state">denied<' in page
    assert f">{scrape['scraped_at'][11:19]}<" in page
    assert f">{scrape['duration'] * 1000:.1f} ms<" in page


@pytest.mark.parametrize(("length", "shown"), [(120, "x" * 120), (121, "x" * 120 + "…")])
def test_page_cuts_a_long_answer_short(start: Start, target: Target, length: int, shown: str):
    target.answer = 200, "x" * length
    program = start(target.url)
    program.scrapes()

    assert f"<code>{shown}</code>" in program.get("/").text


def test_page_without_targets_says_how_to_get_some(start: Start):
    program = start()

    assert program.scrapes() == []
    assert "No targets: integrate metrics or data." in program.get("/").text


def test_serves_its_health_and_rejects_unknown_paths(start: Start):
    program = start()

    assert program.get("/health").json() == {"version": "1.2.3"}
    assert program.get("/other").status_code == 404


def test_logs_scrapes_and_requests_and_stops_on_sigterm(start: Start, target: Target):
    program = start(target.url)
    program.scrapes()
    program.get("/health")

    status, log = program.stop()

    assert status == 0
    assert f"up {target.url}\n" in log
    assert "127.0.0.1 'GET /health HTTP/1.1' 200\n" in log
