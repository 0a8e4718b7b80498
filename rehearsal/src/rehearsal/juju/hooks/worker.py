"""The process in which the code of one charm runs, on ops.testing, one hook at a time.

It imports the charm once and runs hooks in children, so that no hook finds the memory of another.
It reads a `HookContext` from a connection and answers with a `HookResult`. Before that it
may send a `PebbleCall`, since a charm that starts a service expects it to run when its next line is
executed.

It runs in the environment of the charm, which may have an older ops. Therefore the modules that it
imports need the standard library, ops and ops-scenario only.
"""

import dataclasses
import gc
import importlib.util
import json
import os
import pickle
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar, cast

import ops
import scenario as testing

from rehearsal import fast_yaml
from rehearsal.juju.hooks.entry_point import NotACharmError, find_charm
from rehearsal.juju.hooks.messages import (
    ContainerContext,
    Hook,
    HookContext,
    HookResult,
    PebbleCall,
    RelationContext,
    packed,
)
from rehearsal.juju.hooks.module_state import ModuleState
from rehearsal.juju.hooks.real_containers import live_containers, replaced, sharing
from rehearsal.juju.hooks.real_events import live_events
from rehearsal.juju.hooks.real_pod import live_pod
from rehearsal.juju.hooks.real_secrets import (
    Notes,
    from_state,
    live_secrets,
    not_rehearsed,
    to_state,
)
from rehearsal.juju.hooks.unit_process import UnitProcesses
from rehearsal.machine import landlock

AnyContext: TypeAlias = "testing.Context[ops.CharmBase]"  # not generic in older versions
AnyRelation = testing.Relation | testing.PeerRelation
_Made = TypeVar("_Made")
_NO_SERVICE = re.compile(r"\bservice ['\"]?[^'\" ]+['\"]? (not found|does not exist)$")
_TRACING = "ops_tracing"
"""The optional package by which ops sends traces."""
_FOR_PACKING = frozenset({"base", "description", "links", "parts", "platforms", "type"})
"""Keys that charm code does not see, left out since ops.testing writes the rest for each hook."""


class Worker:
    """Runs the hooks of one charm, for all units of all its applications."""

    def __init__(self, connection: "Connection[Any, Any]", root: Path) -> None:
        self._connection = connection
        self._root = root
        self._meta = _metadata(root)
        self._charm, self._warnings = find_charm(root)
        _warm_up()
        self._state = ModuleState(root)
        gc.collect()
        gc.freeze()  # so that a child does not copy memory only to look for garbage in it

    def serve(self) -> None:
        """Answer until the controller hangs up."""
        processes = UnitProcesses(self._state.begin, self._answer, self._state.others)
        while True:
            try:
                received = self._connection.recv_bytes()
            except EOFError:
                return
            context: HookContext = pickle.loads(received)  # noqa: S301 - from the controller
            processes.run(context.charm_folder, received)

    def _answer(self, received: bytes) -> bool:
        """Run a hook, send its result, and return whether it has left no state behind."""
        self._send(self._run(pickle.loads(received)))  # noqa: S301 - from the controller
        return not self._state.has_changed()

    def _run(self, hook: HookContext) -> HookResult:
        _unpack(self._root, hook.charm_folder)
        os.chdir(hook.charm_folder)
        with _cleaned(self._context(hook)) as context:
            state = _state(hook, _bindings(self._meta["meta"]))
            share = sharing(hook, context, state)
            notes, seen = Notes(), _Seen()
            with (
                _environment(hook.environment),
                live_containers(hook, share, self._pebble),
                live_secrets(hook, notes),
                live_events(hook.hook),
                live_pod(hook),
                replaced(ops.CharmBase, {"__init__": seen.watch(ops.CharmBase.__init__)}),
            ):
                try:
                    out = context.run(_event(context, hook.hook, state), state)
                except testing.ActionFailed as failure:
                    left = cast("testing.State", failure.state)
                    return _result(hook, context, left, notes, failure.message)
                except testing.errors.UncaughtCharmError as error:
                    log = _log(context) + _left_out(error)
                    return HookResult(error=_traceback(error), log=log)
                except SystemExit as end:
                    if end.code or seen.state is None:
                        error = f"the charm called sys.exit({end.code!r})\n{traceback.format_exc()}"
                        return HookResult(error=error, log=_log(context))
                    out = seen.state
            result = _result(hook, context, out, notes)
            if hook.hook.kind == "install":
                result.log += [("WARNING", warning) for warning in self._warnings]
            return result

    def _context(self, hook: HookContext) -> AnyContext:
        return testing.Context(
            self._charm,
            meta=self._meta["meta"],
            config=self._meta["config"],
            actions=self._meta["actions"],
            app_name=hook.app,
            unit_id=hook.unit,
            app_trusted=hook.trusted,
            charm_root=hook.charm_folder,
            juju_version=hook.juju,
        )

    def _pebble(self, call: PebbleCall) -> str | None:
        self._send(call)
        return self._connection.recv()

    def _send(self, answer: HookResult | PebbleCall) -> None:
        self._connection.send_bytes(packed(answer))


def _cleaned(context: AnyContext) -> AbstractContextManager[AnyContext]:
    """Return a context that removes its files; before ops 3.8 Python does so when it is unused."""
    return context if hasattr(context, "__exit__") else nullcontext(context)


def _warm_up() -> None:
    """Run a hook of an empty charm, so that children inherit the imports of ops.testing.

    For each hook, ops.testing writes the metadata of the charm, with a slow module of PyYAML, and
    looks for a package in all folders of the path unless Python knows that it is absent.
    """
    context = testing.Context(ops.CharmBase, meta={"name": "warm-up"})
    with _cleaned(context):
        context.run(context.on.update_status(), testing.State())
    if runtime := cast("Any", sys.modules.get("scenario._runtime")):  # older ones have another name
        runtime.yaml = SimpleNamespace(safe_dump=fast_yaml.dump)
    if importlib.util.find_spec(_TRACING) is None:
        sys.modules[_TRACING] = cast("Any", None)


class _Seen:
    """Keeps the state that a charm changes, for a hook that ends early with `sys.exit(0)`.

    On Juju such a hook succeeds, and Juju keeps the changes that it has made so far.
    """

    state: testing.State | None = None

    def watch(self, original: Callable[..., None]) -> Callable[..., None]:
        """Return a constructor of charms that notes the state; ops.testing has it in private."""

        def init(charm: ops.CharmBase, framework: ops.Framework, *args: Any) -> None:
            backend: Any = getattr(framework.model, "_backend")  # noqa: B009 - private there
            self.state = backend._state
            original(charm, framework, *args)

        return init


def _unpack(root: Path, folder: Path) -> None:
    """Give a unit its copy of the charm, unless it has one; its packages are not copied."""
    if folder.exists():
        return
    shutil.copytree(root, folder, symlinks=True, ignore=shutil.ignore_patterns("venv"))
    if (root / "venv").exists():
        (folder / "venv").symlink_to(root / "venv")
    (folder / "dispatch").touch()  # charmcraft adds it; an older ops otherwise links its hooks


def _metadata(root: Path) -> dict[str, Any]:
    charmcraft = _yaml(root / "charmcraft.yaml")
    return {
        "config": charmcraft.pop("config", None) or _yaml(root / "config.yaml"),
        "actions": _actions(charmcraft.pop("actions", None) or _yaml(root / "actions.yaml")),
        "meta": {
            key: value
            for key, value in (charmcraft | _yaml(root / "metadata.yaml")).items()
            if key not in _FOR_PACKING
        },
    }


def _actions(actions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the actions of a charm; an action may have a name and nothing else."""
    return {name: body or {} for name, body in actions.items()}


def _yaml(file: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", fast_yaml.load(file.read_text())) if file.exists() else {}


def _state(hook: HookContext, bindings: Iterable[str]) -> testing.State:
    stored, deferred = pickle.loads(hook.memory) if hook.memory else ((), ())  # noqa: S301 - written below
    return testing.State(
        leader=hook.leader,
        planned_units=hook.planned_units,
        config=dict(hook.config),
        model=testing.Model(name=hook.model, uuid=hook.model_uuid, type="kubernetes"),
        relations=[_relation(relation) for relation in hook.relations],
        networks=[_network(hook, binding) for binding in bindings],
        containers=[_container(container) for container in hook.containers],
        opened_ports=[_port(protocol, number) for protocol, number in hook.ports],
        stored_states=[_make(testing.StoredState, **fields) for fields in stored],
        deferred=[_make(testing.DeferredEvent, **fields) for fields in deferred],
        app_status=_status(*hook.own_status),
        unit_status=_status(*hook.workload),
        workload_version=hook.version,
        secrets=[to_state(secret) for secret in hook.secrets],
    )


def _bindings(meta: Mapping[str, Any]) -> set[str]:
    """Return the names to which a charm may ask for addresses, related or not."""
    endpoints: dict[str, dict[str, Any] | None] = {}
    for section in ("provides", "requires", "peers"):
        endpoints |= meta.get(section) or {}
    own = {name for name, spec in endpoints.items() if (spec or {}).get("scope") != "container"}
    extra: Iterable[str] = meta.get("extra-bindings") or ()
    return own | {"juju-info"} | set(extra)


def _status(name: str, message: str) -> Any:
    """Return a status; ops.testing before 3.9 cannot convert the unknown one of ops."""
    kind = getattr(testing, f"{name.capitalize()}Status")
    return kind() if kind is testing.UnknownStatus else kind(message)


def _relation(relation: RelationContext) -> AnyRelation:
    common: dict[str, Any] = {
        "endpoint": relation.endpoint,
        "interface": relation.interface,
        "id": relation.id,
        "local_app_data": _Removed() if relation.removed else relation.local_app_data,
        "local_unit_data": _Removed() if relation.removed else relation.local_unit_data,
    }
    if relation.is_peer:
        return testing.PeerRelation(**common, peers_data=relation.remote_units_data)
    return _make(
        testing.Relation,
        **common,
        remote_app_name=relation.remote_app,
        remote_model_uuid=relation.remote_model_uuid,
        remote_app_data=relation.remote_app_data,
        remote_units_data=relation.remote_units_data,
    )


def _make(kind: Callable[..., _Made], **fields: Any) -> _Made:
    """Make an object of ops.testing from those of the fields that its version knows."""
    known = {field.name for field in dataclasses.fields(cast("Any", kind))}
    return kind(**{name: value for name, value in fields.items() if name in known})


def _fields(item: Any) -> dict[str, Any]:
    """Return the fields of an object, which another version of ops.testing can read."""
    return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}


class _Removed(dict[str, str]):
    """A databag of a relation that is gone: empty, and `relation-set` is refused."""

    def __setitem__(self, key: str, value: str) -> None:
        raise ops.RelationNotFoundError


def _network(hook: HookContext, endpoint: str) -> testing.Network:
    """Return the network of an endpoint, which on Kubernetes is the pod behind its Service."""
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
        can_connect=container.can_connect,
        layers=layers,
        check_infos=[
            _check_info(plan.checks[name], failures)
            for name, failures in container.failures.items()
            if name in plan.checks
        ],
        service_statuses=dict.fromkeys(container.active, ops.pebble.ServiceStatus.ACTIVE),
        mounts={
            entry.name: testing.Mount(location=f"/{entry.name}", source=entry)
            for entry in container.place.root.iterdir()
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


def _port(protocol: str, number: int) -> testing.TCPPort | testing.UDPPort:
    return testing.UDPPort(number) if protocol == "udp" else testing.TCPPort(number)


def _event(context: AnyContext, hook: Hook, state: testing.State) -> Any:
    """Return the event; which type it has is private to ops.testing."""
    if hook.action:
        name, params, task = hook.action
        return context.on.action(name, params=params, id=task)
    make = getattr(context.on, hook.kind)
    if hook.container is not None:
        container = state.get_container(hook.container)
        return make(container, *([container.get_check_info(hook.check)] if hook.check else []))
    if hook.secret is not None:
        secret = state.get_secret(id=f"secret:{hook.secret}")
        return make(secret, **({"revision": hook.revision} if hook.revision is not None else {}))
    if hook.relation is None:
        return make()
    relation = state.get_relation(hook.relation)
    return make(relation, **_remote(hook, relation))


def _remote(hook: Hook, relation: testing.RelationBase) -> dict[str, int]:
    remote = {"remote_unit": hook.remote_unit, "departing_unit": hook.departing_unit}
    given = {name: number for name, number in remote.items() if number is not None}
    if hook.kind == "relation_changed" and not given:
        # ops.testing wants a unit also for data of the application; `live_events` removes it.
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


def _result(
    hook: HookContext,
    context: AnyContext,
    out: testing.State,
    notes: Notes,
    failure: str | None = None,
) -> HookResult:
    relations = {r.id: r for r in out.relations}
    results = context.action_results or {}
    kept = (out.stored_states, out.deferred)
    return HookResult(
        log=_log(context) + not_rehearsed(out.secrets),
        workload=(out.unit_status.name, out.unit_status.message),
        status_set=bool(context.unit_status_history),
        own_status=(out.app_status.name, out.app_status.message),
        version=out.workload_version,
        ports=frozenset((port.protocol, port.port or 0) for port in out.opened_ports),
        app_data={number: _plain(r.local_app_data) for number, r in relations.items()},
        unit_data={number: _plain(r.local_unit_data) for number, r in relations.items()},
        layers={
            c.name: {label: layer.to_yaml() for label, layer in c.layers.items()}
            for c in out.containers
        },
        memory=pickle.dumps([[_fields(item) for item in items] for items in kept]),
        action_failure=failure,
        action_results=_plain(results),
        action_log=list(context.action_logs),
        secrets=from_state(hook, out.secrets, notes),
        removed_revisions=notes.removed,
    )


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data without the charm's own types, such as an enum of text."""
    return json.loads(json.dumps(data, default=str))


def _log(context: AnyContext) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in context.juju_log]


def _left_out(error: testing.errors.UncaughtCharmError) -> list[tuple[str, str]]:
    """Return a warning if a charm has failed for want of a service, which its image may bring."""
    text = str(error.__cause__ or error)
    if not _NO_SERVICE.search(text):
        return []
    return [("WARNING", f"{text}: services and layers of images are left out")]


def _traceback(error: testing.errors.UncaughtCharmError) -> str:
    cause = error.__cause__ or error
    return "".join(traceback.format_exception(cause))


def main(descriptor: str, root: str, *folders: str) -> None:
    """Import a charm and run its hooks.

    Args:
        descriptor: number of the connection to the controller.
        root: folder with the charm's files.
        folders: the only folders in which hooks, and the commands that they run, can change files.
    """
    sys.path[:0] = [f"{root}/src", f"{root}/lib"]
    try:
        worker = Worker(Connection(int(descriptor)), Path(root))
    except NotACharmError as error:
        sys.exit(str(error))
    for folder in folders:
        landlock.confine(folder)  # now that Python has cached the modules which the charm imports
    worker.serve()
