"""The table of README.md, and that the mesh's actions say the same of each of its cells."""

import json
from typing import Any

import jubilant
import pytest

from demo.table import CALLS, Expected, Row, observe
from tests.integration import deployment

CALLERS = ("scraper", "outsider")


def test_who_is_related_may_make_the_calls_that_its_relations_give(
    juju: jubilant.Juju, expected: Expected
):
    deployment.assert_gets(juju, "scraper/0", expected.related)


def test_who_is_not_related_may_call_nothing(juju: jubilant.Juju, expected: Expected):
    deployment.assert_gets(juju, "outsider/0", expected.nothing)


@pytest.fixture(scope="module")
def observed(juju: jubilant.Juju, expected: Expected) -> dict[str, Row]:
    """What came of the calls of each caller, once all is in force, or should be."""
    deployment.differences(juju, "scraper/0", expected.related)
    model = deployment.model(juju)
    return {caller: observe(juju, f"{caller}/0", "producer", model) for caller in CALLERS}


@pytest.fixture(scope="module")
def accepted(juju: jubilant.Juju, observed: dict[str, Row]) -> list[str]:
    """The policies that the mesh has accepted, in words."""
    results = juju.run("mesh/leader", "policies", {"format": "json"}).results
    if results["unenforced"]:
        pytest.skip(f"more is allowed than policies say: {results['unenforced']}")
    rows: list[dict[str, str]] = json.loads(results["rows"])
    return [row["policy"] for row in rows if row["state"] == "accepted"]


def parts(call: str) -> tuple[str, int, str]:
    """Return a column of the table as its method (`unit` for one on a unit), port and path."""
    method, _, rest = call.partition(" :")
    port, _, path = rest.partition("/")
    return method, int(port), f"/{path}"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("caller", CALLERS)
def test_explain_says_what_came_of_the_call(
    juju: jubilant.Juju, observed: dict[str, Row], caller: str, call: str
):
    method, port, path = parts(call)
    asked: dict[str, Any] = {"from": caller, "port": port, "path": path}
    asked |= {"to": "producer/0"} if method == "unit" else {"to": "producer", "method": method}

    results = juju.run("mesh/leader", "explain", asked).results

    denied = observed[caller][call] == "denied"
    assert results["verdict"] == ("denied" if denied else "allowed"), results["reason"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("caller", CALLERS)
def test_there_is_a_policy_for_each_call_that_is_allowed_and_for_no_other(
    juju: jubilant.Juju, observed: dict[str, Row], accepted: list[str], caller: str, call: str
):
    method, port, path = parts(call)
    request = f":{port} on units of" if method == "unit" else f"{method} :{port} {path} on Service"
    policy = f"{caller} of {deployment.model(juju)} may call {request} producer"

    assert (policy in accepted) is (observed[caller][call] != "denied"), accepted
