"""The order of hooks, as Juju's documentation has it."""

import pytest

from rehearsal.juju.hooks import resolver
from rehearsal.juju.model.state import Model, Task
from tests.juju.world import CLIENT, SERVER, application, relate, run_out, step


@pytest.fixture
def model() -> Model:
    return Model("demo")


def test_a_leader_is_set_up_in_jujus_order(model: Model):
    web = application(model, "web")

    assert run_out(web.units[0]) == ["install", "leader_elected", "config_changed", "start"]


def test_a_unit_that_does_not_lead_is_not_told_that_it_does(model: Model):
    web = application(model, "web", units=2)

    assert "leader_elected" not in run_out(web.units[1])


def test_early_relations_are_created_before_start(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    relate(web, db)

    kinds = run_out(web.units[0])

    assert kinds[:2] == ["install", "relation_created"]


def test_a_remote_unit_joins_before_its_changes_are_told(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    run_out(web.units[0], db.units[0])
    relate(web, db)
    step(db.units[0])

    kinds = run_out(web.units[0])

    assert kinds == ["relation_created", "relation_joined", "relation_changed", "relation_changed"]


def test_a_databag_is_told_once_for_each_version(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    relation = relate(web, db)
    run_out(web.units[0], db.units[0])

    relation.side(db).app_bag.replace({"key": "value"})
    told = run_out(web.units[0])
    relation.side(db).app_bag.replace({"key": "value"})
    told_again = run_out(web.units[0])

    assert (told, told_again) == (["relation_changed"], [])


def test_news_that_come_while_a_hook_runs_are_told_by_another(model: Model):
    unit = application(model, "web").units[0]
    run_out(unit)

    unit.app.config_version += 1
    hook, sight = next(resolver.hooks(unit, "")), resolver.sight(unit, None)
    unit.app.config_version += 1  # while it runs
    resolver.record(unit, hook, sight)

    assert (hook.kind, run_out(unit)) == ("config_changed", ["config_changed"])


def test_a_relation_that_ends_departs_and_breaks_on_both_sides(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    relation = relate(web, db)
    run_out(web.units[0], db.units[0])

    relation.dying = True

    assert run_out(web.units[0]) == ["relation_departed", "relation_broken"]
    assert run_out(db.units[0]) == ["relation_departed", "relation_broken"]


def test_a_relation_that_ended_early_has_no_hooks(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    run_out(web.units[0], db.units[0])

    relate(web, db).dying = True

    assert run_out(web.units[0]) == []


def test_a_leaving_unit_departs_and_ends_with_remove(model: Model):
    web, db = application(model, "web", CLIENT, units=2), application(model, "db", SERVER)
    relate(web, db)
    run_out(*web.units.values(), *db.units.values())

    web.units[1].dying = True

    assert run_out(web.units[1]) == ["relation_departed", "relation_broken", "stop", "remove"]
    assert run_out(db.units[0]) == ["relation_departed"]
    assert run_out(web.units[0]) == []


def test_a_pod_of_an_old_template_is_stopped(model: Model):
    unit = application(model, "web").units[0]
    run_out(unit)

    same, newer = list(resolver.hooks(unit, "")), list(resolver.hooks(unit, "newer"))

    assert same == []
    assert [hook.kind for hook in newer] == ["stop"]


def test_an_action_waits_until_the_unit_is_set_up(model: Model):
    unit = application(model, "web").units[0]
    unit.tasks.append(Task(1, "probe", {}))

    kinds: list[str] = []
    while "action" not in kinds:
        hook = step(unit)
        assert hook
        kinds.append(hook.kind)

    assert kinds[-2:] == ["start", "action"]


def test_an_old_pod_of_a_dying_unit_may_stop_in_a_relation(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    relate(web, db)
    run_out(web.units[0], db.units[0])

    web.units[0].dying = True
    same, newer = (list(resolver.hooks(web.units[0], revision)) for revision in ("", "newer"))

    assert [hook.kind for hook in same] == ["relation_departed"]
    assert [hook.kind for hook in newer] == ["relation_departed", "stop"]


def test_a_removed_relation_has_no_hooks(model: Model):
    web, db = application(model, "web", CLIENT), application(model, "db", SERVER)
    relation = relate(web, db)
    run_out(web.units[0], db.units[0])

    relation.removed = web.units[0].dying = True

    assert run_out(web.units[0]) == ["stop", "remove"]
