"""An application changes from one library to the other and back, on the same cluster."""

from typing import Any

import pytest
from canonical_service_mesh.k8s.types.istio import AuthorizationPolicy
from lightkube.models.meta_v1 import ObjectMeta
from ops import testing
from small_charms import LABELS, ambient, entry, state
from small_cluster import SmallCluster
from two_libraries import OURS, PUBLISHED, Library, consumer_on, reconcile_on

# The published library leaves its connections open.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

ON = testing.CharmEvents()
MESH = ambient()
CHANGES = [
    pytest.param(OURS, PUBLISHED, id="ours to theirs"),
    pytest.param(PUBLISHED, OURS, id="theirs to ours"),
]


class TestConsumer:
    @pytest.fixture(params=[OURS, PUBLISHED])
    def joined(self, request: pytest.FixtureRequest, cluster: SmallCluster) -> SmallCluster:
        consumer_on(request.param).run(ON.relation_changed(MESH), state(MESH))
        assert cluster.pod_labels().items() >= LABELS.items()
        return cluster

    def test_an_upgrade_to_ours_writes_nothing(self, joined: SmallCluster):
        joined.forget_calls()

        consumer_on(OURS).run(ON.upgrade_charm(), state(MESH))

        assert joined.writes() == []
        assert joined.ledger() == LABELS

    @pytest.mark.parametrize("library", [OURS, PUBLISHED])
    def test_leaving_after_an_upgrade_leaves_nothing_behind(
        self, library: Library, joined: SmallCluster
    ):
        upgraded = consumer_on(library).run(ON.upgrade_charm(), state(MESH))

        consumer_on(library).run(ON.relation_broken(upgraded.get_relation(MESH.id)), upgraded)

        assert joined.pod_labels().keys() == {"app.kubernetes.io/name"}
        assert joined.service_labels() == {}
        assert joined.ledger() is None


class TestPolicies:
    """A manager of one library finds the policies of the other by the labels that it is given."""

    @pytest.mark.parametrize(
        "requested",
        [
            entry(),
            entry(target_service="producer-lb"),
            entry(target_type="unit", endpoints=[{"ports": [9090, 9091]}]),
            entry(
                target_type="unit",
                target_app_name=None,
                target_selector_labels={"role": "main"},
                endpoints=[{"ports": [9090]}],
            ),
        ],
    )
    def test_both_libraries_render_the_same_policy(
        self, requested: dict[str, Any], istio: SmallCluster
    ):
        reconcile_on(PUBLISHED, requested)
        [theirs] = istio.policies().values()

        reconcile_on(OURS, requested)

        [ours] = istio.policies().values()
        assert ours["spec"] == theirs["spec"]
        assert ours["metadata"]["labels"] == theirs["metadata"]["labels"]

    @pytest.mark.parametrize(("before", "after"), CHANGES)
    def test_policies_of_the_other_library_are_adopted(
        self, before: Library, after: Library, istio: SmallCluster
    ):
        reconcile_on(before, entry(), entry(source_app_name="gone"))

        reconcile_on(after, entry(), entry(source_app_name="new"))

        sources = sorted(name.split("-")[3] for name in istio.policies())
        assert sources == ["new", "scraper"]

    def test_raw_policies_of_the_published_type_are_accepted(self, istio: SmallCluster):
        by_hand = AuthorizationPolicy(
            metadata=ObjectMeta(name="by-hand", namespace="prod"), spec={}
        )

        reconcile_on(OURS, raw_policies=[by_hand])

        assert list(istio.policies()) == ["by-hand"]
