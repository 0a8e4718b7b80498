"""The story's search for the cause if a remote caller stays denied."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from demo.chapters import Story
from demo.stage import Stage
from demo.table import AUTHORIZATION_POLICIES, CALLS
from demo.telling import Teller
from tests.demo.conftest import Script

MODEL = {"name": "demo", "type": "caas", "controller": "k8s", "cloud": "k8s", "version": "4"}
DEFECT = "a defect of Juju 4.0.15"


def relation(endpoint: str, *units: str) -> dict[str, Any]:
    return {
        "relation-id": 1,
        "endpoint": endpoint,
        "related-endpoint": endpoint,
        "application-data": {},
        "related-units": {name: {"in-scope": True, "data": {}} for name in units},
    }


def tell(script: Script, monkeypatch: pytest.MonkeyPatch, *relations: dict[str, Any]) -> None:
    """Tell a chapter in which a remote scraper is denied and the producer has these relations."""
    monkeypatch.setenv("PATH", f"{Path(script.juju.cli_binary).parent}{os.pathsep}{os.defpath}")
    rows = [{"request": call, "target": "producer", "result": "denied"} for call in CALLS]
    results = {"return-code": 0, "rows": json.dumps(rows)}
    script.answer("add-model", None)
    script.answer("deploy", None)
    script.answer("status", {"model": MODEL, "machines": {}, "applications": {}})
    script.answer("integrate", None)
    script.answer("remove-relation", None)
    script.answer("run", {"scraper/0": {"id": "1", "status": "completed", "results": results}})
    unit: dict[str, Any] = {
        "opened-ports": [],
        "charm": "",
        "leader": True,
        "relation-info": relations,
    }
    script.answer("show-unit", {"producer/0": unit})

    teller = Teller()
    stage = Stage(0, teller)
    stage.add_model("demo")
    story = Story("demo", stage, teller)
    story.expected = AUTHORIZATION_POLICIES
    story.another_model()
    teller.verdict(stage.differences, stage.looks, stage.cause)


def test_a_controller_that_withholds_relations_is_the_cause(
    script: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    tell(script, monkeypatch, relation("metrics", "remote-1/0"), relation("data"))

    words = " ".join(capsys.readouterr().out.split())
    told, _, verdict = words.partition("The cause of differences")
    assert DEFECT in told
    assert DEFECT in verdict
    assert "remote, known, GET :8080/data: expected 200, observed denied" in verdict


def test_a_controller_that_delivers_relations_is_not_the_cause(
    script: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    endpoints = "metrics", "data", "provide-cmr-mesh"

    tell(script, monkeypatch, *[relation(endpoint, "remote-1/0") for endpoint in endpoints])

    told = " ".join(capsys.readouterr().out.split())
    assert DEFECT not in told
    assert "remote, known, GET :8080/data: expected 200, observed denied" in told
