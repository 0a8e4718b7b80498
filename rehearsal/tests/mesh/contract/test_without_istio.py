"""NetworkPolicies alone decide where there is no Istio."""

from collections.abc import Iterator

import pytest

from tests.mesh.contract.case import Case, cases
from tests.mesh.contract.world import World, documented, world

CASES = [case for case in cases() if case.kind == "NetworkPolicy"]


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with world(istio=False) as here:
        yield here


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_it_is_as_documented(here: World, case: Case) -> None:
    assert here.observe(case) == documented(case)


def test_there_is_no_policy_of_istio(here: World) -> None:
    assert not here.cluster.store.list("CustomResourceDefinition")


def test_without_istio_its_policies_decide_nothing(here: World) -> None:
    case = Case(
        kind="AuthorizationPolicy",
        about="nothing is enforced",
        docs="",
        policies=[{}, {"targetRefs": [{"kind": "Service", "name": "producer"}]}],
        allowed=["scraper GET producer:9090/", "scraper GET producer-0.producer-endpoints:9090/"],
    )

    assert here.observe(case) == documented(case)


def test_no_label_gives_an_identity(here: World) -> None:
    cluster, scraper = here.cluster, here.apps["demo/scraper"]
    cluster.call(scraper, "http://producer:9090/whoami")

    [entry] = cluster.logged("/whoami", 1)

    assert (entry["source"], entry["principal"]) == (scraper.pods[0], None)
