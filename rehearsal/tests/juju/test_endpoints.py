"""Which endpoints a relation means."""

import pytest

from rehearsal.juju.errors import JujuError
from rehearsal.juju.model.charm import Endpoint
from rehearsal.juju.model.endpoints import find, infer
from rehearsal.juju.model.state import Model
from tests.juju.world import CLIENT, SERVER, application, relate


@pytest.fixture
def model() -> Model:
    model = Model("demo")
    application(model, "web", CLIENT, Endpoint("logs", "logs", "requirer"))
    application(model, "db", SERVER, Endpoint("server2", "db", "provider"))
    application(model, "cache", SERVER)
    application(model, "both", CLIENT, SERVER)
    return model


def test_names_of_applications_are_enough_where_one_pair_fits(model: Model):
    ends = infer(model, "web", "cache")

    assert [end.endpoint.name for end in ends] == ["db", "server"]


def test_an_endpoint_chooses_between_pairs(model: Model):
    ends = infer(model, "web", "db:server2")

    assert [end.endpoint.name for end in ends] == ["db", "server2"]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("web", "nope", 'application "nope" not found (not found)'),
        ("web:nope", "db", 'application "web" has no "nope" relation'),
        ("web:logs", "db", "no relations found"),
        ("db", "cache", "no relations found"),
        ("both", "both", "no relations found"),
        (
            "web",
            "db",
            'ambiguous relation: "web db" could refer to "web:db db:server"; "web:db db:server2"',
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_jujus_words(
    model: Model, first: str, second: str, message: str
):
    with pytest.raises(JujuError) as error:
        infer(model, first, second)

    assert str(error.value) == message


def test_a_relation_is_found_by_its_ends_in_any_order(model: Model):
    relation = relate(model.apps["web"], model.apps["db"])

    assert find(model, "db", "web:db") is relation
    with pytest.raises(JujuError, match='relation matching "web cache" not found'):
        find(model, "web", "cache")
