"""Small deployments as the controller knows them, without processes."""

from pathlib import Path

from rehearsal.juju.hooks import resolver
from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.model.charm import Charm, Endpoint
from rehearsal.juju.model.state import Application, Bag, Model, Pod, Relation, Side, Unit

SERVER = Endpoint("server", "db", "provider")
CLIENT = Endpoint("db", "db", "requirer")


def charm(*endpoints: Endpoint) -> Charm:
    """Return a charm with these endpoints."""
    named = {e.name: e for e in (*endpoints, Endpoint("juju-info", "juju-info", "provider"))}
    return Charm("any", Path("any"), 0, named, {}, {}, (), ())


def application(model: Model, name: str, *endpoints: Endpoint, units: int = 1) -> Application:
    """Add an application whose units have pods but have not run a hook."""
    app = model.apps[name] = Application(name, model, charm(*endpoints), units, {}, {})
    for number in range(units):
        app.units[number] = Unit(app, number, pod=Pod("127.1.64.1", "", {}, {}, app.charm))
    app.leader = app.units[0]
    return app


def relate(first: Application, second: Application) -> Relation:
    """Relate the first application's CLIENT to the second's SERVER."""
    number = first.model.take_relation_id()
    sides = Side(first, CLIENT, number, first.name), Side(second, SERVER, number, second.name)
    relation = Relation(sides)
    for app in (first, second):
        app.relations.append(relation)
    return relation


def step(unit: Unit) -> Hook | None:
    """Run a unit's next hook, which changes nothing, and return it."""
    hook = next(resolver.hooks(unit, unit.pod.revision if unit.pod else ""), None)
    if hook is None:
        return None
    relation = next((r for r in unit.app.relations if r.side(unit.app).id == hook.relation), None)
    sight = resolver.sight(unit, relation)
    if relation and hook.kind != "relation_broken":
        relation.side(unit.app).unit_bags.setdefault(unit, Bag())
    resolver.record(unit, hook, sight)
    return hook


def run_out(*units: Unit) -> list[str]:
    """Run all hooks of the units, in turns, and return their kinds."""
    kinds: list[str] = []
    while True:
        hooks = [hook for hook in map(step, units) if hook]
        if not hooks:
            return kinds
        kinds += [hook.kind for hook in hooks]
