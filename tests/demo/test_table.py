"""The results of the probe, as cells of the table."""

import json

import pytest

from demo.table import AUTHORIZATION_POLICIES, NETWORK_POLICIES, Expected, observe
from tests.demo.conftest import Script


def observed(script: Script, expected: Expected, *results: str) -> str:
    """Return the cell for calls to units with these results."""
    rows = [
        {"request": "unit :9090", "target": f"producer/{number}", "result": result}
        for number, result in enumerate(results)
    ]
    results_of_task = {"return-code": 0, "rows": json.dumps(rows)}
    task = {"id": "1", "status": "completed", "results": results_of_task}
    script.answer("run", {"scraper/0": task})
    cells = observe(script.juju, "scraper/0", "producer", "demo", expected.denials)
    return cells["unit :9090"]


@pytest.mark.parametrize("result", ["denied", "timeout", "unreachable"])
def test_a_network_denies_by_dropping_or_rejecting(script: Script, result: str):
    assert observed(script, NETWORK_POLICIES, result) == "denied"


def test_a_proxy_does_not_deny_by_being_unreachable(script: Script):
    assert observed(script, AUTHORIZATION_POLICIES, "unreachable") == "unreachable"


def test_units_that_differ_are_named(script: Script):
    cell = observed(script, NETWORK_POLICIES, "200", "unreachable")

    assert cell == "producer/0 200, producer/1 denied"
