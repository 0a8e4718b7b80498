"""The context of a hook: the state of the model from the point of view of one unit."""

from rehearsal.juju.hooks.messages import ContainerContext, Hook, HookContext, RelationContext
from rehearsal.juju.hooks.resolver import remote_units, unit_number
from rehearsal.juju.model import secret
from rehearsal.juju.model.state import Application, Relation, Side, Status, Unit

_UNKNOWN = Status("unknown")


def hook_context(unit: Unit, hook: Hook) -> HookContext:
    """Return the context of a hook.

    Args:
        unit: the unit that runs it.
        hook: the hook.
    """
    app, pod = unit.app, unit.pod
    charm = pod.charm if pod else app.charm
    return HookContext(
        hook=hook,
        charm_folder=pod.charm_folder if pod else charm.root,
        juju=app.model.juju.number,
        app=app.name,
        unit=unit.number,
        model=app.model.name,
        model_uuid=app.model.uuid,
        leader=unit.is_leader,
        trusted=app.trust,
        planned_units=sum(not u.dying for u in app.units.values()),
        config=app.settings(charm),
        address=pod.ip if pod else "",
        service_address=app.address,
        ports=unit.ports,
        version=unit.version,
        workload=(unit.workload.current, unit.workload.message),
        own_status=_pair(app.own_status or _UNKNOWN),
        relations=[
            _relation(unit, hook, relation)
            for relation in app.relations
            if _is_known(unit, hook, relation)
        ],
        containers=_containers(unit),
        environment=dict(pod.environment) if pod else {},
        memory=unit.memory,
        secrets=secret.context(unit),
        denied=secret.denied(unit),
    )


def _pair(status: Status) -> tuple[str, str]:
    return status.current, status.message


def _is_known(unit: Unit, hook: Hook, relation: Relation) -> bool:
    """Return whether the unit is in the relation, or hears of it with this hook."""
    number = relation.side(unit.app).id
    return number in unit.seen.relations or number == hook.relation


def _relation(unit: Unit, hook: Hook, relation: Relation) -> RelationContext:
    own, other = relation.side(unit.app), relation.other(unit.app)
    if relation.removed:
        return _removed(unit, own, other)
    bag = own.unit_bags.get(unit)
    joined = unit.seen.relations[own.id].joined if own.id in unit.seen.relations else []
    return RelationContext(
        id=own.id,
        endpoint=own.endpoint.name,
        interface=own.endpoint.interface,
        is_peer=own is other,
        remote_app=other.seen_as,
        remote_model_uuid=other.app.model.uuid,
        local_app_data=dict(own.app_bag.content),
        local_unit_data=_published(unit.app) | (bag.content if bag else {}),
        remote_app_data=dict(other.app_bag.content),
        remote_units_data={
            remote.number: dict(other.unit_bags[remote].content)
            for name, remote in remote_units(unit, relation).items()
            if name in joined or (hook.relation, hook.remote_unit) == (own.id, remote.number)
        },
    )


def _published(app: Application) -> dict[str, str]:
    """Return the addresses that Juju publishes for each unit: those of the application's Service.

    They are the same in cross-model relations.
    """
    addresses = dict.fromkeys(app.model.juju.address_keys, app.address)
    return addresses | {"egress-subnets": f"{app.address}/32"}


def _removed(unit: Unit, own: Side, other: Side) -> RelationContext:
    """Return a relation that the unit's agent still lists with its members, without any data."""
    names = unit.seen.relations[own.id].joined
    return RelationContext(
        id=own.id,
        endpoint=own.endpoint.name,
        interface=own.endpoint.interface,
        is_peer=False,
        remote_app=other.seen_as,
        remote_model_uuid=other.app.model.uuid,
        local_app_data={},
        local_unit_data={},
        remote_app_data={},
        remote_units_data={unit_number(name): {} for name in names},
        removed=True,
    )


def _containers(unit: Unit) -> list[ContainerContext]:
    if unit.pod is None:
        return []
    running = unit.pod.running
    return [
        ContainerContext(c.name, c.name in running, c.place, dict(c.layers), c.active, c.failures)
        for c in unit.pod.containers.values()
    ]
