"""`juju-rehearsal run`: its report about a bundle, and its exit status."""

import contextlib
import io
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rehearsal.commands.run import run
from rehearsal.rehearsal import Rehearsal

ROOT = Path(__file__).parents[2]
FAILING = """import json

import ops
import pydantic


class Limits(pydantic.BaseModel):
    size: int
    name: str


class Failing(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        {}
"""
Done = subprocess.CompletedProcess[str]
WriteBundle = Callable[..., Path]
Server = Callable[[int, int], str]


def rehearse(bundle: Path | str, *options: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "rehearsal", "run", str(bundle), *options],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


def cells(printed: str, call: str, number: int = 0) -> list[str]:
    """Return a row of the table: the results of the n-th line that begins with a call."""
    rows = [line for line in printed.splitlines() if line.strip().startswith(call)]
    return re.split(r"\s{2,}", rows[number].strip())[1:]


@dataclass(frozen=True)
class Demo:
    """The demo, run in this process: its report, and the log of the mesh."""

    status: int
    printed: str
    logged: list[Mapping[str, Any]]


@pytest.fixture(scope="module")
def demo() -> Demo:
    with Rehearsal() as rehearsal, contextlib.redirect_stdout(io.StringIO()) as printed:
        status = run(rehearsal, str(ROOT / "bundles" / "demo.yaml"), [], timeout=60)
        logged = read(rehearsal.access_log)
    return Demo(status, printed.getvalue(), logged)


def read(log: Path) -> list[Mapping[str, Any]]:
    """Return the log of the mesh after it has stopped growing."""
    text, before = log.read_text(), ""
    while text != before:
        time.sleep(0.3)  # Envoy writes more often than that
        before, text = text, log.read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("call", "scraper", "others"),
    [
        ("GET :8080 /data", "200", "denied"),
        ("POST :8080 /data", "denied", "denied"),
        ("GET :8080 /other", "denied", "denied"),
        ("GET :9090 /metrics", "200", "denied"),
        ("POST :9090 /metrics", "denied", "denied"),
        ("GET :9090 /other", "denied", "denied"),
        ("unit :9090", "200", "denied"),
    ],
)
def test_each_call_that_a_policy_names_has_a_denied_twin(
    demo: Demo, call: str, scraper: str, others: str
):
    assert cells(demo.printed, call) == [scraper, others]


def test_the_demo_settles_and_fits_a_terminal_of_100_columns(demo: Demo):
    assert demo.status == 0, demo.printed
    assert max(map(len, demo.printed.splitlines())) <= 100
    assert "Not active" not in demo.printed


def test_the_version_of_ops_is_named_for_each_application(demo: Demo):
    named = re.findall(r"^  (\w+): ops \d", demo.printed, re.M)
    assert named == ["mesh", "outsider", "producer", "scraper"]


def test_each_policy_is_told_in_words(demo: Demo):
    text = demo.printed.partition("policies in force")[2]
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "every pod ALLOW nothing" in lines
    assert "mesh-allow-nothing" in lines
    assert "Service producer ALLOW scraper: GET /data on 8080" in lines
    assert "pods name=producer ALLOW scraper: port 9090" in lines
    assert "Not on the mesh" not in demo.printed


def test_an_application_off_the_mesh_is_named_in_80_columns(
    write_bundle: WriteBundle, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    write_bundle({})  # for its charm
    charm = str(tmp_path / "plain")
    stranger = {"charm": charm, "scale": 1, "resources": {"image": "any"}}
    options = {"options": {"program": server(8000, 200)}}
    overlay = tmp_path / "stranger.yaml"
    overlay.write_text(json.dumps({"applications": {"stranger": stranger | options}}))
    monkeypatch.setenv("COLUMNS", "80")

    done = rehearse("bundles/demo.yaml", "--overlay", str(overlay))

    assert "Not on the mesh, so open to every caller\n  stranger\n\n" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout


def test_what_is_called_denied_was_denied_in_envoy(demo: Demo):
    others = [entry for entry in demo.logged if entry["path"] == "/other"]

    assert len(others) >= 8  # four callers, on two ports of the Service
    assert {entry["code"] for entry in others} == {403}
    assert {entry["details"] for entry in others} == {"rbac_access_denied_matched_policy[none]"}


def test_a_bundle_runs_on_juju_4(write_bundle: WriteBundle):
    bundle = write_bundle({"web": {}, "db": {}}, relations=[["web:backend", "db:site"]])

    done = rehearse(bundle, "--juju", "4")

    assert done.returncode == 0, done.stderr
    assert cells(done.stdout, "GET :8000 /") == ["200"]


def test_an_applications_own_refusal_is_not_taken_for_a_denial(
    write_bundle: WriteBundle, server: Server
):
    refusing = {"options": {"program": server(8000, 403)}}

    done = rehearse(write_bundle({"open": {}, "refusing": refusing}))

    assert done.returncode == 0, done.stderr
    assert [cells(done.stdout, "GET :8000 /", n) for n in (0, 1)] == [["200"], ["403"]]
    assert "No policies" in done.stdout


def test_a_missing_program_is_named_and_the_rest_runs(write_bundle: WriteBundle):
    absent = {"options": {"program": "no-such-program"}}

    done = rehearse(write_bundle({"absent": absent, "there": {}}))

    assert done.returncode == 0
    assert "absent/0: no-such-program is not on this machine" in done.stdout
    assert [cells(done.stdout, "GET :8000 /", n) for n in (0, 1)] == [["no answer"], ["200"]]
    assert "the mesh has let the call through, and nothing listens at the port" in done.stdout


OF_AN_IMAGE = """
import ops

class OfAnImage(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on["web"].pebble_ready, self._on_ready)

    def _on_ready(self, event):
        service = {{"override": "merge", "command": "/bin/no-such-server"{}}}
        event.workload.add_layer("mine", {{"services": {{"mine": service}}}}, combine=True)
        event.workload.replan()
        try:
            event.workload.exec(["no-such-tool"])
        except ops.pebble.APIError:
            raise RuntimeError("no server")
"""


@pytest.mark.parametrize("startup", ["", ', "startup": "enabled"'])
def test_a_failed_hook_is_told_with_what_its_image_lacks(
    write_bundle: WriteBundle, tmp_path: Path, startup: str
):
    bundle = write_bundle({"web": {}})
    (tmp_path / "plain" / "src" / "charm.py").write_text(OF_AN_IMAGE.format(startup))

    done = rehearse(bundle)

    told = " ".join(done.stdout.split())
    assert "RuntimeError: no server" in told
    assert "/bin/no-such-server is not on this machine: service mine of container web" in told
    assert "no-such-tool is not on this machine: a command in container web is left out" in told
    assert ("container web has no enabled service to start" in told) is (not startup)


@pytest.mark.parametrize(
    "call", ['get_service("of-image")', 'start("of-image")', 'get_service("mine")']
)
def test_a_service_that_only_an_image_can_bring_is_told(
    write_bundle: WriteBundle, tmp_path: Path, call: str
):
    bundle = write_bundle({"web": {}})
    code = OF_AN_IMAGE.format("").replace('exec(["no-such-tool"])', call)
    (tmp_path / "plain" / "src" / "charm.py").write_text(code.replace("APIError", "ExecError"))

    done = rehearse(bundle)

    told = " ".join(done.stdout.split())
    assert ("services and layers of images are left out" in told) is ("of-image" in call)


def silence(done: Done) -> str:
    """Return the report about workloads that do not answer, in one line."""
    return " ".join(done.stdout.partition("No answer\n")[2].split())


def test_a_workload_that_exits_is_told_with_its_last_line(write_bundle: WriteBundle):
    broken = {"options": {"program": f"{sys.executable} -c 'raise SystemExit(\"no disk\")'"}}

    done = rehearse(write_bundle({"broken": broken, "there": {}}))

    line = r"broken-0, web\.web: exited with code 1, restarted (.*); its last line: no disk"
    told = re.fullmatch(line, silence(done))
    assert told
    assert re.fullmatch(r"once|\d+ times", told[1])


def test_a_workload_on_another_address_is_told_where_to_listen(write_bundle: WriteBundle):
    port = free_port()
    program = f"{sys.executable} -m http.server --bind 127.0.0.1 {port}"

    done = rehearse(write_bundle({"lonely": {"options": {"program": program, "port": port}}}))

    advice = "it has to listen on the address in $BIND_ADDRESS"
    assert f"lonely-0, web.web: listens on 127.0.0.1:{port}; {advice}" in silence(done)


def test_a_workload_on_the_meshs_port_gets_advice(write_bundle: WriteBundle):
    port = free_port()
    code = f'import socket, time; time.sleep(2); socket.create_server(("0.0.0.0", {port}))'
    options = {"program": f"{sys.executable} -c '{code}'", "port": port}

    done = rehearse(write_bundle({"greedy": {"options": options}}))

    assert "Address already in use" in silence(done)
    assert silence(done).endswith("; it has to listen on the address in $BIND_ADDRESS")


def test_a_workload_that_listens_nowhere_is_told(write_bundle: WriteBundle):
    done = rehearse(write_bundle({"idle": {"options": {"program": "sleep 600"}}}))

    assert silence(done) == "idle-0, web.web: listens on no port"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_unit_in_error_is_named_with_its_cause(write_bundle: WriteBundle):
    done = rehearse(write_bundle({"bad": {"options": {"hook": "raises"}}, "good": {}}))

    assert done.returncode == 1
    assert 'bad/0 is error: hook failed: "web-pebble-ready": RuntimeError: told to raise' in (
        done.stdout
    )
    assert "(src/charm.py:14)" in done.stdout
    assert cells(done.stdout, "GET :8000 /") == ["200"]


@pytest.mark.parametrize(
    ("statement", "errors"),
    [
        ('json.loads("{")', ["JSONDecodeError: Expecting property name", "(src/charm.py:15)"]),
        (
            'Limits(size="many")',
            [
                "ValidationError: 2 validation errors for Limits; size: Input should be a valid ",
                "; name: Field required [type=missing",
                " (src/charm.py:15)",
            ],
        ),
        ("print(", ["SyntaxError: '(' was never closed (src/charm.py:15)"]),
    ],
    ids=["in a library", "of pydantic", "of syntax"],
)
def test_the_cause_of_an_error_is_told_with_the_charms_own_line(
    write_bundle: WriteBundle, tmp_path: Path, statement: str, errors: Sequence[str]
):
    bundle = write_bundle({"bad": {}})
    (tmp_path / "plain" / "src" / "charm.py").write_text(FAILING.format(statement))

    done = rehearse(bundle)

    line = " ".join(done.stdout.split())
    assert [each for each in ("bad/0 is error: hook failed: ", *errors) if each not in line] == []
    assert "For further information" not in line


def test_a_unit_that_is_blocked_is_named_before_the_calls(write_bundle: WriteBundle):
    done = rehearse(write_bundle({"stuck": {"options": {"hook": "blocks"}}, "good": {}}))

    assert done.returncode == 1
    assert "stuck/0 is blocked: told to block" in done.stdout
    assert done.stdout.index("Not active") < done.stdout.index("GET :8000 /")


def test_an_application_without_units_is_named(write_bundle: WriteBundle):
    done = rehearse(write_bundle({"empty": {"scale": 0}, "good": {}}))

    assert done.returncode == 0
    assert "No units, since scale is 0\n  empty\n" in done.stdout


def test_what_results_mean_is_said_of_those_that_came(demo: Demo):
    legend = demo.printed.partition("Results\n")[2].partition("\n\n")[0]

    words = [re.split(r"\s{2,}", line.strip())[0] for line in legend.splitlines()]
    assert words == ["a number", "denied"]


def test_what_does_not_settle_is_named(write_bundle: WriteBundle):
    bundle = write_bundle({"slow": {"options": {"hook": "hangs"}}})

    done = rehearse(bundle, "--timeout", "3")

    assert done.returncode == 1
    assert "Model plain has not settled in 3 s." in done.stdout
    assert "slow/0 is maintenance (executing running web-pebble-ready hook)" in done.stdout


def test_overlays_are_laid_over_the_bundle_in_their_order(
    write_bundle: WriteBundle, server: Server, tmp_path: Path
):
    bundle = write_bundle({"first": {}, "second": {}})
    options: list[str] = []
    for name, status in (("a", 201), ("b", 202)):
        over = {"applications": {"first": {"options": {"program": server(8000, status)}}}}
        (tmp_path / name).write_text(json.dumps(over))
        options += ["--overlay", str(tmp_path / name)]

    done = rehearse(bundle, *options)

    assert [cells(done.stdout, "GET :8000 /", n) for n in (0, 1)] == [["202"], ["200"]]


@pytest.mark.parametrize(
    ("apps", "more", "message"),
    [
        ({"web": {"charm": "./missing"}}, {}, 'charm path in application "web" does not exist'),
        (
            {"web": {}, "db": {}},
            {"relations": [["web:nothing", "db:site"]]},
            'no "nothing" relation',
        ),
        ({"web": {}, "db": {}}, {"relations": [["web", "db"]]}, "ambiguous relation"),
        ({"web": {"options": {"port": "many"}}}, {}, 'option "port" expected int'),
        (
            {"web": {}},
            {"saas": {"far": {"url": "other.far"}}, "relations": [["web:backend", "far:site"]]},
            "other",
        ),
    ],
    ids=["charm", "endpoint", "ambiguous", "config", "offer"],
)
def test_a_mistake_gets_jujus_message_and_exit_status(
    write_bundle: WriteBundle, apps: Mapping[str, Any], more: Mapping[str, Any], message: str
):
    done = rehearse(write_bundle(apps, **more))

    assert done.returncode == 1
    assert done.stderr.startswith("ERROR cannot deploy bundle: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_that_is_not_there_is_named():
    done = rehearse("no-such.yaml")

    assert done.returncode == 1
    assert 'no charm was found at "no-such.yaml"' in done.stderr


def test_a_charm_alone_has_the_image_that_it_names(write_bundle: WriteBundle, tmp_path: Path):
    write_bundle({})  # for its charm
    file = tmp_path / "plain" / "charmcraft.yaml"

    refused = rehearse(tmp_path / "plain")
    text = file.read_text()
    file.write_text(text.replace("oci-image}", "oci-image, upstream-source: some/image}"))
    done = rehearse(tmp_path / "plain", "--timeout", "60")

    assert refused.returncode == 1
    assert "local charm missing OCI images for: image\nName an image with" in refused.stderr
    assert "missing OCI images" not in done.stderr
    assert "Model plain has settled" in done.stdout


def test_a_charm_alone_is_given_an_image(write_bundle: WriteBundle, tmp_path: Path):
    write_bundle({})  # for its charm

    done = rehearse(tmp_path / "plain", "--resource", "image=some/image", "--timeout", "60")

    assert "missing OCI images" not in done.stderr
    assert "Model plain has settled" in done.stdout
