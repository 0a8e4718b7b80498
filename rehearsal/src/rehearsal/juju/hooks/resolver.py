"""The choice of the hook that a unit runs next.

As in Juju's uniter, there is hardly a queue of hooks. The resolver compares the facts that a unit
knows (`Seen`) with the present ones, and the first difference is the next hook. So no fact is told
twice, none is missed, and a fact that has passed in the meantime is not told at all. The order is
that of Juju's resolvers. If they leave it open, any of the hooks may be next.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.model import secret
from rehearsal.juju.model.state import Bag, Relation, SeenRelation, Unit


@dataclass(frozen=True)
class Sight:
    """The versions of the data that a hook sees. Another hook tells later changes.

    Attributes:
        config: the configuration's version.
        bags: the versions of the databags on the other side of the hook's relation, by owner.
        secrets: the latest revisions of the secrets that the unit may read, by identifier.
    """

    config: int
    bags: Mapping[str, int]
    secrets: Mapping[str, int]


_FACTS: Mapping[str, Callable[[Sight], Mapping[str, bool | int]]] = {
    "install": lambda _: {"installed": True},
    "leader_elected": lambda _: {"leader": True},
    "config_changed": lambda sight: {"config": sight.config},
    "start": lambda _: {"started": True},
    "stop": lambda _: {"stopped": True},
    "remove": lambda _: {"removed": True},
}
"""The facts that a unit knows after a hook about itself."""
_QUEUED: Mapping[str, str] = {"upgrade_charm": "config_changed", "config_changed": "start"}
"""Hooks that Juju queues when another has run, unless the unit has started already."""


def hooks(unit: Unit, revision: str) -> Iterator[Hook]:
    """Yield the hooks that may be a unit's next, or none if it knows all facts.

    Args:
        unit: the unit.
        revision: the wanted revision of its pod. A pod of another revision has to stop.
    """
    if unit.pod is None:
        return
    if unit.seen.stopped:
        if unit.dying and not unit.seen.removed:
            yield Hook("remove")
    elif not unit.seen.installed:
        yield Hook("install")
    else:
        yield from _of_life(unit, replaced=unit.pod.revision != revision)


def _of_life(unit: Unit, *, replaced: bool) -> Iterator[Hook]:
    """Yield the hooks that may come next between install and stop."""
    relations = [r for r in unit.app.relations if concerns(unit, r)]
    if setup := list(_setup(unit, relations)):
        yield from setup
        return
    ready = list(_ready(unit))
    yield from ready
    if unit.seen.config != unit.app.config_version:
        yield Hook("config_changed")
        return
    leaving = [hook for relation in relations for hook in _leaving(unit, relation)]
    yield from leaving
    if not unit.dying and not replaced:
        yield from tasks(unit)
        for relation in relations:
            yield from _coming(unit, relation)
        yield from secret.hooks(unit)
        yield from _checks(unit)
    elif replaced or not (ready or leaving):
        yield Hook("stop")


def tasks(unit: Unit) -> Iterator[Hook]:
    """Yield the next action of a unit. An action also runs if a hook has failed."""
    if unit.tasks:
        task = unit.tasks[0]
        yield Hook("action", action=(task.action, task.params, str(task.id)))


def _setup(unit: Unit, relations: list[Relation]) -> Iterator[Hook]:
    """Yield the hooks that come before any other, in the order of Juju's resolvers.

    No other hook comes between `upgrade-charm`, `config-changed` and `start` of a pod, since each
    queues the next. `pebble-ready` therefore follows them, except in a unit's first pod, in which
    no hook queues `config-changed`.
    """
    if unit.seen.queued:
        yield Hook(unit.seen.queued)
        return
    numbers = [_number(unit, relation) for relation in relations]
    created = [n for n in numbers if n not in unit.seen.relations]
    yield from (Hook("relation_created", relation=number) for number in created)
    if not created and unit.is_leader and not unit.seen.leader and not unit.dying:
        yield Hook("leader_elected")


def _ready(unit: Unit) -> Iterator[Hook]:
    """Yield a `pebble-ready` for each container whose Pebble is new to the charm."""
    for name in unit.pod.containers if unit.pod else ():
        if name not in unit.seen.ready:
            yield Hook("pebble_ready", container=name)


def _checks(unit: Unit) -> Iterator[Hook]:
    for name, container in unit.pod.containers.items() if unit.pod else ():
        for check, is_up in container.checks.items():
            knows_down = (name, check) in unit.seen.down
            if knows_down and is_up:
                yield Hook("pebble_check_recovered", container=name, check=check)
            elif not knows_down and not is_up:
                yield Hook("pebble_check_failed", container=name, check=check)


def _leaving(unit: Unit, relation: Relation) -> list[Hook]:
    number = _number(unit, relation)
    told = unit.seen.relations[number]
    there = remote_units(unit, relation)
    ends = _is_leaving(unit, relation)
    departed = [
        Hook(
            "relation_departed",
            relation=number,
            remote_unit=unit_number(name),
            departing_unit=unit_number(name) if name not in there else None,
        )
        for name in told.joined
        if ends or name not in there
    ]
    return departed or [Hook("relation_broken", relation=number)] * ends


def _coming(unit: Unit, relation: Relation) -> Iterator[Hook]:
    number, other = _number(unit, relation), relation.other(unit.app)
    told, there = unit.seen.relations[number], remote_units(unit, relation)
    joined = {name: remote for name, remote in there.items() if name in told.joined}
    unheard = [remote for name, remote in joined.items() if name not in told.versions]
    if unheard:  # Juju always follows relation-joined with relation-changed.
        yield Hook("relation_changed", relation=number, remote_unit=unheard[0].number)
        return
    for remote in (remote for name, remote in there.items() if name not in joined):
        yield Hook("relation_joined", relation=number, remote_unit=remote.number)
    # Only after a remote unit has joined, since ops.testing has no hook for the application alone.
    if joined and _is_news(told, other.seen_as, other.app_bag):
        yield Hook("relation_changed", relation=number)
    for name, remote in joined.items():
        if _is_news(told, name, other.unit_bags[remote]):
            yield Hook("relation_changed", relation=number, remote_unit=remote.number)


def _is_news(told: SeenRelation, name: str, content: Bag) -> bool:
    return told.versions.get(name) != content.version


def sight(unit: Unit, relation: Relation | None) -> Sight:
    """Return the versions that a hook of the unit sees now.

    Args:
        unit: the unit.
        relation: the relation of the hook.
    """
    bags = _versions(unit, relation) if relation else {}
    latest = {each.id: each.latest for each in secret.readable(unit)}
    return Sight(unit.app.config_version, bags, latest)


def record(unit: Unit, hook: Hook, seen: Sight) -> None:
    """Record that a hook has told its unit a fact.

    Args:
        unit: the unit.
        hook: the hook, which has run.
        seen: the versions at its start.
    """
    if hook.relation is not None:
        _record_relation(unit.seen.relations, hook, seen.bags)
    elif hook.container is not None and hook.check is not None:
        known = {(hook.container, hook.check)}
        failed = hook.kind == "pebble_check_failed"
        unit.seen.down = unit.seen.down | known if failed else unit.seen.down - known
    elif hook.container is not None:
        unit.seen.ready.add(hook.container)
    elif hook.secret is not None:
        secret.record(unit, hook, seen.secrets)
    for attribute, value in _FACTS.get(hook.kind, lambda _: {})(seen).items():
        setattr(unit.seen, attribute, value)
    if hook.kind in _QUEUED or hook.kind == unit.seen.queued:
        unit.seen.queued = None if unit.seen.started else _QUEUED.get(hook.kind)


def _record_relation(
    relations: dict[int, SeenRelation], hook: Hook, versions: Mapping[str, int]
) -> None:
    told = relations.setdefault(hook.relation or 0, SeenRelation())
    remote = next((n for n in versions if n.endswith(f"/{hook.remote_unit}")), None)
    if hook.kind == "relation_broken":
        del relations[hook.relation or 0]
    elif hook.kind == "relation_joined" and remote:
        told.joined.append(remote)
    elif hook.kind == "relation_departed":
        [gone] = (n for n in told.joined if unit_number(n) == hook.remote_unit)
        told.joined.remove(gone)
        told.versions.pop(gone, None)
    elif hook.kind == "relation_changed":
        name = remote or next(n for n in versions if "/" not in n)
        told.versions[name] = versions[name]


def _versions(unit: Unit, relation: Relation) -> dict[str, int]:
    other = relation.other(unit.app)
    units = remote_units(unit, relation)
    return {other.seen_as: other.app_bag.version} | {
        name: other.unit_bags[remote].version for name, remote in units.items()
    }


def remote_units(unit: Unit, relation: Relation) -> dict[str, Unit]:
    """Return the units on the other side that have entered the relation, by name on this side."""
    other = relation.other(unit.app)
    return {
        f"{other.seen_as}/{remote.number}": remote
        for remote in other.app.units.values()
        if remote is not unit and not remote.dying and remote in other.unit_bags
    }


def unit_number(name: str) -> int:
    """Return the number in a unit's name."""
    return int(name.rpartition("/")[2])


def _number(unit: Unit, relation: Relation) -> int:
    return relation.side(unit.app).id


def _is_leaving(unit: Unit, relation: Relation) -> bool:
    return relation.dying or unit.dying


def concerns(unit: Unit, relation: Relation) -> bool:
    """Return whether a unit may have hooks of a relation to run.

    It has no hooks of a relation that was removed, that ended before the unit entered it, or whose
    endpoint the charm in its pod does not have yet.
    """
    if relation.removed:
        return False
    if _number(unit, relation) in unit.seen.relations:
        return True
    endpoint = relation.side(unit.app).endpoint.name
    known = unit.pod is not None and endpoint in unit.pod.charm.endpoints
    return known and not _is_leaving(unit, relation)
