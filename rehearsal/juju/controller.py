"""Juju's controller: takes commands, runs one hook after the other, keeps what came of each."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.juju import resolver
from rehearsal.juju.agent import Agent
from rehearsal.juju.charm import Charm, ConfigValue, load, name_of
from rehearsal.juju.cluster import Cluster
from rehearsal.juju.context import hook_context
from rehearsal.juju.endpoints import End, key
from rehearsal.juju.errors import JujuError
from rehearsal.juju.pebble import Container
from rehearsal.juju.state import (
    Application,
    Bag,
    Model,
    Offer,
    Pod,
    Relation,
    Seen,
    Side,
    Status,
    Task,
    Unit,
)
from rehearsal.juju.wire import Hook, HookResult, PebbleCall
from rehearsal.processes import Processes

_FIRST_RETRY, _RETRY_FACTOR, _LONGEST_RETRY = 5.0, 2.0, 300.0
"""Seconds after which Juju runs a failed hook again."""
_UPDATE_STATUS = 300.0
"""Seconds between two update-status hooks."""
Environment = Callable[[Unit], Mapping[str, str]]


@dataclass(frozen=True)
class Substrate:
    """What the controller stands on.

    Attributes:
        cluster: Kubernetes.
        environment: variables that the charm code of a unit gets, such as KUBECONFIG.
        workload_environment: variables that the processes of a unit's pod get.
        workload_address: address at which they listen, by the pod's.
        processes: starts and stops them.
        directory: folder for charms, containers and logs.
    """

    cluster: Cluster
    environment: Environment
    workload_environment: Environment
    workload_address: Callable[[str], str]
    processes: Processes
    directory: Path


class Controller:
    """One controller with its models. Hold `lock` to read or change what it knows.

    Attributes:
        models: by name.
        lock: guards everything; whoever changes something calls `wake`.
    """

    def __init__(self, substrate: Substrate) -> None:
        self.models: dict[str, Model] = {}
        self.lock = threading.RLock()
        self._on = substrate
        self._agents: dict[Path, Agent] = {}
        self._news = threading.Event()
        self._stopping = False
        self._turns = 0
        self._thread = threading.Thread(target=self._work, name="controller")

    def start(self) -> None:
        """Begin to run hooks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop running hooks, and everything that runs in pods."""
        self._stopping = True
        self.wake()
        self._thread.join()
        units = [unit for model in self.models.values() for unit in model.units()]
        with ThreadPoolExecutor() as pool:
            stopped = [pool.submit(self._stop_containers, unit) for unit in units]
            stopped += [pool.submit(agent.stop) for agent in self._agents.values()]
        for future in stopped:
            future.result()

    def wake(self) -> None:
        """Have it look for hooks to run. Takes no lock."""
        self._news.set()

    # What commands do

    def add_model(self, name: str) -> Model:
        """Add a model and its namespace."""
        if name in self.models or self._on.cluster.has_namespace(name):
            raise JujuError(
                "the model cannot be created because a namespace with the proposed\n"
                "model name already exists in the k8s cluster.\n"
                "Please choose a different model name.\n (already exists)"
            )
        model = self.models[name] = Model(name)
        self._on.cluster.add_model(model)
        return model

    def destroy_model(self, model: Model, *, force: bool = False) -> None:
        """Begin to remove a model: all its applications first."""
        model.offers.clear()
        model.dying = True
        for app in list(model.apps.values()):
            self.remove_application(app, force=force)
        self._tidy(model)
        self.wake()

    def add_charm(self, model: Model, path: Path) -> Charm:
        """Upload a local charm: its next revision in the model, in a process of its own."""
        name = name_of(path) if path.exists() else path.stem
        directory = self._on.directory / "charms" / model.uuid
        charm = load(path, model.revisions[name], directory)
        model.revisions[name] += 1
        log = self._on.directory / f"charm-{charm.name}-{charm.revision}.log"
        self._agents[charm.root] = Agent(charm, self._on.processes.spawn, log)
        return charm

    def deploy(self, app: Application) -> None:
        """Add an application with its peer relations and its units."""
        app.model.apps[app.name] = app
        for endpoint in app.charm.endpoints.values():
            if endpoint.role == "peer":
                side = Side(app, endpoint, app.model.take_relation_id(), app.name)
                app.model.relations.append(Relation((side,)))
        self._on.cluster.apply(app)
        self.scale(app, app.scale)

    def scale(self, app: Application, scale: int) -> None:
        """Set how many units an application has; the highest numbers go first."""
        app.scale = scale
        for number in range(scale):
            if number not in app.units:
                self._add_unit(app, number)
        for unit in app.units.values():
            unit.dying = unit.dying or unit.number >= scale
        self._on.cluster.apply(app)
        self.wake()

    def remove_application(self, app: Application, *, force: bool = False) -> None:
        """Begin to remove an application: its relations end, its units leave.

        With `force`, they leave without running a hook.
        """
        app.dying = True
        for relation in app.model.relations_of(app):
            relation.dying = True
        self.scale(app, 0)
        for unit in list(app.units.values()) if force else ():
            self._remove_unit(unit)
        self._tidy(app.model)

    def integrate(self, ends: tuple[End, End]) -> Relation:
        """Relate two applications of one model."""
        model = ends[0][0].model
        sides = tuple(
            Side(app, endpoint, number, app.name)
            for number in [model.take_relation_id()]
            for app, endpoint in ends
        )
        relation = Relation(sides)
        self._refuse(model, relation, key(ends))
        model.relations.append(relation)
        self.wake()
        return relation

    def remove_relation(self, relation: Relation) -> None:
        """Begin to remove a relation: its units hear of it, then it is gone."""
        relation.dying = True
        self._tidy(relation.sides[0].app.model)
        self.wake()

    def configure(self, app: Application, changes: Mapping[str, ConfigValue | None]) -> None:
        """Set options, or reset those that are None."""
        config = app.config | {k: v for k, v in changes.items() if v is not None}
        for name in (name for name, value in changes.items() if value is None):
            config.pop(name, None)
        if config != app.config:
            app.config = config
            app.config_version += 1
        self.wake()

    def trust(self, app: Application, trust: bool) -> None:
        """Grant or withdraw an application's rights in the cluster."""
        if app.trust != trust:
            app.trust = trust
            app.config_version += 1
        self._on.cluster.apply(app)
        self.wake()

    def offer(self, offer: Offer) -> None:
        """Offer endpoints of an application."""
        offer.app.model.offers[offer.name] = offer

    def run_action(self, unit: Unit, action: str, params: Mapping[str, Any]) -> Task:
        """Queue an action on a unit."""
        task = Task(unit.app.model.take_task_id(), action, params)
        unit.tasks.append(task)
        self.wake()
        return task

    def _refuse(self, model: Model, relation: Relation, name: str) -> None:
        for other in model.relations:
            if other.key == relation.key:
                state = "is dying, but not yet removed" if other.dying else "(already exists)"
                raise JujuError(
                    f'cannot add relation "{name}":\nrelation {name} {state}:\n\n\n'
                    "Use 'juju status --relations' to view the current relations."
                )
        for side in relation.sides:
            taken = sum(
                s.app is side.app and s.endpoint == side.endpoint
                for r in model.relations
                for s in r.sides
            )
            if side.endpoint.limit is not None and taken >= side.endpoint.limit:
                raise JujuError(
                    f'cannot add relation "{name}": establishing a new relation for {side.key} '
                    f"would exceed its maximum relation limit of {side.endpoint.limit} "
                    "(quota limit exceeded)"
                )

    # Units and pods

    def _add_unit(self, app: Application, number: int) -> None:
        unit = app.units[number] = Unit(app, number)
        app.leader = app.leader or unit
        unit.update_at = time.monotonic() + _UPDATE_STATUS
        self._start_pod(unit)

    def _start_pod(self, unit: Unit) -> None:
        cluster = self._on.cluster
        address, revision = cluster.add_pod(unit)
        unit.pod = Pod(address, revision, {})
        root = self._on.directory / "pods" / unit.app.model.name / address / unit.pod_name
        environment = self._on.workload_environment(unit)
        for name in unit.app.charm.containers:
            unit.pod.containers[name] = Container(
                name=name,
                root=root / name,
                address=self._on.workload_address(address),
                environment=environment,
                processes=self._on.processes,
                changed=self._readiness(unit, unit.pod),
            )

    def _readiness(self, unit: Unit, pod: Pod) -> Callable[[], None]:
        def tell() -> None:
            ready = all(container.ready for container in pod.containers.values())
            self._on.cluster.set_ready(unit, ready=ready)

        return tell

    def _stop_containers(self, unit: Unit) -> None:
        for container in unit.pod.containers.values() if unit.pod else ():
            container.stop()

    def _restart_pod(self, unit: Unit) -> None:
        """Replace a stopped pod by a new one, in which the charm begins again but for install."""
        self._stop_containers(unit)
        self._on.cluster.remove_pod(unit)
        seen = unit.seen
        unit.seen = Seen(installed=True, leader=seen.leader, relations=seen.relations)
        self._start_pod(unit)

    def _remove_unit(self, unit: Unit) -> None:
        self._stop_containers(unit)
        self._on.cluster.remove_pod(unit)
        app = unit.app
        del app.units[unit.number]
        for relation in app.model.relations_of(app):
            relation.side(app).unit_bags.pop(unit, None)
        if app.leader is unit:
            app.leader = next(iter(app.units.values()), None)
        for task in unit.tasks:
            self._finish(task, "aborted", "unit was removed")
        self._on.cluster.apply(app)

    # Hooks

    def _work(self) -> None:
        while not self._stopping:
            self._news.clear()
            step = self._next()
            if step:
                self._run(*step)
            else:
                self._news.wait(self._until_next())

    def _next(self) -> tuple[Unit, Hook] | None:
        """Return a hook to run, of the unit that has waited longest."""
        with self.lock:
            units = [unit for model in self.models.values() for unit in model.units()]
            for unit in sorted(units, key=lambda unit: unit.turn):
                hook = self._hook_for(unit)
                if hook:
                    self._turns += 1
                    unit.turn = self._turns
                    return unit, hook
        return None

    def _hook_for(self, unit: Unit) -> Hook | None:
        if unit.failed and unit.retry_at > time.monotonic():
            return None
        hook = resolver.next_hook(unit, self._target(unit))
        if hook is None and unit.seen.started and unit.update_at <= time.monotonic():
            return Hook("update_status")
        return hook

    def _target(self, unit: Unit) -> str:
        """Return the revision that a pod should have now: new ones from the highest number down."""
        revision = self._on.cluster.revision(unit.app)
        own = unit.pod.revision if unit.pod else revision
        above = [u for u in unit.app.units.values() if u.number > unit.number and not u.dying]
        done = all(u.pod and u.pod.revision == revision and u.seen.started for u in above)
        return revision if done else own

    def _until_next(self) -> float:
        with self.lock:
            units = [unit for model in self.models.values() for unit in model.units()]
            due = [unit.retry_at if unit.failed else unit.update_at for unit in units]
        return max(0.0, min(due, default=time.monotonic() + _UPDATE_STATUS) - time.monotonic())

    def _run(self, unit: Unit, hook: Hook) -> None:
        with self.lock:
            context = hook_context(unit, hook, self._on.environment(unit))
            relation = self._relation(unit, hook)
            versions = resolver.versions(unit, relation) if relation else {}
            name = _hook_name(unit, hook, relation)
            unit.agent = Status("executing", f"running {name} hook")
            if hook.action:
                unit.tasks[0].started = time.time()
            agent = self._agents[unit.app.charm.root]
        try:
            result = agent.run(context, self._pebble(unit))
        except JujuError as error:
            result = HookResult(error=str(error))
        with self.lock:
            self._log(unit, result)
            if result.error and hook.action:
                self._finish(unit.tasks.popleft(), "failed", "exit status 1", return_code=1)
                unit.agent = Status("idle")
            elif result.error:
                self._fail(unit, name)
            else:
                self._commit(unit, hook, result)
                resolver.record(unit, hook, versions)
            self._after(unit)

    def _pebble(self, unit: Unit) -> Callable[[PebbleCall], None]:
        def call(call: PebbleCall) -> None:
            if unit.pod:
                unit.pod.containers[call.container].call(call)

        return call

    def _relation(self, unit: Unit, hook: Hook) -> Relation | None:
        relations = unit.app.model.relations_of(unit.app)
        return next((r for r in relations if r.side(unit.app).id == hook.relation), None)

    def _fail(self, unit: Unit, name: str) -> None:
        delay = min(_FIRST_RETRY * _RETRY_FACTOR**unit.retries, _LONGEST_RETRY)
        unit.failed, unit.retries = name, unit.retries + 1
        unit.retry_at = time.monotonic() + delay
        unit.workload = Status("error", f'hook failed: "{name}"')
        unit.agent = Status("idle")

    def _commit(self, unit: Unit, hook: Hook, result: HookResult) -> None:
        unit.failed, unit.retries = None, 0
        unit.agent = Status("idle")
        unit.workload = _newer(unit.workload, result.workload)
        unit.version, unit.memory = result.version, result.memory
        unit.update_at = time.monotonic() + _UPDATE_STATUS
        if unit.is_leader and result.own_status[0] != "unknown":
            unit.app.own_status = _newer(unit.app.own_status, result.own_status)
        for name, layers in result.layers.items():
            if unit.pod and name in unit.pod.containers:
                unit.pod.containers[name].layers = layers
        self._commit_bags(unit, hook, result)
        if hook.action:
            self._commit_task(unit, result)
        if result.ports != unit.ports:
            unit.ports = result.ports
            self._on.cluster.apply(unit.app)

    def _commit_bags(self, unit: Unit, hook: Hook, result: HookResult) -> None:
        for relation in unit.app.model.relations_of(unit.app):
            side = relation.side(unit.app)
            broken = hook.kind == "relation_broken" and hook.relation == side.id
            if broken or side.id not in result.unit_data:
                continue
            side.unit_bags.setdefault(unit, Bag()).replace(result.unit_data[side.id])
            if unit.is_leader:
                side.app_bag.replace(result.app_data[side.id])

    def _commit_task(self, unit: Unit, result: HookResult) -> None:
        task = unit.tasks.popleft()
        task.results, task.log = result.action_results, result.action_log
        failed = result.action_failure is not None
        self._finish(task, "failed" if failed else "completed", result.action_failure or "")

    def _finish(self, task: Task, status: str, message: str, return_code: int = 0) -> None:
        task.status, task.message, task.completed = status, message, time.time()
        task.return_code = return_code
        task.done.set()

    def _log(self, unit: Unit, result: HookResult) -> None:
        lines = list(result.log)
        if result.error:
            lines += [("ERROR", line) for line in result.error.splitlines()]
        for level, message in lines:
            unit.app.model.log.append((time.time(), unit.name, level, message))

    def _after(self, unit: Unit) -> None:
        if unit.seen.removed:
            self._remove_unit(unit)
        elif unit.seen.stopped and not unit.dying:
            self._restart_pod(unit)
        self._tidy(unit.app.model)

    def _tidy(self, model: Model) -> None:
        """Drop what is dying and of which nobody has yet to hear."""
        model.relations = [r for r in model.relations if not (r.dying and _is_told(r))]
        for app in list(model.apps.values()):
            if app.dying and not app.units and not model.relations_of(app):
                self._on.cluster.remove(app)
                del model.apps[app.name]
        if model.dying and not model.apps:
            self._on.cluster.remove_model(model)
            self.models.pop(model.name, None)


def _is_told(relation: Relation) -> bool:
    """Tell whether every unit on both sides has heard that a relation ended."""
    return not any(
        side.id in unit.seen.relations
        for side in relation.sides
        for unit in side.app.units.values()
    )


def _newer(old: Status | None, new: tuple[str, str]) -> Status:
    return old if old and (old.current, old.message) == new else Status(*new)


def _hook_name(unit: Unit, hook: Hook, relation: Relation | None) -> str:
    name = hook.kind.replace("_", "-")
    if hook.action:
        return hook.action[0]
    if relation:
        return f"{relation.side(unit.app).endpoint.name}-{name}"
    return f"{hook.container}-{name}" if hook.container else name
