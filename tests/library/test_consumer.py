"""The consumer: the relation data that it publishes in each event, and its status."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import ops
import pytest
import yaml
from ops import testing
from small_charms import (
    ALIAS,
    CONSUMER,
    LABELS,
    OPTIONS,
    ConsumerCharm,
    Event,
    ambient,
    consumer,
    identity,
    mesh,
    related,
    state,
)
from small_cluster import APP, LEDGER, MODEL, SmallCluster

from charms.istio_beacon_k8s.v0.service_mesh import MeshType, UnitPolicy
from rehearsal.kubernetes.requests import Answer

pytestmark = pytest.mark.usefixtures("cluster")

BY_HAND = {"auto-join": False}
HARNESS = yaml.safe_dump(OPTIONS)
ON = testing.CharmEvents()


def policies_of(out: testing.State, relation: testing.Relation) -> list[tuple[str, str]]:
    """Return the application and model of each caller in the published policies."""
    published = json.loads(out.get_relation(relation.id).local_app_data["policies"])
    return [(each["source_app_name"], each["source_namespace"]) for each in published]


def run(event: Event, before: testing.State) -> testing.State:
    return consumer().run(event, before)


def events_of(*relations: testing.Relation) -> list[Event]:
    return [
        event(relation)
        for relation in relations
        for event in (ON.relation_created, ON.relation_changed)
    ]


MESH = ambient()
SCRAPER = related("metrics", "scraper")
READER = related("data", "reader")
PROVIDE = identity("far-away", "scraper", "far")
REQUIRE = related("require-cmr-mesh", "saas")
PLAIN = [ON.leader_elected(), ON.config_changed(), ON.upgrade_charm(), ON.update_status()]
EVENTS = PLAIN + events_of(SCRAPER, READER, PROVIDE, REQUIRE)


class TestEveryEvent:
    @pytest.mark.parametrize("event", EVENTS + events_of(MESH), ids=lambda event: event.path)
    def test_the_leader_publishes_its_data_and_joins(self, event: Event, cluster: SmallCluster):
        out = run(event, state(MESH, SCRAPER, READER, PROVIDE, REQUIRE))

        assert policies_of(out, MESH) == [("reader", "prod"), ("scraper", "prod")]
        assert out.get_relation(REQUIRE.id).local_app_data == {
            "cmr_data": '{"app_name": "producer", "juju_model_name": "prod"}'
        }
        assert cluster.pod_labels().items() >= LABELS.items()

    @pytest.mark.parametrize("event", EVENTS + events_of(MESH), ids=lambda event: event.path)
    def test_a_non_leader_changes_nothing(self, event: Event, cluster: SmallCluster):
        before = state(MESH, SCRAPER, READER, PROVIDE, REQUIRE, leader=False)

        out = run(event, before)

        assert out.relations == before.relations
        assert cluster.calls() == []

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.path)
    def test_without_a_mesh_only_an_upgrade_calls_kubernetes(
        self, event: Event, cluster: SmallCluster
    ):
        run(event, state(SCRAPER, READER, PROVIDE, REQUIRE))

        # After an upgrade, the new pod looks for labels that the old one may have set.
        assert cluster.calls() == ["get configmaps"] * (event.path == "upgrade_charm")


class TestEditedRelationData:
    """Juju may lose the writes of a failed hook, and a user may edit relation data."""

    @pytest.mark.parametrize("event", PLAIN, ids=lambda event: event.path)
    def test_wrong_policies_are_replaced(self, event: Event):
        right = run(ON.config_changed(), state(MESH, SCRAPER))
        wrong = replace(right.get_relation(MESH.id), local_app_data={"policies": "[]"})
        edited = replace(right, relations={right.get_relation(SCRAPER.id), wrong})

        out = run(event, edited)

        assert policies_of(out, MESH) == [("scraper", "prod")]

    @pytest.mark.parametrize("event", PLAIN, ids=lambda event: event.path)
    def test_a_lost_identity_is_published_again(self, event: Event):
        right = run(ON.config_changed(), state(REQUIRE))
        lost = replace(right.get_relation(REQUIRE.id), local_app_data={})

        out = run(event, replace(right, relations={lost}))

        assert out.get_relation(REQUIRE.id).local_app_data["cmr_data"]


@pytest.mark.parametrize("relation", [PROVIDE, REQUIRE], ids=lambda r: r.endpoint)
def test_the_departure_of_a_remote_unit_reconciles(relation: testing.Relation):
    before = state(MESH, SCRAPER, relation)

    out = run(ON.relation_departed(relation), before)

    assert policies_of(out, MESH) == [("scraper", "prod")]


def test_without_related_applications_the_policies_are_empty():
    out = run(ON.relation_created(MESH), state(MESH))

    assert out.get_relation(MESH.id).local_app_data == {"policies": "[]"}


def test_a_broken_relation_loses_its_policy_at_once():
    out = run(ON.relation_broken(SCRAPER), state(MESH, SCRAPER, READER))

    assert policies_of(out, MESH) == [("reader", "prod")]


def test_a_broken_identity_loses_its_policy_at_once():
    scraper, known = related("metrics", ALIAS), identity(ALIAS, "scraper", "far")

    with_identity = run(ON.relation_changed(known), state(MESH, scraper, known))
    without = run(ON.relation_broken(known), with_identity)

    assert policies_of(with_identity, MESH) == [("scraper", "far")]
    assert policies_of(without, MESH) == []


class TestRemovedUnit:
    """Juju breaks every relation of a unit that it removes, even if the application stays."""

    @pytest.mark.parametrize("relation", [MESH, SCRAPER], ids=["mesh", "policy"])
    def test_the_other_units_keep_labels_and_policies(
        self, cluster: SmallCluster, relation: testing.Relation
    ):
        joined = run(ON.config_changed(), state(MESH, SCRAPER, READER))
        removed = consumer(unit=1)

        out = removed.run(ON.relation_broken(joined.get_relation(relation.id)), joined)

        assert out.get_relation(MESH.id) == joined.get_relation(MESH.id)
        assert cluster.pod_labels().items() >= LABELS.items()
        assert cluster.ledger() == LABELS

    def test_a_removed_application_restarts_no_pod(self, cluster: SmallCluster):
        joined = run(ON.config_changed(), state(MESH, SCRAPER, READER))
        removed = replace(joined, planned_units=0)

        run(ON.relation_broken(joined.get_relation(MESH.id)), removed)

        assert cluster.pod_labels().items() >= LABELS.items()
        assert cluster.ledger() is None

    def test_a_unit_that_stays_removes_the_labels(self, cluster: SmallCluster):
        joined = run(ON.config_changed(), state(MESH, SCRAPER, READER))

        run(ON.relation_broken(joined.get_relation(MESH.id)), joined)

        assert not cluster.pod_labels().items() & LABELS.items()
        assert cluster.ledger() is None


def test_a_charm_can_call_update_service_mesh():
    charm = consumer()
    with charm(charm.on.start(), state(MESH, SCRAPER)) as manager:
        manager.charm.mesh.update_service_mesh()
        out = manager.run()

    assert policies_of(out, MESH) == [("scraper", "prod")]


class TestPublishedByTheMesh:
    def read(self, relation: testing.Relation) -> tuple[dict[str, str], MeshType | None, bool]:
        charm = consumer()
        with charm(charm.on.start(), state(relation)) as manager:
            consumed = manager.charm.mesh
            return consumed.labels(), consumed.mesh_type(), consumed.enabled

    def test_labels_and_mesh_type_are_read(self):
        assert self.read(MESH) == (LABELS, MeshType.istio, True)

    def test_version_02_publishes_labels_only(self):
        assert self.read(mesh(labels=json.dumps(LABELS))) == (LABELS, None, True)

    def test_an_unknown_mesh_type_and_an_unknown_key_are_ignored(self):
        strange = mesh(labels=json.dumps(LABELS), mesh_type='"linkerd"', more="{")

        assert self.read(strange) == (LABELS, None, True)

    @pytest.mark.parametrize("labels", ["", "{", "[]", '{"a": 1}', "[" * 100_000])
    def test_malformed_labels_are_ignored(self, labels: str):
        assert self.read(mesh(labels=labels)) == ({}, None, True)

    def test_an_empty_databag_has_no_labels(self):
        assert self.read(mesh()) == ({}, None, True)

    def test_without_a_mesh_it_is_not_enabled(self):
        assert self.read(SCRAPER) == ({}, None, False)


class TestStatus:
    def status(self, before: testing.State, event: str = "update_status") -> tuple[str, str]:
        out = run(getattr(ON, event)(), before)
        return out.unit_status.name, out.unit_status.message

    def test_on_the_mesh_it_is_active(self):
        assert self.status(state(MESH)) == ("active", "")

    def test_without_a_mesh_it_is_active_and_says_so(self):
        assert self.status(state()) == ("active", "not on a service mesh")

    def test_without_auto_join_labels_are_left_to_the_charm(self):
        before = state(MESH, config=BY_HAND)

        assert self.status(before) == ("active", "mesh labels are left to the charm")

    def test_it_waits_until_the_mesh_has_published_labels(self, cluster: SmallCluster):
        name, message = self.status(state(mesh()))

        assert (name, message) == ("waiting", "waiting for mesh to publish its labels")
        assert cluster.calls() == []

    def test_without_trust_it_is_blocked(self, cluster: SmallCluster):
        cluster.distrust()

        name, message = self.status(state(MESH))

        assert name == "blocked"
        assert message == (
            f"may not get configmaps/{LEDGER}: run `juju trust producer --scope=cluster`"
        )

    @pytest.mark.parametrize("code", [409, 429, 500, 503])
    def test_it_waits_if_kubernetes_fails(self, code: int, cluster: SmallCluster):
        cluster.fail(code)

        name, message = self.status(state(MESH))

        assert name == "waiting"
        assert message == f"could not get configmaps/{LEDGER} ({code}), will try again"

    def test_it_waits_if_the_connection_drops(self, cluster: SmallCluster):
        cluster.drop()

        name, message = self.status(state(MESH))

        assert name == "waiting"
        assert message.startswith("Kubernetes is away")

    def test_it_waits_if_there_is_no_kubeconfig(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("KUBECONFIG", "/nowhere")

        name, message = self.status(state(MESH))

        assert (name, message) == ("waiting", "Kubernetes is away (ConfigError), will try again")

    def test_an_error_stays_until_the_next_reconciliation(self, cluster: SmallCluster):
        cluster.distrust()
        failed = run(ON.config_changed(), state(MESH))

        assert self.status(failed, "start")[0] == "blocked"

    def test_an_error_is_cleared_by_a_reconciliation_that_succeeds(self, cluster: SmallCluster):
        cluster.fail(503)
        failed = run(ON.config_changed(), state(MESH))
        cluster.recover()

        assert self.status(failed, "update_status") == ("active", "")

    def test_an_error_is_cleared_when_leadership_is_lost(self, cluster: SmallCluster):
        cluster.distrust()
        failed = run(ON.config_changed(), state(MESH))

        assert self.status(replace(failed, leader=False)) == ("active", "")

    def test_a_label_that_a_user_has_set_is_named(self, cluster: SmallCluster):
        cluster.label_pods(**{"istio.io/dataplane-mode": "none"})

        assert self.status(state(MESH)) == (
            "active",
            "label istio.io/dataplane-mode=none on StatefulSet producer was set by somebody else",
        )

    def test_it_waits_if_there_is_no_stateful_set(self, cluster: SmallCluster):
        cluster.store.delete("StatefulSet", MODEL, APP)

        name, message = self.status(state(MESH))

        assert name == "waiting"
        assert message == "there is no StatefulSet producer to label, will try again"

    @pytest.mark.parametrize("content", ["<html>", ""])
    def test_it_waits_if_a_proxy_answers_without_json(self, content: str, cluster: SmallCluster):
        cluster.go_through(lambda request, handle: Answer(200, content))

        name, message = self.status(state(MESH))

        assert name == "waiting"
        assert message == "Kubernetes did not answer with JSON, will try again"

    def test_a_label_that_juju_owns_is_named(self):
        before = state(ambient(**{"app.kubernetes.io/name": "victim"}))

        assert self.status(before) == ("active", "label app.kubernetes.io/name is Juju's")


class TestTwoMeshes:
    def test_the_unit_is_blocked(self):
        first, second = related("service-mesh", "first"), related("service-mesh", "second")

        out = run(ON.update_status(), state(second, first))

        assert out.unit_status == testing.BlockedStatus(
            "on the mesh of first, which excludes others: `juju remove-relation producer second`"
        )

    def test_the_first_one_gets_the_policies(self):
        first, second = ambient(), ambient()

        out = run(ON.relation_created(second), state(second, first, SCRAPER))

        assert policies_of(out, first) == [("scraper", "prod")]
        assert out.get_relation(second.id).local_app_data == {}

    def test_the_second_one_gets_them_once_the_first_is_removed(self, cluster: SmallCluster):
        first, second = ambient(), ambient(other="1")
        before = run(ON.relation_created(second), state(first, second, SCRAPER))

        out = run(ON.relation_broken(before.get_relation(first.id)), before)

        assert policies_of(out, second) == [("scraper", "prod")]
        assert cluster.ledger() == {"other": "1"}


def test_a_charm_in_a_harness_without_a_model_name_starts():
    with pytest.warns(PendingDeprecationWarning, match="Harness"):
        harness = testing.Harness(ConsumerCharm, meta=yaml.safe_dump(CONSUMER), config=HARNESS)
    try:
        harness.set_leader(True)

        harness.begin_with_initial_hooks()

        assert harness.charm.mesh.enabled is False
    finally:
        harness.cleanup()


def test_ops_before_2_20_takes_every_relation_for_local(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(ops.Relation, "remote_model")

    out = run(ON.relation_created(SCRAPER), state(MESH, SCRAPER))

    assert policies_of(out, MESH) == [("scraper", "prod")]


def test_importing_the_library_does_not_import_lightkube():
    program = "import sys, charms.istio_beacon_k8s.v0.service_mesh as _; print(*sys.modules)"
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}

    loaded = subprocess.check_output([sys.executable, "-c", program], env=path, text=True).split()

    assert "pydantic" in loaded
    assert "lightkube" not in loaded


def test_an_undeclared_endpoint_in_a_policy_is_an_error():
    class Misspelt(ConsumerCharm):
        policies = (UnitPolicy(relation="dta"),)

    context = testing.Context(Misspelt, meta=CONSUMER, config=OPTIONS)

    with pytest.raises(testing.errors.UncaughtCharmError, match="'dta', and charmcraft"):
        context.run(ON.start(), testing.State())
