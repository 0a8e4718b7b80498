"""The table of README.md, and the agreement of the mesh's actions with each of its cells."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from demo import patience
from demo.table import CALLS, Expected, Row
from tests.integration.deployment import Deployment

CALLERS = ("scraper", "outsider")


def test_a_related_application_gets_what_its_relations_allow(demo: Deployment, expected: Expected):
    demo.assert_gets("scraper/0", expected.related)


def test_an_unrelated_application_gets_nothing(demo: Deployment, expected: Expected):
    demo.assert_gets("outsider/0", expected.nothing)


@functools.cache
def observe(demo: Deployment) -> Mapping[str, Row]:
    demo.assert_gets("scraper/0", demo.expected.related)
    return {caller: demo.observe(f"{caller}/0") for caller in CALLERS}


@functools.cache
def policies(demo: Deployment) -> Mapping[str, str]:
    params = {"format": "json"}
    return patience.run(demo.juju, "mesh/leader", "policies", params).results


@pytest.fixture
def observed(demo: Deployment) -> Mapping[str, Row]:
    """Return the results of each caller's calls, observed once for each deployment."""
    return observe(demo)


@pytest.fixture
def accepted(demo: Deployment, observed: Mapping[str, Row]) -> list[str]:
    """Return the policies that the mesh has accepted, in words."""
    results = policies(demo)
    if results["unenforced"]:
        pytest.skip(f"more is allowed than policies say: {results['unenforced']}")
    rows: list[dict[str, str]] = json.loads(results["rows"])
    return [row["policy"] for row in rows if row["state"] == "accepted"]


def parts(call: str) -> tuple[str, int, str]:
    """Return the method (`unit` for a call to a unit), port and path of a column of the table."""
    method, _, rest = call.partition(" :")
    port, _, path = rest.partition("/")
    return method, int(port), f"/{path}"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("caller", CALLERS)
def test_explain_agrees_with_the_call(
    demo: Deployment, observed: Mapping[str, Row], caller: str, call: str
):
    method, port, path = parts(call)
    asked: dict[str, Any] = {"from": caller, "port": port, "path": path}
    asked |= {"to": "producer/0"} if method == "unit" else {"to": "producer", "method": method}

    results = patience.run(demo.juju, "mesh/leader", "explain", asked).results

    denied = observed[caller][call] == "denied"
    assert results["verdict"] == ("denied" if denied else "allowed"), results["reason"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("caller", CALLERS)
def test_only_an_allowed_call_has_a_policy(
    demo: Deployment, observed: Mapping[str, Row], accepted: list[str], caller: str, call: str
):
    method, port, path = parts(call)
    request = f":{port} on units of" if method == "unit" else f"{method} :{port} {path} on Service"
    policy = f"{caller} of {patience.namespace(demo.juju)} may call {request} producer"

    assert (policy in accepted) is (observed[caller][call] != "denied"), accepted
