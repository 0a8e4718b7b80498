"""Defects that the property tests found, each in the fewest steps."""

import json
from dataclasses import replace

from ops import testing
from properties.faults import Fault, Faults
from small_charms import LABELS, ambient, consumer, entry, provider, requesting, state
from small_cluster import APP, SmallCluster

ON = testing.CharmEvents()
JUJU_LABELS = {"app.kubernetes.io/name": APP}
MESH = ambient()


def joined() -> testing.State:
    return consumer().run(ON.relation_changed(MESH), state(MESH))


def in_a_new_pod(unit: testing.State) -> testing.State:
    return replace(unit, stored_states=frozenset())


def leave(unit: testing.State) -> testing.State:
    left = consumer().run(ON.relation_broken(unit.get_relation(MESH.id)), unit)
    return replace(left, relations=frozenset())


def check_left(cluster: SmallCluster) -> None:
    assert cluster.pod_labels() == JUJU_LABELS
    assert cluster.service_labels() == {}
    assert cluster.ledger() is None


def test_a_key_from_relation_data_is_escaped_in_the_log():
    relation = requesting("producer", entry(target_selector_labels={"\0": 1}))
    charm = provider()

    with charm(ON.update_status(), state(relation)) as manager:
        [refused] = manager.charm.mesh.review().refused

    assert refused.reason.startswith("target_selector_labels.\\x00: ")
    assert all("\0" not in line.message for line in charm.juju_log)


def test_a_ledger_with_one_damaged_key_is_rebuilt(cluster: SmallCluster):
    cluster.put_ledger(labels=json.dumps(LABELS), replaced="damaged")
    rebuilt = joined()
    cluster.forget_calls()

    consumer().run(ON.update_status(), rebuilt)

    assert cluster.writes() == []


def test_a_404_that_kubernetes_did_not_send_is_a_failure(cluster: SmallCluster):
    cluster.go_through(Faults([Fault(404, after=False)]))
    on_mesh = joined()
    cluster.go_through(Faults([Fault(404, after=False)]))

    left = leave(on_mesh)
    consumer().run(ON.update_status(), left)

    assert (on_mesh.unit_status.name, left.unit_status.name) == ("waiting", "waiting")
    check_left(cluster)


def test_a_new_pod_without_trust_leaves_once_trusted(cluster: SmallCluster):
    on_mesh = joined()
    cluster.fail(403)
    refused = consumer().run(ON.upgrade_charm(), in_a_new_pod(on_mesh))
    left = leave(refused)
    cluster.recover()

    consumer().run(ON.update_status(), left)

    assert (refused.unit_status.name, left.unit_status.name) == ("blocked", "active")
    check_left(cluster)


def test_a_pod_that_stops_while_leaving_leaves_in_the_next_one(cluster: SmallCluster):
    on_mesh = joined()
    cluster.drop(at_write=1)
    leave(on_mesh)
    cluster.recover()

    leave(in_a_new_pod(on_mesh))

    check_left(cluster)


def test_a_unit_that_leads_again_reconciles(cluster: SmallCluster):
    led = joined()
    follows = consumer().run(ON.update_status(), replace(led, leader=False))
    bag = replace(follows.get_relation(MESH.id), local_app_data={"policies": "of another leader"})
    cluster.unlabel_pods(*LABELS)

    leads = replace(follows, leader=True, relations=frozenset({bag}))
    again = consumer().run(ON.config_changed(), leads)

    assert again.get_relation(MESH.id).local_app_data == {"policies": "[]"}
    assert cluster.pod_labels() == {**JUJU_LABELS, **LABELS}
