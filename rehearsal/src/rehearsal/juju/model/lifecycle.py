"""The life of units: their pods, the processes in these, and the removal of dying objects."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.juju.model.state import Application, Model, Pod, Relation, Seen, Status, Unit
from rehearsal.juju.pods.cluster import Cluster
from rehearsal.juju.pods.pebble import Container
from rehearsal.machine.processes import Processes

Environment = Callable[[Unit], Mapping[str, str]]


@dataclass(frozen=True)
class Substrate:
    """The substrate of Juju.

    Attributes:
        cluster: Kubernetes.
        charm_environment: variables that the charm code of a unit gets, such as KUBECONFIG.
        workload_environment: variables that the processes of a unit's pod get.
        workload_address: address at which they listen, by the pod's.
        processes: starts and stops them.
        directory: folder for charms, containers and logs.
        delay: seconds before agents act on a command, and before a stopped pod is replaced.
    """

    cluster: Cluster
    charm_environment: Environment
    workload_environment: Environment
    workload_address: Callable[[str], str]
    processes: Processes
    directory: Path
    delay: float = 0.0


class Lifecycle:
    """Adds and removes units with their pods. Its callers hold the controller's lock.

    Args:
        models: the models by name. A dying model is removed after the last of its applications.
        substrate: Kubernetes, processes and folders.
        wake: is called when a unit may have a new hook to run. Takes no lock.
    """

    def __init__(
        self, models: dict[str, Model], substrate: Substrate, wake: Callable[[], None]
    ) -> None:
        self._models = models
        self._wake = wake
        self._on = substrate

    def add_unit(self, app: Application, number: int) -> None:
        """Add a unit and start its pod."""
        unit = app.units[number] = Unit(app, number)
        app.leader = app.leader or unit
        self._start_pod(unit)

    def _start_pod(self, unit: Unit) -> None:
        address, revision = self._on.cluster.add_pod(unit)
        charm = unit.app.charm
        unit.pod = Pod(address, revision, self._on.charm_environment(unit), {}, charm)
        root = self._on.directory / "pods" / unit.app.model.name / address / unit.pod_name
        unit.pod.charm_folder = root / "charm"
        environment = self._on.workload_environment(unit)
        for name in charm.containers:
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
            for container in pod.containers.values():
                _follow_restart(unit, pod, container)
                for service, code in container.take_exited().items():
                    text = f'service "{service}" exited quickly with code {code}'
                    unit.app.model.log.append((time.time(), unit.name, "WARNING", text))
            self._wake()

        return tell

    def stop_containers(self, unit: Unit) -> None:
        """Stop all processes in a unit's pod."""
        for container in unit.pod.containers.values() if unit.pod else ():
            container.stop()

    def restart_pod(self, unit: Unit) -> None:
        """Replace a stopped pod by a new one, which begins with `upgrade-charm`.

        The new pod runs the latest revision of the charm. StoredState and deferred events are a
        file of the old pod, unless the charm has Juju store them.
        """
        if unit.pod and not unit.pod.charm.stores_in_juju:
            unit.memory = b""
        self.stop_containers(unit)
        self._on.cluster.remove_pod(unit)
        seen = unit.seen
        removed = {r.side(unit.app).id for r in unit.app.relations if r.removed}
        relations = {n: told for n, told in seen.relations.items() if n not in removed}
        unit.seen = Seen(
            installed=True, queued="upgrade_charm", leader=seen.leader, relations=relations
        )
        if self._on.delay:
            self._leave_alone(unit)
        else:
            self._start_pod(unit)

    def _leave_alone(self, unit: Unit) -> None:
        """Keep a unit without a pod for some time, which ends its actions."""
        unit.pod, unit.pod_due = None, time.monotonic() + self._on.delay
        unit.agent = Status("lost", "agent is not communicating with the server")
        while unit.tasks:
            unit.tasks.popleft().terminate()

    def start_due_pods(self) -> None:
        """Start the pods of the units that have waited for one long enough."""
        for model in self._models.values():
            for unit in model.units():
                if unit.pod is None and unit.pod_due <= time.monotonic():
                    unit.agent = Status("idle")
                    self._start_pod(unit)

    def remove_unit(self, unit: Unit) -> None:
        """Remove a unit with its pod and its databags."""
        self.stop_containers(unit)
        self._on.cluster.remove_pod(unit)
        app = unit.app
        app.units.pop(unit.number, None)
        for relation in app.relations:
            relation.side(app).unit_bags.pop(unit, None)
        if app.leader is unit:
            app.leader = next(iter(app.units.values()), None)
        for task in unit.tasks:
            task.finish("aborted", "unit was removed")
        self._on.cluster.apply(app)

    def remove_relation(self, relation: Relation) -> None:
        """Remove a relation that one unit has not left. That unit's pod takes it along."""
        relation.removed = True
        for side in relation.sides:
            if not any(side.id in unit.seen.relations for unit in side.app.units.values()):
                side.app.relations = [r for r in side.app.relations if r is not relation]
                self._drop(side.app)

    def replace_deleted_pods(self) -> None:
        """Replace the pods that a user deleted, as a StatefulSet does."""
        deleted = self._on.cluster.take_deleted()
        for model in self._models.values():
            for unit in model.units():
                if unit.pod and unit.pod.ip in deleted:
                    unit.pod.revision = ""

    def tidy(self, app: Application) -> None:
        """Add an application's missing units, and remove dying objects that all units know of."""
        for number in range(app.scale):
            if number not in app.units:
                self.add_unit(app, number)
        ended = [r for r in app.relations if r.dying and _is_told(r)]
        for side in (side for relation in ended for side in relation.sides):
            side.app.relations = [r for r in side.app.relations if r not in ended]
        for each in {app, *(side.app for relation in ended for side in relation.sides)}:
            self._drop(each)

    def _drop(self, app: Application) -> None:
        model = app.model
        if app.dying and not app.units and not app.relations and app.name in model.apps:
            self._on.cluster.remove(app)
            del model.apps[app.name]
        self.tidy_model(model)

    def tidy_model(self, model: Model) -> None:
        """Remove a model's dying consumed offers, and the model itself if it is dying and empty."""
        for saas in list(model.saas.values()):
            if (saas.dying or model.dying) and not saas.relations:
                del model.saas[saas.name]
        if model.dying and not model.apps:
            self._on.cluster.remove_model(model)
            self._models.pop(model.name, None)


def _follow_restart(unit: Unit, pod: Pod, container: Container) -> None:
    """Have the charm lose the Pebble of a container that ended, and be told when it runs again."""
    if not container.up:
        pod.running.discard(container.name)
    elif container.take_restarted() and unit.pod is pod:
        pod.running.discard(container.name)
        unit.seen.ready.discard(container.name)


def _is_told(relation: Relation) -> bool:
    """Return whether every unit on both sides knows that a relation has ended."""
    return not any(
        side.id in unit.seen.relations
        for side in relation.sides
        for unit in side.app.units.values()
    )
