"""The examples of the manual, which is the library's docstring, do what it says, as written."""

import json
import re
import textwrap
from typing import Any

import pytest
import yaml
from ops import testing
from small_charms import LABELS, PROVIDER, ambient, asks, entry, mesh, related, state
from small_cluster import APP, SmallCluster

from charms.istio_beacon_k8s.v0 import service_mesh

# The provider's example leaves its connection to the end of the process.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

ON = testing.CharmEvents()
MESH = ambient()


def examples() -> list[str]:
    """Return the indented blocks after `::`."""
    found = re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", service_mesh.__doc__ or "")
    return [textwrap.dedent(block) for block in found]


CONSUMER, ENDPOINTS, BY_HAND, MESH_CHARM = examples()


def charms() -> dict[str, Any]:
    """Run the examples, one after the other."""
    namespace: dict[str, Any] = {}
    for example in (CONSUMER, BY_HAND, MESH_CHARM):
        exec(example, namespace)  # noqa: S102 - this is the library's own text
    return namespace


def consumer(charm: str) -> testing.Context[Any]:
    meta = {"name": APP, **yaml.safe_load(ENDPOINTS)}
    return testing.Context(charms()[charm], meta=meta, app_name=APP)


def provider() -> testing.Context[Any]:
    return testing.Context(charms()["MeshCharm"], meta=PROVIDER, app_name="mesh")


class TestConsumer:
    def test_says_who_may_call_it_and_joins(self, cluster: SmallCluster):
        before = state(MESH, related("data", "reader"), related("metrics", "prometheus"))

        out = consumer("ProducerCharm").run(ON.relation_changed(MESH), before)

        published = json.loads(out.get_relation(MESH.id).local_app_data["policies"])
        assert [(each["source_app_name"], each["target_type"]) for each in published] == [
            ("reader", "app"),
            ("prometheus", "unit"),
        ]
        assert cluster.pod_labels().items() >= LABELS.items()
        assert out.unit_status == testing.ActiveStatus()

    def test_lets_nobody_in_who_is_not_related(self, cluster: SmallCluster):
        out = consumer("ProducerCharm").run(ON.relation_changed(MESH), state(MESH))

        assert out.get_relation(MESH.id).local_app_data["policies"] == "[]"

    def test_is_blocked_without_trust(self, cluster: SmallCluster):
        cluster.distrust()

        out = consumer("ProducerCharm").run(ON.relation_changed(MESH), state(MESH))

        assert isinstance(out.unit_status, testing.BlockedStatus)
        assert f"juju trust {APP} --scope=cluster" in out.unit_status.message

    def test_waits_for_the_mesh(self, cluster: SmallCluster):
        silent = mesh()

        out = consumer("ProducerCharm").run(ON.relation_created(silent), state(silent))

        assert isinstance(out.unit_status, testing.WaitingStatus)


class TestByHand:
    def labels(self, *relations: testing.Relation) -> dict[str, str]:
        with consumer("OperatorCharm")(ON.update_status(), state(*relations)) as manager:
            return manager.charm.pod_labels()

    def test_on_a_mesh(self, cluster: SmallCluster):
        assert self.labels(MESH) == {"app": "worker", **LABELS}
        assert cluster.calls() == []

    def test_without_a_mesh(self, cluster: SmallCluster):
        assert self.labels() == {"app": "worker"}


class TestProvider:
    def test_publishes_labels(self, istio: SmallCluster):
        relation = related("service-mesh", "producer")

        out = provider().run(ON.relation_created(relation), state(relation))

        assert json.loads(out.get_relation(relation.id).local_app_data["labels"]) == LABELS

    def test_enforces_what_is_asked_for(self, istio: SmallCluster):
        relation = asks("producer", entry())

        out = provider().run(ON.relation_changed(relation), state(relation))

        assert len(istio.policies()) == 1
        assert out.unit_status == testing.ActiveStatus("refused policies: 0")

    def test_refuses_what_is_not_the_senders(self, istio: SmallCluster):
        relation = asks("producer", entry(target_app_name="victim"))

        out = provider().run(ON.relation_changed(relation), state(relation))

        assert istio.policies() == {}
        assert out.unit_status == testing.ActiveStatus("refused policies: 1")

    def test_is_blocked_without_istio(self, cluster: SmallCluster):
        relation = asks("producer", entry())

        out = provider().run(ON.relation_changed(relation), state(relation))

        assert out.unit_status == testing.BlockedStatus(
            "the cluster has no AuthorizationPolicies: install Istio first"
        )
