"""Joining and leaving: which labels are set, in which order, and which are left alone."""

import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import replace

import pytest
from ops import testing
from small_charms import LABELS, ambient, consumer, state
from small_cluster import APP, LEDGER, MODEL, SmallCluster, connected

from charms.istio_beacon_k8s.v0.service_mesh import (
    kubernetes_errors,
    label_configmap_name_template,
    reconcile_charm_labels,
)

ON = testing.CharmEvents()
JUJU_LABELS = {"app.kubernetes.io/name": APP}


def reconcile(labels: Mapping[str, str]) -> dict[str, str]:
    name = label_configmap_name_template.format(app_name=APP)
    with connected(APP) as client:
        return reconcile_charm_labels(client, APP, MODEL, name, labels)


class TestReconcile:
    def test_labels_are_put_on_pods_and_service(self, cluster: SmallCluster):
        assert reconcile({"mesh": "on"}) == {}

        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "on"}
        assert cluster.service_labels() == {"mesh": "on"}
        assert cluster.ledger() == {"mesh": "on"}

    def test_earlier_labels_that_are_now_omitted_are_removed(self, cluster: SmallCluster):
        reconcile({"mesh": "on", "old": "1"})

        reconcile({"mesh": "on", "new": "2"})

        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "on", "new": "2"}
        assert cluster.service_labels() == {"mesh": "on", "new": "2"}
        assert cluster.ledger() == {"mesh": "on", "new": "2"}

    def test_an_empty_set_removes_the_labels_and_the_ledger(self, cluster: SmallCluster):
        reconcile({"mesh": "on"})

        reconcile({})

        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.service_labels() == {}
        assert cluster.ledger() is None

    def test_without_labels_and_ledger_it_makes_one_read(self, cluster: SmallCluster):
        reconcile({})

        assert cluster.calls() == ["get configmaps"]

    def test_unchanged_labels_take_three_reads(self, cluster: SmallCluster):
        reconcile({"mesh": "on"})
        cluster.forget_calls()

        reconcile({"mesh": "on"})

        assert cluster.calls() == ["get configmaps", "get statefulsets", "get services"]

    def test_the_ledger_is_written_before_and_after_the_labels(self, cluster: SmallCluster):
        reconcile({"old": "1"})
        cluster.forget_calls()

        reconcile({"new": "2"})

        assert cluster.writes() == [
            "patch configmaps",
            "patch statefulsets",
            "patch services",
            "patch configmaps",
        ]

    def test_the_ledger_has_old_and_new_labels_before_the_pods(self, cluster: SmallCluster):
        reconcile({"old": "1"})
        cluster.drop(at_write=1)

        with pytest.raises(kubernetes_errors()):
            reconcile({"new": "2"})

        assert cluster.ledger() == {"old": "1", "new": "2"}
        assert cluster.pod_labels() == {**JUJU_LABELS, "old": "1"}

    def test_drift_is_repaired(self, cluster: SmallCluster):
        reconcile({"mesh": "on"})
        cluster.unlabel_pods("mesh")
        cluster.forget_calls()

        reconcile({"mesh": "on"})

        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "on"}
        assert cluster.writes() == ["patch statefulsets"]

    @pytest.mark.parametrize("missing", ["StatefulSet", "Service"])
    def test_a_missing_object_does_not_stop_the_removal(self, missing: str, cluster: SmallCluster):
        reconcile({"mesh": "on"})
        cluster.store.delete(missing, MODEL, APP)

        reconcile({})

        assert cluster.ledger() is None


FIRST, SECOND, THIRD = {"a": "1", "b": "1"}, {"a": "2", "c": "1"}, {"a": "3"}
STEPS = [*itertools.permutations((FIRST, SECOND, {}), 3), (FIRST, SECOND, THIRD)]


@pytest.mark.parametrize("write", range(5))
@pytest.mark.parametrize("steps", STEPS, ids=json.dumps)
def test_a_crash_at_any_write_leaves_nothing_behind(
    steps: tuple[dict[str, str], ...], write: int, cluster: SmallCluster
):
    before, crashed, after = steps
    reconcile(before)
    cluster.drop(at_write=write)
    try:
        reconcile(crashed)
    except kubernetes_errors():
        pass
    cluster.recover()

    reconcile(after)

    assert cluster.pod_labels() == {**JUJU_LABELS, **after}
    assert cluster.service_labels() == after
    assert cluster.ledger() == (after or None)


class TestLeftAlone:
    def test_a_label_that_a_user_has_set_is_kept(self, cluster: SmallCluster):
        cluster.label_pods(mesh="mine")

        left_alone = reconcile({"mesh": "on", "other": "1"})

        assert list(left_alone) == ["mesh"]
        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "mine", "other": "1"}

    def test_a_label_that_a_user_has_changed_is_kept(self, cluster: SmallCluster):
        reconcile({"mesh": "on"})
        cluster.label_pods(mesh="mine")

        reconcile({})

        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "mine"}
        assert cluster.service_labels() == {}

    @pytest.mark.parametrize(
        "key",
        [
            "app.kubernetes.io/name",
            "app.kubernetes.io/managed-by",
            "app.juju.is/x",
            "model.juju.is/x",
            "controller.juju.is/x",
        ],
    )
    def test_a_label_that_juju_owns_is_not_set(self, key: str, cluster: SmallCluster):
        assert list(reconcile({key: "1"})) == [key]

        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.writes() == []

    def test_a_kubernetes_label_that_juju_does_not_use_is_set(self, cluster: SmallCluster):
        part_of = {"app.kubernetes.io/part-of": "loki"}

        assert reconcile(part_of) == {}

        assert cluster.pod_labels() == {**JUJU_LABELS, **part_of}

    def test_each_label_that_is_not_set_is_logged(
        self, cluster: SmallCluster, caplog: pytest.LogCaptureFixture
    ):
        with caplog.at_level(logging.WARNING):
            reconcile({"model.juju.is/x": "1", "a b": "1", "good": "1"})

        assert "Not set: label model.juju.is/x is Juju's" in caplog.text
        assert "Not set: label 'a b' is not legal" in caplog.text
        assert "good" not in caplog.text

    def test_a_label_in_a_selector_is_not_changed(self, cluster: SmallCluster):
        cluster.select_pods(role="primary")

        assert list(reconcile({"role": "other"})) == ["role"]

        assert cluster.writes() == []

    def test_a_label_in_a_selector_is_kept_despite_the_ledger(self, cluster: SmallCluster):
        cluster.put_ledger(labels=json.dumps(JUJU_LABELS))

        reconcile({})

        assert cluster.pod_labels() == JUJU_LABELS

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("", "x"),
            ("a b", "x"),
            ("-a", "x"),
            ("a/b/c", "x"),
            ("/a", "x"),
            ("UPPER.io/a", "x"),
            ("a" * 64, "x"),
            ("p" * 254 + "/a", "x"),
            ("a", "a b"),
            ("a", "x" * 64),
            ("a", "x\n"),
        ],
    )
    def test_an_illegal_label_is_not_set(self, key: str, value: str, cluster: SmallCluster):
        assert list(reconcile({key: value, "good": "1"})) == [key]

        assert cluster.pod_labels() == {**JUJU_LABELS, "good": "1"}

    @pytest.mark.parametrize(
        ("key", "value"),
        [("a", ""), ("A_b.c-d", "A_b.c-d"), ("x.io/a", "1"), ("a" * 63, "x" * 63)],
    )
    def test_a_legal_label_is_set(self, key: str, value: str, cluster: SmallCluster):
        assert reconcile({key: value}) == {}

        assert cluster.pod_labels() == {**JUJU_LABELS, key: value}


class TestLedger:
    def test_a_label_set_by_hand_is_recorded_and_removed(self, cluster: SmallCluster):
        cluster.label_pods(mesh="on")
        cluster.label("Service", "mesh", "on")
        cluster.forget_calls()

        reconcile({"mesh": "on"})

        assert cluster.ledger() == {"mesh": "on"}
        assert [write for write in cluster.writes() if "configmaps" not in write] == []

        reconcile({})

        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.service_labels() == {}

    def test_a_ledger_of_the_published_library_is_adopted(self, cluster: SmallCluster):
        cluster.put_ledger(labels='{"mesh": "on", "old": "1"}')
        cluster.label_pods(mesh="on", old="1")

        reconcile({"mesh": "on"})

        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "on"}
        assert cluster.ledger() == {"mesh": "on"}

    @pytest.mark.parametrize("damaged", ["", "{", "[]", '{"a": 1}'])
    def test_a_damaged_ledger_is_rebuilt(
        self, damaged: str, cluster: SmallCluster, caplog: pytest.LogCaptureFixture
    ):
        cluster.put_ledger(labels=damaged)
        cluster.label_pods(mesh="on", lost="1")

        with caplog.at_level(logging.WARNING):
            reconcile({"mesh": "on"})

        assert cluster.ledger() == {"mesh": "on"}
        assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "on", "lost": "1"}
        assert f"ConfigMap {LEDGER} is damaged" in caplog.text

    def test_a_null_of_the_first_published_versions_is_dropped(self, cluster: SmallCluster):
        cluster.put_ledger(labels='{"mesh": "on", "removed": null}')
        cluster.label_pods(mesh="on", removed="1")

        reconcile({})

        assert cluster.pod_labels() == {**JUJU_LABELS, "removed": "1"}
        assert cluster.ledger() is None

    def test_an_empty_ledger_counts_as_none(self, cluster: SmallCluster):
        cluster.put_ledger()

        reconcile({"mesh": "on"})

        assert cluster.ledger() == {"mesh": "on"}


class TestConsumerLeaves:
    def joined(self) -> tuple[testing.State, testing.RelationBase]:
        relation = ambient()
        out = consumer().run(ON.relation_changed(relation), state(relation))
        return out, out.get_relation(relation.id)

    def test_it_leaves_when_the_relation_is_removed(self, cluster: SmallCluster):
        joined, relation = self.joined()

        consumer().run(ON.relation_broken(relation), joined)

        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.service_labels() == {}
        assert cluster.ledger() is None

    def test_it_leaves_when_auto_join_is_turned_off(self, cluster: SmallCluster):
        joined, _ = self.joined()

        consumer().run(ON.config_changed(), replace(joined, config={"auto-join": False}))

        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.ledger() is None

    def test_it_leaves_when_a_new_revision_does_not_join(self, cluster: SmallCluster):
        self.joined()
        new_pod = state(ambient(), config={"auto-join": False})

        out = consumer().run(ON.upgrade_charm(), new_pod)

        assert out.unit_status.name == "active"
        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.ledger() is None

    def test_a_revision_that_does_not_join_leaves_after_a_failure(self, cluster: SmallCluster):
        self.joined()
        cluster.fail(503)
        away = consumer().run(ON.upgrade_charm(), state(ambient(), config={"auto-join": False}))
        cluster.recover()

        out = consumer().run(ON.update_status(), away)

        assert (away.unit_status.name, out.unit_status.name) == ("waiting", "active")
        assert cluster.pod_labels() == JUJU_LABELS

    def test_a_revision_that_was_never_trusted_reports_nothing(self, cluster: SmallCluster):
        cluster.distrust()

        out = consumer().run(ON.upgrade_charm(), state(ambient(), config={"auto-join": False}))

        assert out.unit_status == testing.ActiveStatus("mesh labels are left to the charm")

    def test_it_makes_no_calls_if_auto_join_was_never_on(self, cluster: SmallCluster):
        relation = ambient()

        consumer().run(ON.config_changed(), state(relation, config={"auto-join": False}))

        assert cluster.calls() == []

    def test_it_stays_while_the_mesh_publishes_nothing(self, cluster: SmallCluster):
        joined, relation = self.joined()
        silent = replace(joined, relations={replace(ambient(), id=relation.id, remote_app_data={})})

        consumer().run(ON.update_status(), silent)

        assert cluster.pod_labels() == {**JUJU_LABELS, **LABELS}

    def test_it_leaves_later_if_kubernetes_fails(self, cluster: SmallCluster):
        joined, relation = self.joined()
        cluster.fail(503)
        left = consumer().run(ON.relation_broken(relation), joined)
        cluster.recover()

        out = consumer().run(ON.update_status(), replace(left, relations=set()))

        assert left.unit_status.name == "waiting"
        assert out.unit_status.name == "active"
        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.ledger() is None

    @pytest.mark.parametrize("leader", [True, False])
    def test_it_leaves_in_a_new_pod_without_stored_state(self, leader: bool, cluster: SmallCluster):
        joined, relation = self.joined()
        cluster.fail(503)
        consumer().run(ON.relation_broken(relation), joined)
        cluster.recover()

        new_pod = consumer().run(ON.upgrade_charm(), state(leader=leader))
        out = consumer().run(ON.leader_elected(), replace(new_pod, leader=True))

        assert out.unit_status == testing.ActiveStatus("not on a service mesh")
        assert cluster.pod_labels() == JUJU_LABELS
        assert cluster.ledger() is None

    def test_it_leaves_in_a_new_pod_that_reruns_the_hook(self, cluster: SmallCluster):
        _, relation = self.joined()

        consumer().run(ON.relation_broken(relation), state(relation))

        assert cluster.pod_labels() == JUJU_LABELS

    def test_it_leaves_under_a_new_leader(self, cluster: SmallCluster):
        self.joined()
        relation = ambient()
        follower = consumer().run(ON.relation_changed(relation), state(relation, leader=False))

        left = replace(follower, relations=set(), leader=True)
        consumer().run(ON.leader_elected(), left)

        assert cluster.pod_labels() == JUJU_LABELS

    def test_it_makes_no_calls_after_it_has_left(self, cluster: SmallCluster):
        joined, relation = self.joined()
        left = consumer().run(ON.relation_broken(relation), joined)
        cluster.forget_calls()

        consumer().run(ON.update_status(), replace(left, relations=set()))

        assert cluster.calls() == []

    def test_it_leaves_without_an_error_if_it_was_never_trusted(self, cluster: SmallCluster):
        cluster.distrust()
        joined, relation = self.joined()

        left = consumer().run(ON.relation_broken(relation), joined)

        assert (joined.unit_status.name, left.unit_status.name) == ("blocked", "active")

    def test_leaving_is_blocked_if_trust_was_removed(self, cluster: SmallCluster):
        joined, relation = self.joined()
        cluster.distrust()

        left = consumer().run(ON.relation_broken(relation), joined)

        assert left.unit_status.name == "blocked"
