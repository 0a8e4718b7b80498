"""Secrets in the controller, and their readers when owners, units and relations go."""

import pytest

from rehearsal.juju.model import secret
from rehearsal.juju.model.secret import Revision, Secret, View
from rehearsal.juju.model.state import Model, Relation, Unit
from tests.juju.world import CLIENT, SERVER, application, relate


@pytest.fixture
def model() -> Model:
    return Model("demo")


@pytest.fixture
def relation(model: Model) -> Relation:
    """Two units of a client, related to a server of one."""
    return relate(application(model, "web", CLIENT, units=2), application(model, "db", SERVER))


@pytest.fixture
def server(relation: Relation) -> Unit:
    return relation.sides[1].app.units[0]


@pytest.fixture
def lent(model: Model, relation: Relation, server: Unit) -> Secret:
    """A secret of the server's application that the client's first unit may read."""
    made = Secret(secret.new_id(), model, server.app, {1: Revision({"word": "one"})})
    made.grants.add((relation.sides[0].app.units[0], relation))
    model.secrets[made.id] = made
    return made


def test_a_grant_to_a_unit_is_for_it_alone(lent: Secret, relation: Relation):
    first, second = relation.sides[0].app.units.values()

    assert [s.id for s in secret.context(first)] == [lent.id]
    assert (secret.context(second), secret.denied(second)) == ([], {lent.id})


def test_a_unit_that_has_gone_is_no_longer_among_the_grants(
    lent: Secret, relation: Relation, server: Unit
):
    before = secret.context(server)[0].grants

    del relation.sides[0].app.units[0]

    assert (before, secret.context(server)[0].grants) == ({0: {"web/0"}}, {})


def test_who_has_gone_keeps_no_revision_in_use(lent: Secret, relation: Relation, server: Unit):
    reader = relation.sides[0].app.units[0]
    lent.views[reader] = View(tracked=1, told=1)
    lent.add_revision({"word": "two"})
    while_there = [hook.kind for hook in secret.hooks(server)]

    del reader.app.units[0]

    assert while_there == []
    assert [(h.kind, h.revision) for h in secret.hooks(server)] == [("secret_remove", 1)]


def test_news_of_a_secret_come_to_its_reader_and_not_to_others(lent: Secret, relation: Relation):
    first, second = relation.sides[0].app.units.values()
    lent.views[first] = View(tracked=1, told=1)
    assert list(secret.hooks(first)) == []

    lent.add_revision({"word": "two"})

    [hook] = secret.hooks(first)
    assert hook.kind == "secret_changed"
    assert list(secret.hooks(second)) == []
    secret.record(first, hook, {lent.id: 2})
    assert list(secret.hooks(first)) == []


def test_what_came_while_a_hook_ran_is_told_by_another(lent: Secret, relation: Relation):
    first = relation.sides[0].app.units[0]
    lent.views[first] = View(tracked=1, told=1)
    lent.add_revision({"word": "two"})
    [hook] = secret.hooks(first)

    lent.add_revision({"word": "three"})
    secret.record(first, hook, {lent.id: 2})

    assert list(secret.hooks(first)) == [hook]


def test_a_secret_of_an_unrelated_model_is_unknown(lent: Secret, model: Model):
    stranger = application(Model("away"), "far", CLIENT).units[0]

    assert lent.id not in secret.denied(stranger)
    assert not lent.is_readable_by(stranger)


def test_a_secret_goes_with_its_owner(lent: Secret, model: Model, server: Unit):
    assert list(secret.known(model)) == [lent.id]

    del model.apps[server.app.name]

    assert secret.known(model) == {}
