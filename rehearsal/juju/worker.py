"""The process in which the code of one charm runs, on ops.testing, one hook at a time.

`python -m rehearsal.juju.worker FD CHARM_ROOT` reads a `HookContext` from the connection FD and
answers with a `HookResult`. Before that it may send a `PebbleCall`, since a charm that starts a
service expects it to run when its next line is executed.
"""

import contextlib
import importlib
import json
import os
import pickle
import shutil
import sys
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import ops
import ops.testing as testing
import yaml

from rehearsal.juju.wire import (
    ContainerContext,
    Hook,
    HookContext,
    HookResult,
    PebbleCall,
    RelationContext,
)

JUJU_VERSION = "3.6.28"
AnyContext = testing.Context[ops.CharmBase]
AnyRelation = testing.Relation | testing.PeerRelation
_FOR_PACKING = frozenset({"base", "description", "links", "parts", "platforms", "type"})
"""Keys that charm code does not see, left out since ops.testing writes the rest for each hook."""
_SERVICE_METHODS = ("start", "stop", "restart", "replan")


class Worker:
    """Runs the hooks of one charm, for all units of all its applications."""

    def __init__(self, connection: "Connection[Any, Any]", root: Path) -> None:
        self._connection = connection
        self._root = root
        self._meta = _metadata(root)
        self._charm = _charm_class()

    def serve(self) -> None:
        """Answer until the controller hangs up."""
        while True:
            try:
                context: HookContext = self._connection.recv()
            except EOFError:
                return
            self._connection.send(self._run(context))

    def _run(self, hook: HookContext) -> HookResult:
        with self._context(hook) as context:
            state = _state(hook)
            with _environment(hook.environment), self._live_pebble(hook, context, state):
                try:
                    out = context.run(_event(context, hook.hook, state), state)
                except testing.ActionFailed as failure:
                    left = cast("testing.State", failure.state)
                    return _result(context, left, failure.message)
                except testing.errors.UncaughtCharmError as error:
                    return HookResult(error=_traceback(error), log=_log(context))
            return _result(context, out)

    def _context(self, hook: HookContext) -> AnyContext:
        return testing.Context(
            self._charm,
            meta=self._meta["meta"],
            config=self._meta["config"],
            actions=self._meta["actions"],
            app_name=hook.app,
            unit_id=hook.unit,
            app_trusted=hook.trusted,
            charm_root=self._root,
            juju_version=JUJU_VERSION,
        )

    @contextmanager
    def _live_pebble(
        self, hook: HookContext, context: AnyContext, state: testing.State
    ) -> Generator[None]:
        """Make the service methods of ops.Container reach the real processes while a hook runs."""
        roots = {c.name: c.root for c in hook.containers}

        def live(original: Callable[..., None], operation: str) -> Callable[..., None]:
            def method(container: ops.Container, *services: str) -> None:
                original(container, *services)
                _keep_files(context, state, container.name, roots[container.name])
                plan = cast("dict[str, Any]", container.get_plan().to_dict())
                self._connection.send(PebbleCall(container.name, operation, services, plan))
                if error := self._connection.recv():
                    raise ops.pebble.ChangeError(error, _failed(operation, error))

            return method

        originals = {name: getattr(ops.Container, name) for name in _SERVICE_METHODS}
        for name, original in originals.items():
            setattr(ops.Container, name, live(original, name))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(ops.Container, name, original)
            for name, root in roots.items():
                _keep_files(context, state, name, root)


def _metadata(root: Path) -> dict[str, Any]:
    charmcraft = _yaml(root / "charmcraft.yaml")
    return {
        "config": charmcraft.pop("config", None) or _yaml(root / "config.yaml"),
        "actions": charmcraft.pop("actions", None) or _yaml(root / "actions.yaml"),
        "meta": {
            key: value
            for key, value in (charmcraft | _yaml(root / "metadata.yaml")).items()
            if key not in _FOR_PACKING
        },
    }


def _yaml(file: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(file.read_text())) if file.exists() else {}


def _charm_class() -> type[ops.CharmBase]:
    """Return the charm that `src/charm.py` defines itself, not one that it imports."""
    module = importlib.import_module("charm")
    return next(
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, ops.CharmBase)
        and item.__module__ == module.__name__
    )


def _state(hook: HookContext) -> testing.State:
    stored, deferred = pickle.loads(hook.memory) if hook.memory else ((), ())  # noqa: S301 - written below by this very code
    return testing.State(
        leader=hook.leader,
        planned_units=hook.planned_units,
        config=dict(hook.config),
        model=testing.Model(name=hook.model, uuid=hook.model_uuid, type="kubernetes"),
        relations=[_relation(hook, relation) for relation in hook.relations],
        networks=[_network(hook, endpoint) for endpoint in _endpoints(hook)],
        containers=[_container(container) for container in hook.containers],
        opened_ports=[_port(protocol, number) for protocol, number in hook.ports],
        stored_states=stored,
        deferred=list(deferred),
        app_status=ops.StatusBase.from_name(*hook.own_status),
        unit_status=ops.StatusBase.from_name(*hook.workload),
        workload_version=hook.version,
    )


def _endpoints(hook: HookContext) -> set[str]:
    return {relation.endpoint for relation in hook.relations}


def _relation(hook: HookContext, relation: RelationContext) -> AnyRelation:
    addresses = {
        "egress-subnets": f"{hook.service_address}/32",
        "ingress-address": hook.service_address,
        "private-address": hook.service_address,
    }
    common: dict[str, Any] = {
        "endpoint": relation.endpoint,
        "interface": relation.interface,
        "id": relation.id,
        "local_app_data": relation.local_app_data,
        "local_unit_data": addresses | relation.local_unit_data,
    }
    if relation.is_peer:
        return testing.PeerRelation(**common, peers_data=relation.remote_units_data)
    return testing.Relation(
        **common,
        remote_app_name=relation.remote_app,
        remote_model_uuid=relation.remote_model_uuid,
        remote_app_data=relation.remote_app_data,
        remote_units_data=relation.remote_units_data,
    )


def _network(hook: HookContext, endpoint: str) -> testing.Network:
    """Bound to the pod, reached through the Service: what `network-get` answers on Kubernetes."""
    pod = testing.BindAddress([testing.Address(hook.address)])
    return testing.Network(
        endpoint,
        bind_addresses=[pod],
        ingress_addresses=[hook.service_address],
        egress_subnets=[f"{hook.service_address}/32"],
    )


def _container(container: ContainerContext) -> testing.Container:
    layers = {label: ops.pebble.Layer(text) for label, text in container.layers.items()}
    plan = testing.Container(container.name, layers=layers).plan
    return testing.Container(
        container.name,
        can_connect=True,
        layers=layers,
        check_infos=[
            _check_info(plan.checks[name], failures)
            for name, failures in container.failures.items()
            if name in plan.checks
        ],
        service_statuses=dict.fromkeys(container.active, ops.pebble.ServiceStatus.ACTIVE),
        mounts={
            entry.name: testing.Mount(location=f"/{entry.name}", source=entry)
            for entry in container.root.iterdir()
        },
    )


def _check_info(check: ops.pebble.Check, failures: int) -> testing.CheckInfo:
    threshold = check.threshold or 3
    up, down = ops.pebble.CheckStatus.UP, ops.pebble.CheckStatus.DOWN
    return testing.CheckInfo(
        check.name,
        level=check.level,
        threshold=threshold,
        failures=failures,
        status=up if failures < threshold else down,
    )


def _failed(operation: str, error: str) -> ops.pebble.Change:
    """Return the change with which Pebble reports that it could not do as it was asked."""
    return ops.pebble.Change.from_dict(
        {
            "id": "0",
            "kind": operation,
            "summary": operation,
            "status": "Error",
            "ready": True,
            "err": error,
            "spawn-time": "2000-01-01T00:00:00Z",
            "ready-time": "2000-01-01T00:00:00Z",
        }
    )


def _port(protocol: str, number: int) -> testing.TCPPort | testing.UDPPort:
    return testing.UDPPort(number) if protocol == "udp" else testing.TCPPort(number)


def _event(context: AnyContext, hook: Hook, state: testing.State) -> Any:
    """Return the event; which type it has is private to ops.testing."""
    if hook.action:
        name, params, task = hook.action
        return context.on.action(name, params=params, id=task)
    make = getattr(context.on, hook.kind)
    if hook.container is not None:
        return make(state.get_container(hook.container))
    if hook.relation is None:
        return make()
    relation = state.get_relation(hook.relation)
    return make(relation, **_remote(hook, relation))


def _remote(hook: Hook, relation: testing.RelationBase) -> dict[str, int]:
    remote = {"remote_unit": hook.remote_unit, "departing_unit": hook.departing_unit}
    given = {name: number for name, number in remote.items() if number is not None}
    if hook.kind == "relation_changed" and not given:
        # News of the application: ops.testing wants a unit all the same.
        units = relation.peers_data if isinstance(relation, testing.PeerRelation) else None
        data = units if units is not None else cast("testing.Relation", relation).remote_units_data
        return {"remote_unit": min(data)}
    return given


@contextmanager
def _environment(variables: dict[str, str]) -> Generator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _keep_files(context: AnyContext, state: testing.State, container: str, root: Path) -> None:
    """Keep the top-level folders that the charm made; those that were there are links already."""
    made = state.get_container(container).get_filesystem(context)
    with contextlib.suppress(FileNotFoundError):
        for entry in made.iterdir():
            if entry.is_symlink():
                continue
            if entry.is_dir():
                shutil.copytree(entry, root / entry.name, dirs_exist_ok=True)
            else:
                shutil.copy(entry, root / entry.name)


def _result(context: AnyContext, out: testing.State, failure: str | None = None) -> HookResult:
    relations = {r.id: r for r in out.relations}
    results = context.action_results or {}
    return HookResult(
        log=_log(context),
        workload=(out.unit_status.name, out.unit_status.message),
        own_status=(out.app_status.name, out.app_status.message),
        version=out.workload_version,
        ports=frozenset((port.protocol, port.port or 0) for port in out.opened_ports),
        app_data={number: _plain(r.local_app_data) for number, r in relations.items()},
        unit_data={number: _plain(r.local_unit_data) for number, r in relations.items()},
        layers={
            c.name: {label: layer.to_yaml() for label, layer in c.layers.items()}
            for c in out.containers
        },
        memory=pickle.dumps((out.stored_states, out.deferred)),
        action_failure=failure,
        action_results=_plain(results),
        action_log=list(context.action_logs),
    )


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data without the charm's own types, such as an enum of text."""
    return json.loads(json.dumps(data, default=str))


def _log(context: AnyContext) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in context.juju_log]


def _traceback(error: testing.errors.UncaughtCharmError) -> str:
    cause = error.__cause__ or error
    return "".join(traceback.format_exception(cause))


if __name__ == "__main__":
    descriptor, charm_root = sys.argv[1:]
    sys.path[:0] = [f"{charm_root}/src", f"{charm_root}/lib"]
    Worker(Connection(int(descriptor)), Path(charm_root)).serve()
