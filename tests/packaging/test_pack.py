"""Packing, with a `charmcraft` on PATH that names its files as the real one does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).parents[2] / "charms" / "pack.py"
CHARMS = ("orders-k8s", "stock-k8s")
MACHINE = subprocess.run(
    ["/usr/bin/uname", "-m"], check=True, capture_output=True, text=True
).stdout
HERE, ELSEWHERE = ("amd64", "arm64") if MACHINE.strip() == "x86_64" else ("arm64", "amd64")
MAKE = """
name=$(basename "$PWD")
echo "$@" > called
for platform in %s; do echo "$platform" > "${name}_$platform.charm"; done
"""


@pytest.fixture
def charms(tmp_path: Path) -> Path:
    """Return a folder with the script and two charms."""
    folder = tmp_path / "charms"
    for name in CHARMS:
        (folder / name).mkdir(parents=True)
        (folder / name / "charmcraft.yaml").write_text(f"name: {name}")
    shutil.copy(PACK, folder)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return the only folder on PATH, with LXD and the program that the stand-in needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "basename").symlink_to("/usr/bin/basename")
    install(folder / "lxd", "")
    return folder


def install(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)


def pack(charms: Path, tools: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, charms / "pack.py"],
        env={"PATH": str(tools), **variables},
        check=False,
        capture_output=True,
        text=True,
    )


def packed(charms: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in charms.rglob("*.charm")}


def test_each_charm_is_packed_where_bundles_look(charms: Path, tools: Path):
    install(tools / "charmcraft", MAKE % HERE)

    done = pack(charms, tools)

    assert (done.returncode, done.stderr) == (0, "")
    assert packed(charms) == {f"{name}.charm": HERE for name in CHARMS}
    assert (charms / "orders-k8s" / "called").read_text() == f"pack --platform {HERE}\n"


def test_the_architecture_of_the_machine_is_chosen(charms: Path, tools: Path):
    install(tools / "charmcraft", MAKE % f"{HERE} {ELSEWHERE}")

    pack(charms, tools)

    assert packed(charms)["orders-k8s.charm"] == HERE
    assert packed(charms)[f"orders-k8s_{ELSEWHERE}.charm"] == ELSEWHERE


def test_an_earlier_packed_charm_is_replaced(charms: Path, tools: Path):
    install(tools / "charmcraft", MAKE % HERE)
    (charms / "orders-k8s" / "orders-k8s.charm").write_text("old")

    pack(charms, tools)

    assert packed(charms)["orders-k8s.charm"] == HERE


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo 'no such base' >&2; exit 3", "charmcraft could not pack orders-k8s: exit status 3"),
        (MAKE % ELSEWHERE, f"there is no {{charms}}/orders-k8s/orders-k8s_{HERE}.charm"),
    ],
    ids=["fails", "makes another architecture's"],
)
def test_a_charm_that_cannot_be_packed_is_named(
    charms: Path, tools: Path, script: str, problem: str
):
    install(tools / "charmcraft", script)

    done = pack(charms, tools)

    assert done.returncode == 1
    assert problem.format(charms=charms) in done.stderr
    assert "orders-k8s.charm" not in packed(charms)
    assert not list((charms / "stock-k8s").glob("*.charm"))


def test_without_lxd_nothing_is_packed(charms: Path, tools: Path):
    install(tools / "charmcraft", MAKE % HERE)
    (tools / "lxd").unlink()

    done = pack(charms, tools)

    assert done.returncode == 1
    assert done.stderr.startswith("lxd is not on PATH; to get it: sudo snap install lxd")
    assert packed(charms) == {}


def test_a_build_on_the_host_needs_no_lxd(charms: Path, tools: Path):
    install(tools / "charmcraft", MAKE % HERE)
    (tools / "lxd").unlink()

    done = pack(charms, tools, CRAFT_BUILD_ENVIRONMENT="host")

    assert (done.returncode, done.stderr) == (0, "")
    assert packed(charms) == {f"{name}.charm": HERE for name in CHARMS}


def test_all_missing_tools_are_named_at_once(charms: Path, tools: Path):
    (tools / "lxd").unlink()

    done = pack(charms, tools)

    assert done.returncode == 1
    assert [line.split(";")[0] for line in done.stderr.splitlines()] == [
        "charmcraft is not on PATH",
        "lxd is not on PATH",
    ]


@pytest.mark.skipif(shutil.which("setarch") is None, reason="no setarch here")
def test_on_another_machine_it_names_the_supported_ones(charms: Path, tools: Path):
    install(tools / "charmcraft", MAKE % HERE)
    other = ["/usr/bin/setarch", "linux32", sys.executable, str(charms / "pack.py")]

    done = subprocess.run(
        other, env={"PATH": str(tools)}, check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert "the charms are for x86_64 and aarch64" in done.stderr
