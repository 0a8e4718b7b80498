"""The results of the action `policies`."""

import json
from typing import Literal

import pytest
from juju import policy

from actions import policies
from charms.istio_beacon_k8s.v0.service_mesh import PolicyTargetType, Refusal
from enforcement import Outcome


@pytest.mark.parametrize("form", ["table", "json"])
def test_results_fit_into_an_argument_of_a_hook_tool(form: Literal["table", "json"]):
    many = [policy(source_app_name=f"scraper-{number}") for number in range(2_000)]
    junk = Refusal("careless", "[1," * 70_000, "not JSON")

    result = policies.results(Outcome("authorization-policy", many, [junk]), form)

    shown = result["table"].splitlines() if form == "table" else json.loads(result["rows"])
    assert all(len(value.encode()) < 128 * 1024 - 100 for value in result.values())
    assert len(shown) + int(result["omitted"]) == 2_001
    assert "careless" in str(shown[0])


def test_a_row_names_the_application_of_a_selector():
    selector = {"app.kubernetes.io/name": "producer"}
    by_selector = policy(
        target_type=PolicyTargetType.unit, target_app_name=None, target_selector_labels=selector
    )

    result = policies.results(Outcome("authorization-policy", [by_selector], []), "table")

    assert result["table"].startswith("producer  accepted")
    assert "omitted" not in result


def test_a_table_is_sorted_and_its_lines_are_short():
    refusal = Refusal("database", "x" * 500, "not JSON")
    outcome = Outcome("authorization-policy", [policy()], [refusal])

    assert policies.results(outcome, "table")["table"].splitlines() == [
        "database  refused  not JSON: [...]",
        "producer  accepted  scraper of demo may call GET :8080 /data on Service producer",
    ]
    assert "x" * 500 in policies.results(outcome, "json")["rows"]


def test_a_refused_policy_is_described_like_an_accepted_one():
    refused = Refusal("producer", policy().model_dump_json(), "for a reason", policy())

    result = policies.results(Outcome("authorization-policy", [], [refused]), "table")

    words = "scraper of demo may call GET :8080 /data on Service producer"
    assert result["table"] == f"producer  refused  for a reason: {words}"
