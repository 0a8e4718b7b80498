"""The workflow runs pinned actions with minimal permissions and within time limits."""

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
    """Return the values of a key in the steps of all jobs."""
    return [step[key] for job in jobs(file).values() for step in job["steps"] if key in step]


def tox_environments() -> set[str]:
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(ROOT / "tox.ini")
    return {name.removeprefix("testenv:") for name in ini.sections() if ":" in name}


def environments(job: dict[str, Any]) -> set[str]:
    """Return the tox environments that a job runs, including each one of its matrix."""
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


def test_a_comment_gives_the_version_of_a_pinned_commit(file: Path):
    lines = [line for line in file.read_text().splitlines() if "uses:" in line]

    assert all(re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line) for line in lines)


def test_it_has_permission_to_read_only(file: Path):
    assert workflow(file)["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in jobs(file).values())
    assert file.read_text().count("persist-credentials: false") == len(jobs(file))


def test_jobs_time_out_and_a_new_run_cancels_the_last(file: Path):
    assert all(0 < job["timeout-minutes"] <= 90 for job in jobs(file).values())
    assert workflow(file)["concurrency"]["cancel-in-progress"] is True


def test_its_environments_exist_in_tox(file: Path):
    run = {name for job in jobs(file).values() for name in environments(job)}

    assert {"lint", "unit", "rehearsal", "pack"} <= run
    assert run - tox_environments() == set()


def test_pull_requests_run_on_the_oldest_python_and_the_charms(file: Path):
    # YAML 1.1 reads the key `on` as true.
    triggers = workflow(file)[True]  # pyright: ignore[reportArgumentType]

    assert {"pull_request", "schedule", "workflow_dispatch"} == set(triggers)
    assert jobs(file)["test"]["strategy"]["matrix"]["python"] == ["3.10", "3.12"]


def test_input_from_outside_is_never_part_of_a_script(file: Path):
    expressions = re.findall(r"\$\{\{(.*?)\}\}", "\n".join(steps(file, "run")))

    assert {expression.strip() for expression in expressions} <= {"matrix.environment"}
