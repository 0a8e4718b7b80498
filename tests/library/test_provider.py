"""The provider: its relation data, and the policies that it accepts or refuses."""

import json
import logging
from typing import Any

import pytest
from ops import testing
from small_charms import ALIAS, Event, entry, provider, related, requesting, state

from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy, Refusal, Review

ON = testing.CharmEvents()
CONSUMER = related("service-mesh", "producer")
EVENTS: list[Event] = [
    ON.relation_created(CONSUMER),
    ON.config_changed(),
    ON.leader_elected(),
    ON.upgrade_charm(),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.path)
class TestPublishes:
    def test_it_publishes_labels_and_mesh_type_byte_for_byte(self, event: Event):
        out = provider().run(event, state(CONSUMER))

        assert out.get_relation(CONSUMER.id).local_app_data == {
            "labels": '{"istio.io/dataplane-mode": "ambient"}',
            "mesh_type": '"istio"',
        }

    def test_a_non_leader_publishes_nothing(self, event: Event):
        out = provider().run(event, state(CONSUMER, leader=False))

        assert out.get_relation(CONSUMER.id).local_app_data == {}


def test_changed_labels_reach_every_relation():
    relations = CONSUMER, related("service-mesh", "scraper")

    out = provider().run(ON.config_changed(), state(*relations, config={"labels": '{"mesh": "b"}'}))

    published = [out.get_relation(each.id).local_app_data["labels"] for each in relations]
    assert published == ['{"mesh": "b"}'] * 2


def test_an_illegal_label_is_not_published(caplog: pytest.LogCaptureFixture):
    labels = {"labels": json.dumps({"mesh": "a", "model": "m" * 64})}

    out = provider().run(ON.config_changed(), state(CONSUMER, config=labels))

    assert out.get_relation(CONSUMER.id).local_app_data["labels"] == '{"mesh": "a"}'
    assert f"Not published: model={'m' * 64} is not a label of Kubernetes" in caplog.text


def mesh_info(*relations: testing.Relation) -> list[MeshPolicy]:
    charm = provider()
    with charm(charm.on.update_status(), state(*relations)) as manager:
        return manager.charm.mesh.mesh_info()


def review(*relations: testing.Relation) -> Review:
    charm = provider()
    with charm(charm.on.update_status(), state(*relations)) as manager:
        return manager.charm.mesh.review()


def refusal(*relations: testing.Relation) -> Refusal:
    """Return the only refusal, after a check that nothing is accepted."""
    result = review(*relations)
    assert result.accepted == []
    [refused] = result.refused
    return refused


GOOD = MeshPolicy.model_validate(entry())


def test_policies_come_relation_by_relation():
    other = entry(target_app_name="other")

    assert mesh_info(requesting("producer", entry()), requesting("other", other)) == [
        GOOD,
        MeshPolicy.model_validate(other),
    ]


def test_a_correct_policy_is_accepted():
    assert review(requesting("producer", entry())) == Review(accepted=[GOOD], refused=[])


def test_without_policies_the_review_is_empty():
    assert review(CONSUMER) == Review(accepted=[], refused=[])


BAD_BAGS = ["{", "{}", "7", "null", '"x"', "[" * 100_000]
BAD_ENTRIES: list[Any] = [
    None,
    7,
    [],
    {},
    entry(endpoints=[{"methods": ["FETCH"]}]),
    entry(endpoints=[{"ports": [70000]}]),
    entry(source_app_name="*"),
    entry(source_namespace="victim/sa/x"),
    entry(source_app_name="\ud800"),
    entry(target_namespace="../kube-system"),
    entry(target_type="cluster"),
]


@pytest.mark.parametrize("bag", BAD_BAGS, ids=range(len(BAD_BAGS)))
def test_a_malformed_databag_does_not_affect_the_others(bag: str):
    bad = related("service-mesh", "bad", remote_app_data={"policies": bag})

    result = review(bad, requesting("producer", entry()))

    assert result.accepted == mesh_info(bad, requesting("producer", entry())) == [GOOD]
    assert [(each.app, each.entry) for each in result.refused] == [("bad", bag)]


@pytest.mark.parametrize("bad", BAD_ENTRIES, ids=range(len(BAD_ENTRIES)))
def test_a_malformed_policy_does_not_affect_the_others(bad: Any):
    relation = requesting("producer", bad, entry())

    result = review(relation)

    assert result.accepted == mesh_info(relation) == [GOOD]
    assert [(each.app, json.loads(each.entry)) for each in result.refused] == [("producer", bad)]


def test_a_refusal_gives_its_reason_and_is_logged_once(caplog: pytest.LogCaptureFixture):
    charm = provider()
    relation = requesting("producer", entry(source_app_name="*"))
    with (
        caplog.at_level(logging.WARNING),
        charm(charm.on.update_status(), state(relation)) as manager,
    ):
        manager.charm.mesh.mesh_info()
        [refused] = manager.charm.mesh.review().refused

    assert refused.reason == (
        "source_app_name: '*' is not a name of an application, a model or a Service"
    )
    assert caplog.text.count("Refused a policy of producer") == 1


def test_many_refusals_are_all_returned_and_partly_logged(
    caplog: pytest.LogCaptureFixture,
):
    bad = [entry(source_app_name=f"*{number}") for number in range(500)]

    refused = review(
        requesting("careless", *bad), requesting("other", entry(source_app_name="*"))
    ).refused

    assert len(refused) == 501
    assert caplog.text.count("Refused a policy of careless") == 10
    assert caplog.text.count("Refused a policy of other") == 1


def test_a_refusal_has_the_policy_if_it_is_well_formed():
    bad, good = entry(source_app_name="*"), entry(target_app_name="victim")

    malformed, overreaching = review(requesting("producer", bad, good)).refused

    assert malformed.policy is None
    assert overreaching.policy == MeshPolicy.model_validate(good)


class TestTarget:
    """A policy is refused unless its target belongs to the sender."""

    @pytest.mark.parametrize(
        "own",
        [
            {},
            {"target_service": "producer"},
            {"target_service": "producer-lb"},
            {"target_service": "something-else"},
            {"target_app_name": None, "target_service": "producer-lb"},
            {"target_type": "unit", "endpoints": []},
            {
                "target_type": "unit",
                "target_app_name": None,
                "target_selector_labels": {"app.kubernetes.io/name": "producer", "role": "main"},
            },
        ],
    )
    def test_a_target_of_the_sender_is_accepted(self, own: dict[str, Any]):
        assert len(review(requesting("producer", entry(**own))).accepted) == 1

    @pytest.mark.parametrize(
        ("others", "reason"),
        [
            ({"target_app_name": "victim"}, "its target is victim, not the sender"),
            ({"target_namespace": "far"}, "its target is in far, not in the sender's model"),
            (
                {"target_service": "victim"},
                "the Service victim belongs to victim, not to the sender",
            ),
            (
                {"target_app_name": None, "target_service": "victim-lb"},
                "the Service victim-lb belongs to victim, not to the sender",
            ),
            (
                {"target_type": "unit", "target_app_name": None},
                "a unit target without application or selector opens the whole namespace",
            ),
            (
                {
                    "target_type": "unit",
                    "target_app_name": None,
                    "target_selector_labels": {"istio.io/dataplane-mode": "ambient"},
                },
                (
                    "its selector lacks app.kubernetes.io/name=producer, "
                    "so it may select pods of others"
                ),
            ),
        ],
    )
    def test_a_target_of_another_application_is_refused(self, others: dict[str, Any], reason: str):
        bad = entry(**others)

        refused = refusal(requesting("producer", bad), related("service-mesh", "victim"))

        assert (refused.app, json.loads(refused.entry), refused.reason) == ("producer", bad, reason)

    def test_a_longer_name_is_another_application(self):
        service = entry(target_service="producer-b-lb")

        refused = refusal(requesting("producer", service), related("service-mesh", "producer-b"))

        assert "belongs to producer-b" in refused.reason

    def test_mesh_info_does_not_check_targets(self):
        assert len(mesh_info(requesting("producer", entry(target_app_name="victim")))) == 1

    @pytest.mark.parametrize("namespace", ["prod", "far", "istio-system"])
    def test_a_sender_in_another_model_is_refused(self, namespace: str):
        assert refusal(requesting(ALIAS, entry(target_namespace=namespace))).reason == (
            "the sender is in another model: relate it to a mesh there"
        )
