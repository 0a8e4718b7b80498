"""The effect of policies, held to the documentation of Istio and Kubernetes."""

from collections.abc import Iterator

import pytest

from tests.mesh.contract.case import Case, cases
from tests.mesh.contract.world import World, documented, world


@pytest.fixture(scope="module")
def here() -> Iterator[World]:
    with world() as here:
        yield here


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.about)
def test_it_is_as_documented(here: World, case: Case) -> None:
    assert here.observe(case) == documented(case)
