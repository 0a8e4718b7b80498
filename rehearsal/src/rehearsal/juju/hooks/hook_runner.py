"""Runs the hooks of each charm, one after the other, and applies their results."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rehearsal.juju.errors import JujuError
from rehearsal.juju.hooks import resolver
from rehearsal.juju.hooks.context import hook_context
from rehearsal.juju.hooks.environment import Environment
from rehearsal.juju.hooks.event_order import EventOrder
from rehearsal.juju.hooks.messages import Hook, HookContext, HookResult, PebbleCall
from rehearsal.juju.hooks.spare_workers import Code, SpareWorkers
from rehearsal.juju.hooks.worker_process import WorkerProcess
from rehearsal.juju.model import secret
from rehearsal.juju.model.charm import Charm
from rehearsal.juju.model.lifecycle import Lifecycle, Substrate
from rehearsal.juju.model.state import (
    AgentMessage,
    Application,
    Bag,
    Model,
    Relation,
    SeenRelation,
    Side,
    Status,
    Unit,
)

_LONGEST_WAIT = 300.0
"""Seconds between two searches for hooks if no change asks for one."""
_FIRST_RETRY, _RETRY_FACTOR, _LONGEST_RETRY = 5.0, 2.0, 300.0
"""Seconds after which Juju runs a failed hook again."""
_UPDATE_STATUS = Hook("update_status")
_BEFORE: Mapping[str, tuple[str, str]] = {
    "install": ("maintenance", "installing charm software"),
    "stop": ("maintenance", "stopping charm software"),
    "remove": ("maintenance", "cleaning up prior to charm deletion"),
}
_AFTER: Mapping[str, tuple[str, str]] = {
    "start": ("unknown", ""),
    "stop": ("maintenance", ""),
    "remove": ("terminated", ""),
}
"""The workload status that Juju itself sets before and after some hooks."""
_UNLESS_SET = ("install", "start")
"""The hooks among these that keep a status which the charm has set."""


@dataclass(frozen=True)
class Step:
    """A hook to run now, with its context."""

    unit: Unit
    hook: Hook
    name: str
    context: HookContext
    sight: resolver.Sight


@dataclass(frozen=True)
class _CharmRunner:
    """The worker process and the thread of one charm."""

    agent: WorkerProcess
    thread: threading.Thread
    news: threading.Event
    code: Code


class HookRunner:
    """The agents of all units, with a thread and a process for each charm.

    Args:
        models: the models by name.
        lock: guards them.
        lifecycle: replaces and removes units.
        substrate: the cluster, the processes and the folder of the run.
        order: chooses the next hook if Juju leaves the order open.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        lock: threading.RLock,
        lifecycle: Lifecycle,
        substrate: Substrate,
        order: EventOrder,
    ) -> None:
        self._models = models
        self._lock = lock
        self._lifecycle = lifecycle
        self._on = substrate
        self._order = order
        self._runners: dict[Path, _CharmRunner] = {}
        self._spare = SpareWorkers()
        self._stopping = False
        self._turns = 0
        self._quiet_until = 0.0

    def stop(self) -> None:
        """Stop running hooks, and interrupt the running ones."""
        self._stopping = True
        runners = list(self._runners.values())
        for runner in runners:
            runner.news.set()
            runner.agent.stop()
        for runner in runners:
            runner.thread.join()
        self._spare.stop()

    def hold(self) -> None:
        """Delay the next hooks for some time, as a controller takes time to tell its agents."""
        self._quiet_until = time.monotonic() + self._on.delay

    def wake(self) -> None:
        """Start a search for hooks to run. Takes no lock."""
        for runner in list(self._runners.values()):
            runner.news.set()

    def add_charm(self, charm: Charm, environment: Environment) -> None:
        """Start the process that runs a charm's code, and the thread that feeds it."""
        log = self._on.directory / f"charm-{charm.root.name}.log"
        thread = threading.Thread(
            target=self._work, args=(charm.root,), name=f"hooks of {charm.name}"
        )
        # The packages of a packed charm are in its digest, and in another folder each time.
        code = charm.digest, replace(environment, packages=None)
        agent = self._spare.take(code)
        agent = agent or WorkerProcess(charm, environment, self._on.processes, log)
        self._runners[charm.root] = _CharmRunner(agent, thread, threading.Event(), code)
        thread.start()

    def _work(self, root: Path) -> None:
        """Run the hooks of a charm's units, until no pod and no application has the charm."""
        runner = self._runners[root]
        while not self._stopping and self._is_used(root):
            runner.news.clear()
            step = self._next(root)
            if step:
                self._run(step, runner.agent)
                self.wake()
            else:
                runner.news.wait(self._until_next(root))
        self._spare.keep(runner.code, runner.agent)
        self._runners.pop(root, None)

    def _is_used(self, root: Path) -> bool:
        with self._lock:
            apps = [app for model in self._models.values() for app in model.apps.values()]
            return any(app.charm.root == root for app in apps) or bool(self._units(root))

    def _units(self, root: Path) -> list[Unit]:
        """Return the units in whose pods a charm runs."""
        units = (unit for model in self._models.values() for unit in model.units())
        return [unit for unit in units if unit.pod and unit.pod.charm.root == root]

    def _next(self, root: Path) -> Step | None:
        """Return a hook to run."""
        with self._lock:
            self._lifecycle.replace_deleted_pods()
            self._lifecycle.start_due_pods()
            if time.monotonic() < self._quiet_until:
                return None
            for unit in self._order.units(self._units(root)):
                hook = self._hook_for(unit)
                if hook:
                    return self._step(unit, hook)
        return None

    def _step(self, unit: Unit, hook: Hook) -> Step:
        self._turns += 1
        unit.turn = self._turns
        relations = unit.app.relations
        relation = next((r for r in relations if r.side(unit.app).id == hook.relation), None)
        name = _hook_name(unit, hook, relation)
        unit.agent = Status("executing", f"running {name} hook")
        _set_status(unit, hook, _BEFORE)
        if hook.action:
            unit.tasks[0].started = time.time()
        if hook.kind == "relation_created":
            # From now on the thread waits for the end of the relation.
            unit.seen.relations[hook.relation or 0] = SeenRelation()
        if unit.pod:
            known = {hook.container} if hook.container else set[str]()
            # Juju polls each Pebble every five seconds, so pebble-ready may come some time later.
            early = {name for name in unit.pod.containers if self._order.happens()}
            unit.pod.running |= known | early
        return Step(unit, hook, name, hook_context(unit, hook), resolver.sight(unit, relation))

    def _hook_for(self, unit: Unit) -> Hook | None:
        if unit.error and unit.retry_at > time.monotonic():
            return next(resolver.tasks(unit), None)
        candidates = list(resolver.hooks(unit, self._target(unit)))
        if unit.error and unit.failed and (unit.failed in candidates or _stays(unit, unit.failed)):
            return unit.failed
        if unit.error:  # its subject has passed, such as the arrival of a unit that has left
            self._forget(unit)
        hook = self._order.hook(candidates)
        if hook is None and unit.seen.started and unit.update_at <= time.monotonic():
            return _UPDATE_STATUS
        return hook

    def _target(self, unit: Unit) -> str:
        """Return the wanted revision of a pod. The highest unit number gets a new one first."""
        revision = self._on.cluster.revision(unit.app)
        own = unit.pod.revision if unit.pod else revision
        above = [u for u in unit.app.units.values() if u.number > unit.number and not u.dying]
        done = all(u.pod and u.pod.revision == revision and u.seen.started for u in above)
        return revision if done else own

    def _is_replaced(self, unit: Unit) -> bool:
        return unit.pod is None or unit.pod.revision != self._target(unit)

    def _until_next(self, root: Path) -> float:
        with self._lock:
            due = [u.retry_at if u.error else u.update_at for u in self._units(root)]
            units = (unit for model in self._models.values() for unit in model.units())
            due += [unit.pod_due for unit in units if unit.pod is None]
        now = time.monotonic()
        quiet = [self._quiet_until] if self._quiet_until > now else []
        return max(0.0, min([*due, *quiet, now + _LONGEST_WAIT]) - now)

    def _run(self, step: Step, agent: WorkerProcess) -> None:
        unit, hook = step.unit, step.hook
        if unit.skip and hook == unit.failed:
            self._skip(step)
            return
        try:
            result = agent.run(step.context, self._pebble(unit))
        except JujuError as error:
            result = HookResult(error=str(error))
        with self._lock:
            self._log(unit, result)
            if not hook.action:
                unit.app.model.log.append((time.time(), unit.name, *_told(step, result)))
            if unit.app.units.get(unit.number) is not unit:
                return  # it was removed by force
            if hook.action and self._on.delay and self._is_replaced(unit):
                unit.tasks.popleft().terminate()
                unit.agent = Status("idle")
            elif result.error and hook.action:
                unit.tasks.popleft().finish("failed", "exit status 1", return_code=1)
                unit.agent = Status("idle")
            elif result.error:
                self._fail(step)
            else:
                self._commit(unit, hook, result)
                found, left = step.context.secrets, result.secrets
                secret.commit(unit, found, left, result.removed_revisions)
                resolver.record(unit, hook, step.sight)
            self._after(unit)

    def _skip(self, step: Step) -> None:
        """Treat a hook as run, as `juju resolved --no-retry` asks."""
        with self._lock:
            self._forget(step.unit)
            step.unit.agent = Status("idle")
            resolver.record(step.unit, step.hook, step.sight)
            self._after(step.unit)

    @staticmethod
    def _forget(unit: Unit) -> None:
        """Discard the failure of a hook, and its pending retry."""
        unit.error, unit.retries, unit.skip = None, 0, False

    def _pebble(self, unit: Unit) -> Callable[[PebbleCall], str | None]:
        def call(call: PebbleCall) -> str | None:
            if unit.pod is None:
                return None
            container = unit.pod.containers[call.container]
            try:
                container.call(call)
            except (OSError, ValueError) as error:
                return str(error)
            for text in sorted(container.left_out):
                unit.app.model.log.append((time.time(), unit.name, "WARNING", text))
            return None

        return call

    def _fail(self, step: Step) -> None:
        unit = step.unit
        if step.hook.kind == "relation_created":
            del unit.seen.relations[step.hook.relation or 0]
        delay = min(_FIRST_RETRY * _RETRY_FACTOR**unit.retries, _LONGEST_RETRY)
        unit.error = Status("error", f'hook failed: "{step.name}"')
        unit.retries += 1
        unit.failed = step.hook
        unit.retry_at = time.monotonic() + delay if unit.app.model.retries_hooks() else math.inf
        unit.agent = Status("idle")

    def _commit(self, unit: Unit, hook: Hook, result: HookResult) -> None:
        if not hook.action:
            self._forget(unit)
        unit.agent = Status("idle")
        unit.workload = _newer(unit.workload, result.workload)
        unit.status_set = unit.status_set or result.status_set
        _set_status(unit, hook, _AFTER)
        unit.version, unit.memory = result.version, result.memory
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
        for relation in unit.app.relations:
            side = relation.side(unit.app)
            broken = hook.kind == "relation_broken" and hook.relation == side.id
            if broken or relation.removed or side.id not in result.unit_data:
                continue
            side.unit_bags.setdefault(unit, Bag()).replace(result.unit_data[side.id])
            if unit.is_leader:
                side.app_bag.replace(result.app_data[side.id])

    def _commit_task(self, unit: Unit, result: HookResult) -> None:
        task = unit.tasks.popleft()
        task.results, task.log = result.action_results, result.action_log
        failed = result.action_failure is not None
        task.finish("failed" if failed else "completed", result.action_failure or "")

    def _log(self, unit: Unit, result: HookResult) -> None:
        lines = list(result.log)
        if result.error:
            lines.append(("ERROR", result.error))
        for level, message in lines:
            unit.app.model.log.append((time.time(), unit.name, level, message))

    def _after(self, unit: Unit) -> None:
        unit.update_at = time.monotonic() + unit.app.model.update_status_interval()
        if unit.seen.removed:
            self._lifecycle.remove_unit(unit)
        elif unit.seen.stopped and not self._is_done(unit):
            self._lifecycle.restart_pod(unit)
        self._remove_relations(unit.app)
        self._lifecycle.tidy(unit.app)

    @staticmethod
    def _is_done(unit: Unit) -> bool:
        """Return whether a dying unit has left its relations."""
        return unit.dying and not any(resolver.concerns(unit, r) for r in unit.app.relations)

    def _remove_relations(self, app: Application) -> None:
        """Remove dying relations of which the last unit cannot leave.

        Juju 4 does so if that unit is dying and in error or blocked, when it looks at its removal
        jobs, at least every ten seconds (domain/removal/service/relation.go,
        processRelationInScopeUnits). The unit's agent is not told: its charm still lists the
        relation, and writing to it fails. While a relation is there, also a dying one, a unit
        that has not left it may write.
        """
        if not app.model.juju.removes_stuck_relations:
            return
        for relation in (r for r in app.relations if len(r.sides) == 2 and not r.saas):
            left = [unit for side in relation.sides for unit in _members(side)]
            if not relation.dying or len(left) != 1 or not left[0].dying:
                continue
            is_blocked = left[0].status.current == "blocked" and self._order.happens()
            if left[0].error or is_blocked:
                self._lifecycle.remove_relation(relation)


def _set_status(unit: Unit, hook: Hook, statuses: Mapping[str, tuple[str, str]]) -> None:
    kept = unit.status_set and hook.kind in _UNLESS_SET
    if hook.kind in statuses and not kept:
        unit.workload = _newer(unit.workload, statuses[hook.kind])


def _told(step: Step, result: HookResult) -> tuple[str, AgentMessage]:
    """Return the level and the message of the agent about a hook that has run."""
    handler = "(via hook dispatching script: dispatch)"
    if result.error:
        return "ERROR", AgentMessage(f'hook "{step.name}" {handler} failed: exit status 1')
    return "INFO", AgentMessage(f'ran "{step.name}" hook {handler}')


def _members(side: Side) -> list[Unit]:
    return [unit for unit in side.app.units.values() if side.id in unit.seen.relations]


def _newer(old: Status | None, new: tuple[str, str]) -> Status:
    return old if old and (old.current, old.message) == new else Status(*new)


def _stays(unit: Unit, hook: Hook) -> bool:
    """Return whether the subject of a hook still exists: the unit, or a relation that it keeps."""
    removed = [r.side(unit.app).id for r in unit.app.relations if r.removed]
    is_own = (hook.relation, hook.check, hook.secret) == (None, None, None)
    return is_own or hook.relation in removed


def _hook_name(unit: Unit, hook: Hook, relation: Relation | None) -> str:
    name = hook.kind.replace("_", "-")
    if hook.action:
        return hook.action[0]
    if relation:
        return f"{relation.side(unit.app).endpoint.name}-{name}"
    return f"{hook.container}-{name}" if hook.container else name
