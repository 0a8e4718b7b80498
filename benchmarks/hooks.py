"""The cost of a consumer's hooks: time, hook tools, and calls to Kubernetes."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from juju import Juju, Ran, Relation
from measure import OURS, PUBLISHED, Times, in_turn
from small_cluster import SmallCluster

ALIAS = "remote-" + "0123456789abcdef" * 2


def mesh(**labels: str) -> Relation:
    """Return a relation with a mesh that publishes labels."""
    bag = {"labels": json.dumps(labels), "mesh_type": '"istio"'} if labels else {}
    return Relation("service-mesh", 1, "mesh", bag)


SILENT, AMBIENT, OTHER = mesh(), mesh(dataplane="ambient"), mesh(dataplane="other")
REQUIRE = Relation("require-cmr-mesh", 2, "saas")
FAR = Relation("metrics", 3, ALIAS)
IDENTITY = {"cmr_data": '{"app_name": "scraper", "juju_model_name": "far"}'}
PROVIDE = Relation("provide-cmr-mesh", 4, ALIAS, IDENTITY)


def neighbours(number: int) -> list[Relation]:
    """Return this number of relations within the model."""
    endpoints = ("data", "metrics")
    return [Relation(endpoints[n % 2], n, f"app{n}") for n in range(10, 10 + number)]


@dataclass(frozen=True)
class Cost:
    """The cost of a hook: calls of hook tools, including log lines, and calls to Kubernetes."""

    tools: int
    logged: int
    reads: int
    writes: int


class Consumer:
    """A consumer with one of the libraries, in a model and on a cluster of its own."""

    def __init__(self, folder: Path, module: str, cluster: SmallCluster) -> None:
        self.juju = Juju(folder, module, folder / "kubeconfig")
        self._cluster = cluster

    def cost(self, event: str, relation: Relation | None = None) -> Cost:
        """Run an event and return its hook tools, log lines, reads and writes."""
        self._cluster.forget_calls()
        ran = self.juju.run(event, relation)
        writes = len(self._cluster.writes())
        reads = len(self._cluster.calls()) - writes
        return Cost(len(ran.calls), ran.logged, reads, writes)

    def make(self, relation: Relation) -> Ran:
        """Create a relation and run its first hook."""
        self.juju.relate(relation)
        return self.juju.run("relation-created", relation)

    def break_(self, relation: Relation) -> Ran:
        """Remove a relation and run its last hook."""
        self.juju.unrelate(relation)
        return self.juju.run("relation-broken", relation)

    def join(self, *related: Relation) -> None:
        """Add these relations and join the mesh."""
        self.juju.relate(*related)
        self.make(AMBIENT)
        self.juju.run("relation-changed", AMBIENT)


@contextmanager
def consumer(module: str) -> Generator[Consumer]:
    """Deploy a charm that uses a library."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with SmallCluster(folder / "kubeconfig").running() as cluster:
            yield Consumer(folder, module, cluster)


def costs(module: str, related: int) -> dict[str, Cost]:
    """Return the cost of each hook in the life of a consumer with this number of relations."""
    *first, last = neighbours(related)
    with consumer(module) as it:
        say = it.juju.relate
        say(*first, SILENT)
        life = {"mesh created": it.cost("relation-created", SILENT)}
        say(AMBIENT)
        life["mesh changed: first join"] = it.cost("relation-changed", AMBIENT)
        life["mesh changed: nothing new"] = it.cost("relation-changed", AMBIENT)
        say(last)
        life["policy relation created"] = it.cost("relation-created", last)
        life["policy relation changed"] = it.cost("relation-changed", last)
        life["config-changed"] = it.cost("config-changed")
        life["update-status"] = it.cost("update-status")
        life["leader-elected"] = it.cost("leader-elected")
        life["upgrade-charm"] = it.cost("upgrade-charm")
        it.juju.replace_pod()
        life["upgrade-charm in a new pod"] = it.cost("upgrade-charm")
        it.juju.unrelate(last)
        life["policy relation broken"] = it.cost("relation-broken", last)
        say(REQUIRE)
        life["require-cmr-mesh created"] = it.cost("relation-created", REQUIRE)
        say(FAR)
        life["cross-model relation created"] = it.cost("relation-created", FAR)
        say(PROVIDE)
        life["its identity arrives"] = it.cost("relation-changed", PROVIDE)
        it.juju.unrelate(PROVIDE)
        life["its identity leaves"] = it.cost("relation-broken", PROVIDE)
        say(OTHER)
        life["mesh changed: another label"] = it.cost("relation-changed", OTHER)
        it.juju.unrelate(OTHER)
        life["mesh broken: leaving"] = it.cost("relation-broken", OTHER)
        life["update-status without a mesh"] = it.cost("update-status")
        return life


def created(related: int, times: int) -> list[Times]:
    """Return the durations of relation-created, which adds a policy."""
    *first, last = neighbours(related)

    def again(it: Consumer) -> float:
        it.break_(last)
        return it.make(last).seconds

    with consumer(OURS) as ours, consumer(PUBLISHED) as theirs:
        ours.join(*first, last)
        theirs.join(*first, last)
        return in_turn(times, lambda: again(ours), lambda: again(theirs))


def updated(related: int, times: int) -> list[Times]:
    """Return the durations of update-status when there is nothing to change."""
    with consumer(OURS) as ours, consumer(PUBLISHED) as theirs:
        ours.join(*neighbours(related))
        theirs.join(*neighbours(related))
        return in_turn(
            times,
            lambda: ours.juju.run("update-status").seconds,
            lambda: theirs.juju.run("update-status").seconds,
        )
