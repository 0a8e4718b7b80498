"""The demo as `make demo` runs it: its verdict, and the evidence for each cell."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rehearsal.juju.version import VERSIONS

ROOT = Path(__file__).parents[2]
STORY = f"exec {sys.executable} -m demo"
RESULTS = 56


def tell(
    folder: Path, kept: Path, patience: float, *options: str
) -> "subprocess.CompletedProcess[str]":
    """Run the demo of a checkout, and keep the files of the run."""
    story = f"(cd {folder}; {STORY} --patience {patience} --map {kept / 'map'})"
    keep = f"sleep 0.2; cp -r $REHEARSAL_DIRECTORY/mesh $REHEARSAL_DIRECTORY/pods {kept}"
    return rehearse(f"{story}; s=$?; {keep}; exit $s", *options)


def rehearse(script: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script on a rehearsal."""
    return subprocess.run(
        [sys.executable, "-m", "rehearsal", "exec", *options, "sh", "-c", script],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Return a version of Juju."""
    return request.param


@pytest.fixture(scope="module")
def kept(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def told(version: str, kept: Path) -> "subprocess.CompletedProcess[str]":
    return tell(ROOT, kept, 15, "--juju", version)


def answers(kept: Path) -> list[dict[str, Any]]:
    """Return the mesh's log entry of each request to the producer."""
    lines = (kept / "mesh" / "access.log").read_text().splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [e for e in entries if re.match("(service|pod)/demo/producer", e["listener"])]


def requests(kept: Path, codes: set[int]) -> Counter[str]:
    """Count each request to the producer that got one of these codes."""
    found = (e for e in answers(kept) if e["code"] in codes)
    return Counter(f"{e['method']} {e['path']}" for e in found)


def reached(kept: Path) -> Counter[str]:
    """Count each request in the producers' own logs, except health checks."""
    logs = [path.read_text() for path in (kept / "pods").rglob("producer.producer.log")]
    lines = [line.split("'")[1] for log in logs for line in log.splitlines()]
    return Counter(line.rpartition(" ")[0] for line in lines if "/health" not in line)


def test_every_cell_is_as_expected(told: "subprocess.CompletedProcess[str]"):
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"All {RESULTS} results are as expected" in told.stdout.splitlines()[-1]


def test_the_output_fits_a_terminal_of_100_columns(told: "subprocess.CompletedProcess[str]"):
    assert max(map(len, told.stdout.splitlines())) <= 100


@pytest.mark.usefixtures("told")
def test_the_picture_in_the_readme_is_up_to_date(kept: Path):
    # If the demo or the drawing changed: cp .rehearsal/map.svg docs/map.svg after `make demo`.
    assert (kept / "map" / "map.svg").read_text() == (ROOT / "docs" / "map.svg").read_text()


def test_the_demo_ends_with_the_address_of_its_page(
    told: "subprocess.CompletedProcess[str]", kept: Path
):
    page = kept / "map" / "map.html"

    assert page.as_uri() in told.stdout
    assert "denied: no relation allows it" in page.read_text()


@pytest.mark.usefixtures("told")
def test_every_denial_comes_from_a_policy_in_envoy(kept: Path):
    denied = [entry for entry in answers(kept) if entry["code"] == 403]

    assert len(denied) > RESULTS
    assert {e["details"] for e in denied} == {"rbac_access_denied_matched_policy[none]"}


@pytest.mark.usefixtures("told")
def test_exactly_the_allowed_calls_reach_the_workload(kept: Path):
    # The caller of a call without a code gave up. The workload may have got it.
    answered, let_through = requests(kept, {200}), requests(kept, {200, 0})

    assert answered <= reached(kept) <= let_through
    assert set(reached(kept)) == {"GET /metrics", "GET /data"}


@pytest.mark.usefixtures("told")
def test_every_allowed_call_has_an_identity_and_a_policy(kept: Path):
    # No policy decides before the producer has joined the mesh and after the mesh is removed.
    allowed = [entry for entry in answers(kept) if entry["code"] == 200 and entry["policy"]]

    models = ("demo", "demo-remote")
    scrapers = {f"spiffe://cluster.local/ns/{model}/sa/scraper" for model in models}
    assert {e["principal"] for e in allowed} == scrapers
    assert all(e["policy"].startswith("demo/mesh-demo-policy-scraper-demo-") for e in allowed)


@pytest.mark.parametrize(("seed", "juju"), [("1", "3.6"), ("2", "4")])
def test_the_order_of_hooks_does_not_matter(tmp_path: Path, seed: str, juju: str):
    told = tell(ROOT, tmp_path, 15, "--seed", seed, "--juju", juju)

    assert told.returncode == 0, told.stdout + told.stderr


def test_without_istio_calls_are_decided_by_pod_and_port(tmp_path: Path, version: str):
    told = tell(ROOT, tmp_path, 15, "--without-istio", "--juju", version)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "methods and paths are not enforced" in told.stdout
    assert f"All {RESULTS} results are as expected" in told.stdout.splitlines()[-1]
    assert {entry["principal"] for entry in answers(tmp_path)} == {None}


DEPLOY = """
set -e
juju add-model demo
juju deploy ./bundles/demo.yaml --trust
{python} -c 'import jubilant; from demo import patience; patience.settle(jubilant.Juju(), 300)'
{python} -m demo map --map {folder}
"""


def test_a_deployed_demo_is_drawn_with_its_calls(tmp_path: Path):
    script = DEPLOY.format(python=sys.executable, folder=tmp_path / "map")

    told = rehearse(script)

    page = tmp_path / "map" / "map.html"
    assert told.stdout.splitlines()[-1] == page.as_uri(), told.stdout + told.stderr
    text = page.read_text()
    assert "allowed by relation data" in text
    assert "no relation allows it: producer has no policy for outsider" in text


def test_a_map_without_a_deployed_demo_names_the_models():
    script = f"juju add-model other; {STORY} map"

    told = rehearse(script)

    assert told.returncode == 1
    assert "ERROR there is no model demo; the models are: other" in told.stderr


def copy(folder: Path) -> Path:
    for name in ("bundles", "charms", "demo"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".*"))
    return folder


def test_a_wrong_policy_is_named_by_each_different_result(tmp_path: Path):
    folder = copy(tmp_path / "copy")
    charm = folder / "charms" / "metrics-producer-k8s" / "src" / "charm.py"
    data = re.compile(r"(DATA_PORT\], methods=)\[Method\.get\]")
    text, changed = data.subn(r"\1[Method.post]", charm.read_text())
    assert changed == 1
    charm.write_text(text)

    told = tell(folder, tmp_path, patience=1)

    assert told.returncode == 1
    assert "scraper, POST :8080/data: expected denied, observed 201" in told.stdout
    assert "scraper, GET :8080/data: expected 200, observed denied" in told.stdout


def test_an_error_of_juju_is_shown():
    script = f"juju add-model demo; {STORY}"

    told = rehearse(script)

    assert told.returncode == 1
    assert "✗ ERROR the model cannot be created because a namespace" in told.stdout


LOOK = """
from demo.stage import Stage
from demo.telling import Teller

stage = Stage(0, Teller())
stage.leftovers(wanted=False)
print(stage.looks, len(stage.differences))
"""
KUBECONFIG = """
apiVersion: v1
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
current-context: none
"""


@pytest.mark.parametrize(("named", "counted"), [(True, "1 1"), (False, "0 0")])
def test_an_unreachable_cluster_is_a_difference_if_it_is_named(
    tmp_path: Path, named: bool, counted: str
):
    config = tmp_path / "config"
    config.write_text(KUBECONFIG)
    environment = {key: os.environ[key] for key in os.environ if key != "KUBECONFIG"}
    environment |= {"HOME": str(tmp_path)}
    environment |= {"KUBECONFIG": str(config)} if named else {}

    told = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )

    assert "the objects in Kubernetes cannot be listed" in told.stdout
    assert told.stdout.splitlines()[-1] == counted
