"""The defect of Juju 4.0.15 that withholds units, by the units in scope of a producer."""

from collections.abc import Mapping, Set

import pytest

from demo import undelivered

OFFERED = ("metrics", "data", "provide-cmr-mesh")
FIRST, SECOND = "remote-2affbe46419e42d7800f327873981258", "remote-31c7cad26589474184fded5fd4275b3d"


def producer(remote: Mapping[str, Set[str]]) -> Mapping[str, Set[str]]:
    """Return the units in scope of a producer, with a scraper of its own model."""
    own = {"metrics": {"scraper/0"}, "data": {"scraper/0"}}
    return {name: own.get(name, set()) | remote.get(name, set()) for name in {*own, *remote}}


@pytest.mark.parametrize("later", [("data", "provide-cmr-mesh"), ("data",), ()])
def test_later_relations_that_stay_empty_are_the_defect(later: tuple[str, ...]):
    empty = {endpoint: set[str]() for endpoint in later}
    in_scope = producer({"metrics": {f"{FIRST}/0", f"{FIRST}/1"}, **empty})

    assert undelivered.is_so(in_scope, OFFERED)


def test_relations_that_all_have_units_are_not_the_defect():
    aliases = [f"{SECOND[:-1]}{number}" for number in range(len(OFFERED))]
    remote = {endpoint: {f"{alias}/0"} for endpoint, alias in zip(OFFERED, aliases, strict=True)}

    assert not undelivered.is_so(producer(remote), OFFERED)


def test_relations_to_an_absent_model_are_not_the_defect():
    assert not undelivered.is_so(producer({"metrics": set(), "data": set()}), OFFERED)
