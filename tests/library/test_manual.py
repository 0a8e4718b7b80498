"""The examples in the manual, the library's docstring, work as written."""

import json
import re
import textwrap
from typing import Any

import pytest
import yaml
from ops import testing
from small_charms import LABELS, PROVIDER, ambient, entry, mesh, related, requesting, state
from small_cluster import APP, SmallCluster

from charms.istio_beacon_k8s.v0 import service_mesh

# The provider's example keeps its connection open until the process ends.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

ON = testing.CharmEvents()
MESH = ambient()


def examples() -> list[str]:
    """Return the indented blocks after `::` in the manual."""
    found = re.findall(r"::\n\n((?:(?: {4}.*)?\n)+)", service_mesh.__doc__ or "")
    return [textwrap.dedent(block) for block in found]


CONSUMER, ENDPOINTS, BY_HAND, MESH_CHARM = examples()


def charms() -> dict[str, Any]:
    """Run the examples in order, and return the names that they define."""
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
    def test_it_publishes_its_policies_and_joins(self, cluster: SmallCluster):
        before = state(MESH, related("data", "reader"), related("metrics", "prometheus"))

        out = consumer("ProducerCharm").run(ON.relation_changed(MESH), before)

        published = json.loads(out.get_relation(MESH.id).local_app_data["policies"])
        assert [(each["source_app_name"], each["target_type"]) for each in published] == [
            ("reader", "app"),
            ("prometheus", "unit"),
        ]
        assert cluster.pod_labels().items() >= LABELS.items()
        assert out.unit_status == testing.ActiveStatus()

    def test_it_allows_no_application_that_is_not_related(self, cluster: SmallCluster):
        out = consumer("ProducerCharm").run(ON.relation_changed(MESH), state(MESH))

        assert out.get_relation(MESH.id).local_app_data["policies"] == "[]"

    def test_it_is_blocked_without_trust(self, cluster: SmallCluster):
        cluster.distrust()

        out = consumer("ProducerCharm").run(ON.relation_changed(MESH), state(MESH))

        assert isinstance(out.unit_status, testing.BlockedStatus)
        assert f"juju trust {APP} --scope=cluster" in out.unit_status.message

    def test_it_waits_for_the_mesh(self, cluster: SmallCluster):
        silent = mesh()

        out = consumer("ProducerCharm").run(ON.relation_created(silent), state(silent))

        assert isinstance(out.unit_status, testing.WaitingStatus)


class TestByHand:
    def labels(self, *relations: testing.Relation) -> dict[str, str]:
        with consumer("OperatorCharm")(ON.update_status(), state(*relations)) as manager:
            return manager.charm.pod_labels()

    def test_pods_get_the_labels_of_the_mesh(self, cluster: SmallCluster):
        assert self.labels(MESH) == {"app": "worker", **LABELS}
        assert cluster.calls() == []

    def test_pods_get_no_labels_without_a_mesh(self, cluster: SmallCluster):
        assert self.labels() == {"app": "worker"}


class TestProvider:
    def test_it_publishes_labels(self, istio: SmallCluster):
        relation = related("service-mesh", "producer")

        out = provider().run(ON.relation_created(relation), state(relation))

        assert json.loads(out.get_relation(relation.id).local_app_data["labels"]) == LABELS

    def test_it_applies_requested_policies(self, istio: SmallCluster):
        relation = requesting("producer", entry())

        out = provider().run(ON.relation_changed(relation), state(relation))

        assert len(istio.policies()) == 1
        assert out.unit_status == testing.ActiveStatus("refused policies: 0")

    def test_it_refuses_a_target_that_is_not_the_senders(self, istio: SmallCluster):
        relation = requesting("producer", entry(target_app_name="victim"))

        out = provider().run(ON.relation_changed(relation), state(relation))

        assert istio.policies() == {}
        assert out.unit_status == testing.ActiveStatus("refused policies: 1")

    def test_it_is_blocked_without_istio(self, cluster: SmallCluster):
        relation = requesting("producer", entry())

        out = provider().run(ON.relation_changed(relation), state(relation))

        assert out.unit_status == testing.BlockedStatus(
            "the cluster has no AuthorizationPolicies: install Istio first"
        )
