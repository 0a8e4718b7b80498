"""Which hook a unit runs next.

As in Juju's uniter, nothing queues hooks: what a unit has been told (`Seen`) is compared with what
is so now, and the first difference is the next hook. So nothing is told twice, nothing is missed,
and what has passed in the meantime is not told at all. The order is that of the life of a charm in
Juju's documentation; where that leaves it open, any of the hooks may be next.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rehearsal.juju import secret
from rehearsal.juju.state import Bag, Relation, SeenRelation, Unit
from rehearsal.juju.wire import Hook


@dataclass(frozen=True)
class Sight:
    """What a hook sees, by version: news that come while it runs are told by another.

    Attributes:
        charm: the charm's revision.
        config: the configuration's version.
        bags: of the hook's relation, the databags' versions on the other side, by owner.
        secrets: the latest revisions of those that the unit may read, by identifier.
    """

    charm: int
    config: int
    bags: Mapping[str, int]
    secrets: Mapping[str, int]


_FACTS: Mapping[str, Callable[[Sight], Mapping[str, bool | int]]] = {
    "install": lambda sight: {"installed": True, "charm": sight.charm},
    "leader_elected": lambda _: {"leader": True},
    "upgrade_charm": lambda sight: {"charm": sight.charm},
    "config_changed": lambda sight: {"config": sight.config},
    "start": lambda _: {"started": True},
    "stop": lambda _: {"stopped": True},
    "remove": lambda _: {"removed": True},
}
"""What a unit knows after a hook that is about itself."""


def hooks(unit: Unit, revision: str) -> Iterator[Hook]:
    """Yield the hooks of which any may be a unit's next; none, if it has been told everything.

    Args:
        unit: the unit.
        revision: what its pod's revision should be; a pod of another one is to be stopped.
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
    """Yield what comes between install and stop."""
    relations = [r for r in unit.app.relations if not _is_told_over(unit, r)]
    setup, ready = list(_setup(unit, relations)), list(_ready(unit))
    yield from setup
    yield from ready
    if setup:
        return
    leaving = [hook for relation in relations for hook in _leaving(unit, relation)]
    yield from leaving
    if not unit.dying and not replaced:
        yield from tasks(unit)
        for relation in relations:
            yield from _coming(unit, relation)
        yield from secret.hooks(unit)
        yield from _checks(unit)
    elif not ready and not leaving:
        yield Hook("stop")


def tasks(unit: Unit) -> Iterator[Hook]:
    """Yield the next action of a unit, which runs also while a hook has failed."""
    if unit.tasks:
        task = unit.tasks[0]
        yield Hook("action", action=(task.action, task.params, str(task.id)))


def _setup(unit: Unit, relations: list[Relation]) -> Iterator[Hook]:
    """Yield what comes next in the order that Juju keeps."""
    seen, app = unit.seen, unit.app
    numbers = [_number(unit, relation) for relation in relations]
    created = [Hook("relation_created", relation=n) for n in numbers if n not in seen.relations]
    due = {
        "leader_elected": unit.is_leader and not seen.leader,
        "upgrade_charm": seen.charm != app.charm.revision,
        "config_changed": seen.config != app.config_version,
        "start": not seen.started,
    }
    yield from created or [Hook(kind) for kind, is_due in due.items() if is_due][:1]


def _ready(unit: Unit) -> Iterator[Hook]:
    """Yield what comes at any time once the charm is installed."""
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
    if unheard:  # what joined is what changed next
        yield Hook("relation_changed", relation=number, remote_unit=unheard[0].number)
        return
    for remote in (remote for name, remote in there.items() if name not in joined):
        yield Hook("relation_joined", relation=number, remote_unit=remote.number)
    # Once a remote unit has joined, since ops.testing cannot tell of the application alone.
    if joined and _is_news(told, other.seen_as, other.app_bag):
        yield Hook("relation_changed", relation=number)
    for name, remote in joined.items():
        if _is_news(told, name, other.unit_bags[remote]):
            yield Hook("relation_changed", relation=number, remote_unit=remote.number)


def _is_news(told: SeenRelation, name: str, content: Bag) -> bool:
    return told.versions.get(name) != content.version


def sight(unit: Unit, relation: Relation | None) -> Sight:
    """Return what a hook of the unit sees now.

    Args:
        unit: the unit.
        relation: the one that the hook is about.
    """
    bags = _versions(unit, relation) if relation else {}
    latest = {each.id: each.latest for each in secret.readable(unit)}
    return Sight(unit.app.charm.revision, unit.app.config_version, bags, latest)


def record(unit: Unit, hook: Hook, seen: Sight) -> None:
    """Note that a hook has told its unit what it is about.

    Args:
        unit: the unit.
        hook: the hook, which has run.
        seen: what it saw when it began.
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
    """Return the units on the other side that have entered the relation, by name as seen here."""
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


def _is_told_over(unit: Unit, relation: Relation) -> bool:
    """Tell whether the unit has nothing more to hear of a relation that ends."""
    return _is_leaving(unit, relation) and _number(unit, relation) not in unit.seen.relations
