"""The workflow: bound to what was reviewed, with no more rights than it needs, within bounds."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PINNED = re.compile(r"[\w-]+/[\w./-]+@[0-9a-f]{40}")

pytestmark = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def workflow(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    return workflow(file)["jobs"]


def steps(file: Path, key: str) -> list[str]:
    """Return what the steps of all jobs have under a key."""
    return [step[key] for job in jobs(file).values() for step in job["steps"] if key in step]


def tox_environments() -> set[str]:
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(ROOT / "tox.ini")
    return {name.removeprefix("testenv:") for name in ini.sections() if ":" in name}


def environments(job: dict[str, Any]) -> set[str]:
    """Return the environments of tox that a job runs, those of its matrix one by one."""
    commands = "\n".join(step.get("run", "") for step in job["steps"])
    named = set(re.findall(r"tox -e (\$\{\{.*?\}\}|\S+)", commands))
    of_matrix = "${{ matrix.environment }}"
    if of_matrix in named:
        named |= set(job["strategy"]["matrix"]["environment"])
    return named - {of_matrix}


def test_every_action_is_pinned_by_its_commit(file: Path):
    used = steps(file, "uses")

    assert used
    assert [action for action in used if not PINNED.fullmatch(action)] == []


def test_a_comment_says_which_version_a_commit_is(file: Path):
    lines = [line for line in file.read_text().splitlines() if "uses:" in line]

    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in lines)


def test_it_may_read_and_nothing_else(file: Path):
    assert workflow(file)["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in jobs(file).values())
    assert file.read_text().count("persist-credentials: false") == len(jobs(file))


def test_nothing_runs_for_ever_or_twice(file: Path):
    assert all(0 < job["timeout-minutes"] <= 90 for job in jobs(file).values())
    assert workflow(file)["concurrency"]["cancel-in-progress"] is True


def test_it_runs_environments_that_tox_has(file: Path):
    run = {name for job in jobs(file).values() for name in environments(job)}

    assert {"lint", "unit", "rehearsal", "pack"} <= run
    assert run - tox_environments() == set()


def test_every_pull_request_is_tested_on_the_oldest_python_and_the_charms_own(file: Path):
    # YAML 1.1 reads the key `on` as true.
    triggers = workflow(file)[True]  # pyright: ignore[reportArgumentType]

    assert {"pull_request", "schedule", "workflow_dispatch"} == set(triggers)
    assert jobs(file)["test"]["strategy"]["matrix"]["python"] == ["3.10", "3.12"]


def test_what_comes_from_outside_is_never_part_of_a_script(file: Path):
    expressions = re.findall(r"\$\{\{(.*?)\}\}", "\n".join(steps(file, "run")))

    assert {expression.strip() for expression in expressions} <= {"matrix.environment"}
