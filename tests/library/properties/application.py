"""An application of two units, on a mesh and related to others, as Juju runs it.

Each unit runs its own events at its own pace. It sees a relation from its relation-created to its
relation-broken. Both units see the data that the leader publishes.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import lightkube
import ops
from ops import testing
from properties.faults import PATIENCE, Faults
from small_charms import CONSUMER, Config, state
from small_cluster import APP, MODEL, SmallCluster, disconnect

from charms.istio_beacon_k8s.v0.service_mesh import (
    AppPolicy,
    Endpoint,
    Method,
    Policy,
    ServiceMeshConsumer,
    UnitPolicy,
)

ON = testing.CharmEvents()
HERE, FAR = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
_DATA = Endpoint(ports=[8080], methods=[Method.get], paths=["/data"])

# The policies of the charm, revision by revision.
REVISIONS: tuple[tuple[Policy | AppPolicy | UnitPolicy, ...], ...] = (
    (AppPolicy(relation="data", endpoints=[_DATA]), UnitPolicy(relation="metrics", ports=[9090])),
    (
        UnitPolicy(relation="metrics"),
        AppPolicy(relation="data", endpoints=[Endpoint()], service="lb"),
    ),
    (AppPolicy(relation="data", endpoints=[_DATA]),) * 2,
)


class Consumer(ServiceMeshConsumer):
    """Keeps one client for all events, which saves much time."""

    client: lightkube.Client

    @property
    def lightkube_client(self) -> lightkube.Client:
        return self.client


class Charm(ops.CharmBase):
    """A consumer with the policies of a revision."""

    revision = 0

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        auto_join = self.load_config(Config).auto_join
        self.mesh = Consumer(self, policies=REVISIONS[self.revision], auto_join=auto_join)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)

    def _on_collect_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(self.mesh.status())


@dataclass
class Link:
    """A relation of the application, and the data that both sides publish."""

    id: int
    endpoint: str
    app: str
    model: str = HERE
    theirs: dict[str, str] = field(default_factory=dict[str, str])
    ours: dict[str, str] = field(default_factory=dict[str, str])

    def seen(self) -> testing.Relation:
        """Return the relation as Juju shows it to a unit."""
        return testing.Relation(
            self.endpoint,
            id=self.id,
            remote_app_name=self.app,
            remote_model_uuid=self.model,
            remote_app_data=dict(self.theirs),
            remote_units_data={0: {"ingress-address": f"address of {self.app}"}},
            local_app_data=dict(self.ours),
        )


@dataclass
class Unit:
    """A unit: its pending events, the relations that it sees, and its stored state."""

    number: int
    events: deque[tuple[str, Link | None]] = field(default_factory=deque[tuple[str, Link | None]])
    sees: list[Link] = field(default_factory=list[Link])
    stored: frozenset[testing.StoredState] = frozenset()


class Application:
    """The application and its events.

    Args:
        cluster: the cluster with the application's pods and Service.
    """

    def __init__(self, cluster: SmallCluster) -> None:
        self.cluster = cluster
        self.units = [Unit(0), Unit(1)]
        self.leader = self.units[0]
        self.links: list[Link] = []
        self.auto_join = True
        self.revision = 0
        self._ids = 0
        timeout: Any = PATIENCE  # in seconds, which every HTTP client accepts
        self._patient = lightkube.Client(namespace=MODEL, field_manager=APP)
        self._impatient = lightkube.Client(namespace=MODEL, field_manager=APP, timeout=timeout)
        options = {"auto-join": {"type": "boolean", "default": True}}
        config = {"options": options}
        self._contexts = [
            testing.Context(Charm, meta=CONSUMER, config=config, app_name=APP, unit_id=number)
            for number in range(2)
        ]

    def close(self) -> None:
        for client in (self._patient, self._impatient):
            disconnect(client)

    def at(self, endpoint: str) -> list[Link]:
        return [link for link in self.links if link.endpoint == endpoint]

    def relate(self, endpoint: str, app: str, model: str = HERE) -> Link:
        self._ids += 1
        link = Link(self._ids, endpoint, app, model)
        self.links.append(link)
        self._tell("relation_created", link)
        return link

    def publish(self, link: Link, **data: str) -> None:
        """Publish data on the other side of a relation."""
        link.theirs.update(data)
        self._tell("relation_changed", link)

    def unrelate(self, link: Link) -> None:
        self.links.remove(link)
        self._tell("relation_broken", link)

    def configure(self) -> None:
        self._tell("config_changed")

    def upgrade(self, revision: int, auto_join: bool) -> None:
        """Upgrade the charm, which replaces the pod of each unit."""
        self.revision, self.auto_join = revision, auto_join
        for unit in self.units:
            self.replace_pod(unit)

    def replace_pod(self, unit: Unit) -> None:
        """Replace the unit's pod, which loses the stored state."""
        unit.stored = frozenset()
        unit.events.extendleft([("start", None), ("config_changed", None), ("upgrade_charm", None)])

    def elect(self, unit: Unit) -> None:
        if unit is not self.leader:
            self.leader = unit
            unit.events.append(("leader_elected", None))

    def _tell(self, event: str, link: Link | None = None) -> None:
        for unit in self.units:
            unit.events.append((event, link))

    def run_next(self, unit: Unit, faults: Faults) -> None:
        """Run the unit's next event while Kubernetes has these faults."""
        if unit.events:
            self.cluster.go_through(faults)
            Consumer.client = self._impatient if faults.timeouts else self._patient
            self._run(unit, *unit.events.popleft())
            self.cluster.recover()

    def _run(self, unit: Unit, event: str, link: Link | None) -> None:
        if link and event == "relation_created":
            unit.sees.append(link)
        seen = {each.id: each.seen() for each in unit.sees}
        before = state(
            *seen.values(),
            leader=unit is self.leader,
            planned_units=len(self.units),
            config={"auto-join": self.auto_join},
            stored_states=unit.stored,
        )
        Charm.revision = self.revision
        happens = getattr(ON, event)
        out = self._contexts[unit.number].run(happens(seen[link.id]) if link else happens(), before)
        unit.stored = frozenset(out.stored_states)
        for each in unit.sees:
            each.ours = dict(out.get_relation(each.id).local_app_data)
        if link and event == "relation_broken":
            unit.sees.remove(link)

    def settle(self) -> None:
        """Run all pending events and one more on every unit, without faults."""
        self._tell("update_status")
        for unit in self.units:
            while unit.events:
                self.run_next(unit, Faults([]))
