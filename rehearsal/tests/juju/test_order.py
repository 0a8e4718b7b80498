"""Hooks in many orders: Juju's own order is kept, and the rest is shuffled."""

from collections.abc import Generator
from pathlib import Path

import pytest

from rehearsal.juju.hooks import resolver
from rehearsal.juju.hooks.event_order import EventOrder
from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.model.state import Bag, Model, Seen, Unit
from rehearsal.juju.pods.pebble import Container
from rehearsal.machine.processes import Processes
from tests.juju.world import CLIENT, SERVER, application, relate

SEEDS = range(60)


def run(unit: Unit, order: EventOrder) -> list[Hook]:
    """Run all hooks of a unit in an order, none of which changes anything; return them."""
    told: list[Hook] = []
    while hook := order.hook(list(resolver.hooks(unit, ""))):
        relation = next(
            (r for r in unit.app.relations if r.side(unit.app).id == hook.relation), None
        )
        if relation:
            relation.side(unit.app).unit_bags.setdefault(unit, Bag())
        resolver.record(unit, hook, resolver.sight(unit, relation))
        told.append(hook)
    return told


def life(seed: int | None) -> list[Hook]:
    """Return the hooks of a unit with a relation to each of two applications, until all is told."""
    model = Model("demo")
    web = application(model, "web", CLIENT)
    for name in ("db", "cache"):
        other = application(model, name, SERVER, units=2)
        side = relate(web, other).side(other)
        side.unit_bags = {unit: Bag({"a": "b"}, 1) for unit in other.units.values()}
    return run(web.units[0], EventOrder(seed))


def test_without_a_seed_the_order_is_always_the_same():
    assert life(None) == life(None)


def test_a_seed_repeats_its_order_and_seeds_have_many():
    assert life(7) == life(7)
    assert len({tuple(map(repr, life(seed))) for seed in SEEDS}) > len(SEEDS) / 2


def test_every_order_tells_the_same():
    assert {tuple(sorted(map(repr, life(seed)))) for seed in SEEDS} == {
        tuple(sorted(map(repr, life(None))))
    }


def test_what_juju_orders_stays_in_order():
    for seed in SEEDS:
        hooks = life(seed)
        kinds = [hook.kind for hook in hooks]
        setup = [k for k in kinds if k in ("install", "leader_elected", "config_changed", "start")]
        assert setup == ["install", "leader_elected", "config_changed", "start"]
        assert kinds.index("relation_joined") > kinds.index("start") > kinds.index("install")


def test_who_joins_is_told_of_next_in_its_relation():
    for seed in SEEDS:
        hooks = life(seed)
        for relation in {hook.relation for hook in hooks} - {None}:
            own = [hook for hook in hooks if hook.relation == relation]
            after = {
                own[i].remote_unit: own[i + 1] for i, h in enumerate(own) if "joined" in h.kind
            }
            assert all(
                (hook.kind, hook.remote_unit) == ("relation_changed", unit)
                for unit, hook in after.items()
            )


def test_units_take_turns_and_with_a_seed_any_may_be_next():
    model = Model("demo")
    units = list(application(model, "web", units=5).units.values())
    for turn, unit in enumerate(reversed(units)):
        unit.turn = turn

    assert EventOrder().units(units) == units[::-1]
    firsts = {EventOrder(seed).units(units)[0].number for seed in SEEDS}
    assert firsts == set(range(5))


@pytest.fixture
def container(tmp_path: Path) -> Generator[Container]:
    processes = Processes(tmp_path / "run")
    root = tmp_path / "run" / "web"
    container = Container("web", root, "127.0.0.1", {}, processes, lambda: None)
    yield container
    container.stop()
    processes.close()


def kinds_in_pod(container: Container, seen: Seen, seed: int | None) -> tuple[str, ...]:
    """Return the hooks of a unit in a pod with a container."""
    unit = application(Model("demo"), "web").units[0]
    unit.seen = seen
    if unit.pod:
        unit.pod.containers["web"] = container
    return tuple(hook.kind for hook in run(unit, EventOrder(seed)))


def test_pebble_is_ready_before_config_changed_or_after_start(container: Container):
    usual = ("install", "leader_elected", "pebble_ready", "config_changed", "start")
    late = ("install", "leader_elected", "config_changed", "start", "pebble_ready")

    assert kinds_in_pod(container, Seen(), None) == usual
    assert {kinds_in_pod(container, Seen(), seed) for seed in SEEDS} == {usual, late}


def test_a_new_pod_has_started_before_pebble_is_ready(container: Container):
    for seed in SEEDS:
        seen = Seen(installed=True, queued="upgrade_charm", leader=True)
        kinds = kinds_in_pod(container, seen, seed)
        assert kinds == ("upgrade_charm", "config_changed", "start", "pebble_ready")


def test_what_may_happen_happens_by_some_seeds_alone():
    assert not any(EventOrder().happens() for _ in SEEDS)
    assert {EventOrder(seed).happens() for seed in SEEDS} == {True, False}
