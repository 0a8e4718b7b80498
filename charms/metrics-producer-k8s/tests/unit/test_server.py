"""The program in the container, called over HTTP."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import server


@dataclass
class Program:
    """The running program and its ports."""

    process: subprocess.Popen[str]
    metrics_port: int
    data_port: int

    def stop(self) -> tuple[int, str]:
        """Stop the program as Pebble does, and return its exit status and its log."""
        self.process.send_signal(signal.SIGTERM)
        log, _ = self.process.communicate(timeout=5)
        return self.process.returncode, log


@pytest.fixture
def program() -> Iterator[Program]:
    metrics_port, data_port = free_port(), free_port()
    environment = {
        **os.environ,
        "BIND_ADDRESS": "127.0.0.1",
        "METRICS_PORT": str(metrics_port),
        "DATA_PORT": str(data_port),
        "VERSION": "1.2.3",
    }
    with subprocess.Popen(
        [sys.executable, server.__file__], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for(metrics_port)
        wait_for(data_port)
        yield Program(process, metrics_port, data_port)
        process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"port {port} was not opened within 10 seconds")


def call(port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, body)
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def test_metrics_count_the_requests_that_reached_the_unit(program: Program):
    call(program.data_port, "GET", "/data")
    call(program.data_port, "GET", "/data?since=yesterday")

    status, metrics = call(program.metrics_port, "GET", "/metrics")

    assert status == 200
    labels = f'port="{program.data_port}",method="GET",path="/data"'
    assert f"producer_requests_total{{{labels}}} 2\n" in metrics
    assert 'producer_build_info{version="1.2.3"} 1\n' in metrics


def test_unknown_paths_are_counted_together(program: Program):
    call(program.data_port, "GET", "/one")
    call(program.data_port, "GET", "/two")

    _, metrics = call(program.metrics_port, "GET", "/metrics")

    assert f'{{port="{program.data_port}",method="GET",path="other"}} 2\n' in metrics
    assert "/one" not in metrics


def test_posted_item_is_returned(program: Program):
    assert call(program.data_port, "GET", "/data") == (200, '{"items": []}\n')

    status, _ = call(program.data_port, "POST", "/data", "hello")

    assert status == 201
    assert call(program.data_port, "GET", "/data") == (200, '{"items": ["hello"]}\n')


def test_only_the_latest_100_items_are_kept(program: Program):
    for number in range(101):
        call(program.data_port, "POST", "/data", str(number))

    _, answer = call(program.data_port, "GET", "/data")

    items = json.loads(answer)["items"]
    assert (len(items), items[0], items[-1]) == (100, "1", "100")


def test_admin_answers_every_caller(program: Program):
    call(program.data_port, "GET", "/data")

    status, answer = call(program.data_port, "GET", "/admin")

    assert status == 200
    assert [program.data_port, "GET", "/data", 1] in json.loads(answer)["calls"]


@pytest.mark.parametrize(
    ("port", "method", "path"),
    [
        ("metrics_port", "GET", "/data"),
        ("metrics_port", "POST", "/metrics"),
        ("data_port", "GET", "/metrics"),
        ("data_port", "DELETE", "/data"),
        ("data_port", "POST", "/admin"),
    ],
)
def test_unknown_method_or_path_is_not_found(program: Program, port: str, method: str, path: str):
    status, _ = call(getattr(program, port), method, path)

    assert status == 404


@pytest.mark.parametrize(
    "headers",
    ["Content-Length: 100000", "Content-Length: -1", "Transfer-Encoding: chunked"],
)
def test_body_without_a_valid_length_closes_the_connection(program: Program, headers: str):
    with socket.create_connection(("127.0.0.1", program.data_port), timeout=5) as client:
        client.sendall(f"POST /data HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert call(program.data_port, "GET", "/data") == (200, '{"items": []}\n')


def test_connection_serves_several_requests(program: Program):
    connection = http.client.HTTPConnection("127.0.0.1", program.data_port, timeout=5)
    answers: list[str] = []
    for method, body in (("POST", "one"), ("POST", "two"), ("GET", None)):
        connection.request(method, "/data", body)
        answers.append(connection.getresponse().read().decode())
    connection.close()

    assert answers == ['{"items": 1}\n', '{"items": 2}\n', '{"items": ["one", "two"]}\n']


def test_logs_one_line_per_request_and_stops_on_sigterm(program: Program):
    call(program.data_port, "GET", "/data")
    call(program.data_port, "GET", "/nothing")

    status, log = program.stop()

    assert status == 0
    assert [line for line in log.splitlines() if "HTTP" in line] == [
        "127.0.0.1 'GET /data HTTP/1.1' 200",
        "127.0.0.1 'GET /nothing HTTP/1.1' 404",
    ]
