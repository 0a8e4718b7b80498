"""The controller's data: models, applications, units, relations and offers.

Commands and hook results change it through the controller. The resolver compares it with the facts
that each unit has been told, to find the unit's next hook.
"""

import collections
import math
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.juju.durations import seconds
from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.model.charm import Charm, ConfigValue, Endpoint
from rehearsal.juju.model.secret import Secret
from rehearsal.juju.pods.pebble import Container
from rehearsal.juju.version import JUJU_3_6, JujuVersion

USER = "admin"
"""The one user of the controller."""
CONTROLLER_UUID = str(uuid.uuid4())
"""The identifier of the controller."""
MODEL_DEFAULTS: Mapping[str, ConfigValue] = {
    "automatically-retry-hooks": True,
    "mode": "requires-prompts",
    "update-status-hook-interval": "5m",
}
_LOST = "agent lost, see `juju debug-logs` or `juju show-status-log` for more information"
LogLine = tuple[float, str, str, str]
"""Time, unit, level and message."""


@dataclass(frozen=True)
class Status:
    """A status, and the time at which it was set."""

    current: str
    message: str = ""
    since: float = field(default_factory=time.time, compare=False)


@dataclass
class Bag:
    """One databag. Its version tells whether a unit has seen the content."""

    content: dict[str, str] = field(default_factory=dict[str, str])
    version: int = 0

    def replace(self, content: Mapping[str, str]) -> None:
        """Replace the content with the one that a hook wrote."""
        if content != self.content:
            self.content = dict(content)
            self.version += 1


class AgentMessage(str):
    """A message in the log that comes from a unit's agent, and not from its charm."""


@dataclass
class Task:
    """One run of an action on a unit."""

    id: int
    action: str
    params: Mapping[str, Any]
    enqueued: float = field(default_factory=time.time)
    started: float = 0.0
    completed: float = 0.0
    status: str = "pending"
    message: str = ""
    return_code: int = 0
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    log: list[str] = field(default_factory=list[str])
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, status: str, message: str, return_code: int = 0) -> None:
        """Record the end of the task, and wake its waiters."""
        self.status, self.message, self.return_code = status, message, return_code
        self.completed = time.time()
        self.done.set()

    def terminate(self) -> None:
        """Record that the pod of the task is gone."""
        self.finish("failed", "terminated", return_code=-1)


@dataclass
class Operation:
    """One `juju run` or `juju exec`, with its task on each unit by the unit's name."""

    id: int
    action: str
    params: Mapping[str, Any]
    tasks: dict[str, Task] = field(default_factory=dict[str, Task])


@dataclass
class SeenRelation:
    """A unit's knowledge of a relation: the units that joined, and the versions of their bags."""

    joined: list[str] = field(default_factory=list[str])
    versions: dict[str, int] = field(default_factory=dict[str, int])


@dataclass
class Seen:
    """The facts that a unit knows, from which its next hooks follow.

    Attributes:
        queued: the hook that Juju has queued, which comes before any other.
        down: checks that the unit knows to be down, with their containers.
    """

    installed: bool = False
    queued: str | None = None
    config: int | None = None
    leader: bool = False
    started: bool = False
    stopped: bool = False
    removed: bool = False
    ready: set[str] = field(default_factory=set[str])
    down: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    relations: dict[int, SeenRelation] = field(default_factory=dict[int, SeenRelation])


@dataclass
class Pod:
    """The pod of a unit.

    Attributes:
        ip: its address.
        revision: the revision of its template. A newer template replaces the pod.
        environment: variables that the charm code in it gets, such as KUBECONFIG.
        containers: the containers of the workload, by name.
        charm: the charm that runs in it, until it is replaced.
        running: the containers whose Pebble the charm can connect to.
        charm_folder: the charm's files, a copy of the unit's own.
    """

    ip: str
    revision: str
    environment: Mapping[str, str]
    containers: dict[str, Container]
    charm: Charm
    running: set[str] = field(default_factory=set[str])
    charm_folder: Path = Path()


@dataclass(eq=False)
class Unit:
    """One unit."""

    app: "Application"
    number: int
    pod: Pod | None = None
    pod_due: float = math.inf
    dying: bool = False
    seen: Seen = field(default_factory=Seen)
    workload: Status = field(default_factory=lambda: Status("waiting", "installing agent"))
    status_set: bool = False
    agent: Status = field(default_factory=lambda: Status("allocating"))
    version: str = ""
    ports: frozenset[tuple[str, int]] = frozenset()
    memory: bytes = b""
    error: Status | None = None
    failed: Hook | None = None
    retry_at: float = 0.0
    retries: int = 0
    skip: bool = False
    tasks: collections.deque[Task] = field(default_factory=collections.deque[Task])
    turn: int = 0
    update_at: float = math.inf

    @property
    def name(self) -> str:
        """The unit's name, such as `web/0`."""
        return f"{self.app.name}/{self.number}"

    @property
    def status(self) -> Status:
        """The workload status that `juju status` shows."""
        if self.agent.current == "lost":
            return Status("unknown", _LOST, self.agent.since)
        return self.error or self.workload

    @property
    def pod_name(self) -> str:
        """The name of its pod, such as `web-0`."""
        return f"{self.app.name}-{self.number}"

    @property
    def is_leader(self) -> bool:
        """Whether the unit is its application's leader."""
        return self.app.leader is self

    @property
    def is_there(self) -> bool:
        """Whether the controller still has it."""
        return self.app.is_there and self.app.units.get(self.number) is self


@dataclass(eq=False)
class Application:
    """One application."""

    name: str
    model: "Model"
    charm: Charm
    scale: int
    config: dict[str, ConfigValue]
    images: dict[str, str]
    trust: bool = False
    dying: bool = False
    exposed: bool = False
    address: str = ""
    config_version: int = 0
    units: dict[int, Unit] = field(default_factory=dict[int, Unit])
    relations: list["Relation"] = field(default_factory=list["Relation"])
    leader: Unit | None = None
    own_status: Status | None = None
    created: float = field(default_factory=time.time)

    @property
    def is_there(self) -> bool:
        """Whether it has not been removed."""
        return self.model.apps.get(self.name) is self

    def settings(self, charm: Charm | None = None) -> dict[str, ConfigValue]:
        """Return the options as a revision of the charm sees them, by default the latest one."""
        charm = charm or self.charm
        own = {name: value for name, value in self.config.items() if name in charm.options}
        return charm.defaults() | own


@dataclass(eq=False)
class Side:
    """One application's side of a relation.

    Attributes:
        id: the relation's number in the application's model.
        seen_as: the name by which the *other* side knows this application.
    """

    app: Application
    endpoint: Endpoint
    id: int
    seen_as: str
    app_bag: Bag = field(default_factory=Bag)
    unit_bags: dict[Unit, Bag] = field(default_factory=dict[Unit, Bag])

    def key(self, model: "Model") -> str:
        """Return application and endpoint by their names in a model, such as `web:db`."""
        name = self.app.name if self.app.model is model else self.seen_as
        return f"{name}:{self.endpoint.name}"


@dataclass(eq=False)
class Relation:
    """A relation: two sides, or one of a peer relation.

    Attributes:
        saas: the consumed offer by which the relation leads to another model, if it does.
        removed: whether the controller has removed it although a unit has not left it.
    """

    sides: tuple[Side, ...]
    saas: "Saas | None" = None
    dying: bool = False
    removed: bool = False

    def side(self, app: Application) -> Side:
        """Return an application's own side."""
        return next(side for side in self.sides if side.app is app)

    def other(self, app: Application) -> Side:
        """Return the side of the other application, or the same side for a peer relation."""
        return next((side for side in self.sides if side.app is not app), self.sides[0])

    def key(self, model: "Model") -> str:
        """Return the relation's key in a model, requirer first, such as `web:db db:server`."""
        ordered = sorted(
            self.sides, key=lambda side: ("peer", "requirer", "provider").index(side.endpoint.role)
        )
        return " ".join(side.key(model) for side in ordered)


@dataclass(eq=False)
class Offer:
    """Endpoints of an application that other models may relate to."""

    name: str
    app: Application
    endpoints: tuple[str, ...]

    @property
    def url(self) -> str:
        """The name of the offer in other models, such as `admin/demo.web`."""
        return f"{USER}/{self.app.model.name}.{self.name}"

    @property
    def removed(self) -> bool:
        """Whether the controller has removed it."""
        return self.app.model.offers.get(self.name) is not self

    @property
    def connections(self) -> list[Relation]:
        """The relations that use it."""
        return [r for r in self.app.relations if r.saas and r.saas.offer is self]


@dataclass(eq=False)
class Saas:
    """An offer of another model, as the consuming model knows it.

    Attributes:
        aliases: the names of the consuming model's applications in the offering model, if all
            relations of an application share one name.
    """

    name: str
    model: "Model"
    offer: Offer
    dying: bool = False
    aliases: dict[Application, str] = field(default_factory=dict[Application, str])

    @property
    def relations(self) -> list[Relation]:
        """The relations over it."""
        return [r for r in self.offer.app.relations if r.saas is self]

    def alias(self, app: Application) -> str:
        """Return the name of an application of this model in the offering model, for a relation."""
        alias = f"remote-{uuid.uuid4().hex}"
        if self.model.juju.alias_per_relation:
            return alias
        return self.aliases.setdefault(app, alias)


@dataclass(eq=False)
class Model:
    """One model, which is one namespace in Kubernetes.

    Attributes:
        juju: the version of its agents.
    """

    name: str
    juju: JujuVersion = JUJU_3_6
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    apps: dict[str, Application] = field(default_factory=dict[str, Application])
    saas: dict[str, Saas] = field(default_factory=dict[str, Saas])
    offers: dict[str, Offer] = field(default_factory=dict[str, Offer])
    config: dict[str, ConfigValue] = field(default_factory=dict[str, ConfigValue])
    constraints: dict[str, str] = field(default_factory=dict[str, str])
    secrets: dict[str, Secret] = field(default_factory=dict[str, Secret])
    revisions: collections.Counter[str] = field(default_factory=collections.Counter[str])
    created: float = field(default_factory=time.time)
    next_relation: int = 0
    next_task: int = 0
    dying: bool = False
    operations: dict[int, Operation] = field(default_factory=dict[int, Operation])
    log: list[tuple[float, str, str, str]] = field(
        default_factory=list[tuple[float, str, str, str]]
    )

    def settings(self) -> dict[str, ConfigValue]:
        """Return the model's configuration."""
        return {**MODEL_DEFAULTS, **self.config}

    def retries_hooks(self) -> bool:
        """Return whether Juju runs a failed hook again without being told."""
        return bool(self.settings()["automatically-retry-hooks"])

    def update_status_interval(self) -> float:
        """Return the seconds between two update-status hooks of a unit."""
        return seconds(str(self.settings()["update-status-hook-interval"]))

    def units(self) -> Iterator[Unit]:
        """Yield all units, by application and number."""
        for app in self.apps.values():
            yield from app.units.values()

    @property
    def relations(self) -> list[Relation]:
        """Return the relations of the model's applications."""
        found = (r for app in self.apps.values() for r in app.relations if not r.removed)
        return list(dict.fromkeys(found))

    def take_relation_id(self) -> int:
        """Return the number of a new relation."""
        self.next_relation += 1
        return self.next_relation - 1

    def take_task_id(self) -> int:
        """Return the number of a new operation or task; they share one counter."""
        self.next_task += 1
        return self.next_task
