"""Rendering policies as AuthorizationPolicies, and bringing the cluster to exactly these."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import pytest
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap
from ops import testing
from small_charms import entry, provider, state
from small_cluster import MODEL, SmallCluster, connected

from charms.istio_beacon_k8s.v0.service_mesh import (
    IstioNotInstalledError,
    MeshPolicy,
    MeshType,
    PolicyResourceManager,
    authorization_policy_resource,
    kubernetes_errors,
    kubernetes_status,
)

AuthorizationPolicy = authorization_policy_resource()
SCRAPE = MeshPolicy.model_validate(entry())
READ = MeshPolicy.model_validate(entry(source_app_name="reader"))
ALLOW_NOTHING = AuthorizationPolicy(metadata=ObjectMeta(name="allow-nothing"), spec={})


@pytest.fixture
def make_manager() -> Iterator[Callable[..., PolicyResourceManager]]:
    """Yield a function that makes managers of the application `mesh` in the model `prod`."""
    charm = provider()
    with charm(charm.on.update_status(), state()) as running, contextlib.ExitStack() as clients:

        def make(**arguments: Any) -> PolicyResourceManager:
            client = clients.enter_context(connected("mesh"))
            return PolicyResourceManager(running.charm, client, **arguments)

        yield make


Manager = Callable[..., PolicyResourceManager]


def spec_of(policy: MeshPolicy, cluster: SmallCluster, manager: PolicyResourceManager) -> Any:
    assert manager.reconcile([policy], MeshType.istio) == []
    [applied] = cluster.policies().values()
    return applied["spec"]


class TestRendering:
    @pytest.mark.parametrize(
        ("target", "rendered"),
        [
            ({}, "producer"),
            ({"target_service": "lb"}, "lb"),
            ({"target_app_name": None, "target_service": "lb"}, "lb"),
        ],
    )
    def test_an_app_policy_targets_a_service(
        self, target: dict[str, Any], rendered: str, istio: SmallCluster, make_manager: Manager
    ):
        policy = MeshPolicy.model_validate(entry(**target))

        assert spec_of(policy, istio, make_manager()) == {
            "targetRefs": [{"group": "", "kind": "Service", "name": rendered}],
            "rules": [
                {
                    "from": [{"source": {"principals": ["cluster.local/ns/prod/sa/scraper"]}}],
                    "to": [
                        {
                            "operation": {
                                "ports": ["9090"],
                                "methods": ["GET"],
                                "paths": ["/metrics"],
                            }
                        }
                    ],
                }
            ],
        }

    @pytest.mark.parametrize(
        ("target", "rendered"),
        [
            ({}, {"app.kubernetes.io/name": "producer"}),
            ({"target_app_name": None, "target_selector_labels": {"a": "b"}}, {"a": "b"}),
        ],
    )
    def test_a_unit_policy_selects_pods(
        self,
        target: dict[str, Any],
        rendered: dict[str, str],
        istio: SmallCluster,
        make_manager: Manager,
    ):
        ports = entry(target_type="unit", endpoints=[{"ports": [9090, 9091]}], **target)

        assert spec_of(MeshPolicy.model_validate(ports), istio, make_manager()) == {
            "selector": {"matchLabels": rendered},
            "rules": [
                {
                    "from": [{"source": {"principals": ["cluster.local/ns/prod/sa/scraper"]}}],
                    "to": [{"operation": {"ports": ["9090", "9091"]}}],
                }
            ],
        }

    @pytest.mark.parametrize("endpoints", [[], [{}], [{"ports": [1]}, {}], [{"paths": []}]])
    def test_an_endpoint_without_limits_allows_any_request(
        self, endpoints: list[Any], istio: SmallCluster, make_manager: Manager
    ):
        policy = MeshPolicy.model_validate(entry(endpoints=endpoints))

        [rule] = spec_of(policy, istio, make_manager())["rules"]

        assert set(rule) == {"from"}

    def test_the_namespace_is_that_of_the_target(self, istio: SmallCluster, make_manager: Manager):
        istio.put_namespace("far")
        policy = MeshPolicy.model_validate(entry(target_namespace="far"))

        make_manager().reconcile([policy], MeshType.istio)

        [applied] = istio.policies().values()
        assert applied["metadata"]["namespace"] == "far"


class TestName:
    def name(self, cluster: SmallCluster, manager: PolicyResourceManager, **changes: Any) -> str:
        policy = MeshPolicy.model_validate(entry(**changes))
        assert manager.reconcile([policy], MeshType.istio) == []
        [name] = cluster.policies()
        return name

    def test_a_name_contains_caller_and_target(self, istio: SmallCluster, make_manager: Manager):
        name = self.name(istio, make_manager())

        assert re.fullmatch(r"mesh-prod-policy-scraper-prod-producer-[0-9a-f]{8}", name)

    def test_a_name_says_if_the_target_is_a_selector(
        self, istio: SmallCluster, make_manager: Manager
    ):
        target = {"target_app_name": None, "target_selector_labels": {"a": "b"}}

        name = self.name(istio, make_manager(), target_type="unit", endpoints=[], **target)

        assert name.startswith("mesh-prod-policy-scraper-prod-custom-selector-")

    def test_a_name_does_not_depend_on_order(self, istio: SmallCluster, make_manager: Manager):
        one = {"ports": [1, 2], "methods": ["GET", "PUT"], "paths": ["/a", "/b"], "hosts": ["x"]}
        reverse = {key: values[::-1] for key, values in one.items()}

        names = {
            self.name(istio, make_manager(), endpoints=[one, {"ports": [3]}]),
            self.name(istio, make_manager(), endpoints=[{"ports": [3]}, reverse]),
        }

        assert len(names) == 1

    @pytest.mark.parametrize("other", [{"ports": [2]}, {"ports": [1], "paths": ["/a"]}])
    def test_a_name_depends_on_content(
        self, other: dict[str, Any], istio: SmallCluster, make_manager: Manager
    ):
        name = self.name(istio, make_manager(), endpoints=[{"ports": [1]}])

        assert self.name(istio, make_manager(), endpoints=[other]) != name

    def test_a_name_made_of_long_and_odd_parts_is_legal(self, istio: SmallCluster):
        odd = "A." + "_" * 60 + "Z"
        names = {"source_app_name": odd, "source_namespace": odd, "target_app_name": odd}
        charm = provider("m" * 63)
        with charm(charm.on.update_status(), state()) as running, connected("mesh") as client:
            name = self.name(istio, PolicyResourceManager(running.charm, client), **names)

        assert len(name) == 253
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)


class TestReconcile:
    def test_the_cluster_has_exactly_the_given_policies(
        self, istio: SmallCluster, make_manager: Manager
    ):
        make_manager().reconcile([SCRAPE], MeshType.istio)

        make_manager().reconcile([READ], MeshType.istio)

        [applied] = istio.policies().values()
        assert "reader" in applied["metadata"]["name"]

    def test_new_policies_are_applied_before_old_ones_are_deleted(
        self, istio: SmallCluster, make_manager: Manager
    ):
        make_manager().reconcile([SCRAPE], MeshType.istio)
        istio.forget_calls()

        make_manager().reconcile([READ], MeshType.istio)

        assert istio.calls() == [
            "list authorizationpolicies",
            "patch authorizationpolicies",
            "delete authorizationpolicies",
        ]

    def test_unchanged_policies_take_one_read(self, istio: SmallCluster, make_manager: Manager):
        make_manager().reconcile([SCRAPE, SCRAPE], MeshType.istio, [ALLOW_NOTHING])
        istio.forget_calls()

        make_manager().reconcile([SCRAPE], MeshType.istio, [ALLOW_NOTHING])

        assert istio.calls() == ["list authorizationpolicies"]

    def test_drift_is_repaired(self, istio: SmallCluster, make_manager: Manager):
        make_manager().reconcile([SCRAPE], MeshType.istio)
        [applied] = istio.policies().values()
        istio.store.put({**applied, "spec": {}})

        make_manager().reconcile([SCRAPE], MeshType.istio)

        [repaired] = istio.policies().values()
        assert repaired["spec"] == applied["spec"]

    def test_an_empty_list_removes_all_policies(self, istio: SmallCluster, make_manager: Manager):
        make_manager().reconcile([SCRAPE], MeshType.istio)

        make_manager().reconcile([], MeshType.istio)

        assert istio.policies() == {}

    def test_policies_of_others_are_left_alone(self, istio: SmallCluster, make_manager: Manager):
        istio.put_policy("by-hand", {})
        make_manager(labels={"owner": "other"}).reconcile([SCRAPE], MeshType.istio)

        make_manager().reconcile([READ], MeshType.istio)
        make_manager().delete()

        assert len(istio.policies()) == 2

    def test_policies_have_the_labels_of_their_manager(
        self, istio: SmallCluster, make_manager: Manager
    ):
        make_manager(labels={"owner": "me"}).reconcile([SCRAPE], MeshType.istio)

        [applied] = istio.policies().values()
        assert applied["metadata"]["labels"] == {"owner": "me"}

    def test_raw_policies_are_applied_with_the_others(
        self, istio: SmallCluster, make_manager: Manager
    ):
        make_manager().reconcile([SCRAPE], MeshType.istio, raw_policies=[ALLOW_NOTHING])

        assert len(istio.policies()) == 2
        assert istio.policies()["allow-nothing"]["spec"] == {}
        assert istio.policies()["allow-nothing"]["metadata"]["namespace"] == MODEL

    def test_raw_policies_are_applied_after_the_others(
        self, istio: SmallCluster, make_manager: Manager
    ):
        before: list[str] = []
        istio.before_write(1, lambda: before.extend(istio.policies()))

        make_manager().reconcile([SCRAPE], MeshType.istio, raw_policies=[ALLOW_NOTHING])

        assert len(before) == 1
        assert "allow-nothing" not in before
        assert "allow-nothing" in istio.policies()

    def test_a_raw_policy_of_another_type_is_an_error(
        self, istio: SmallCluster, make_manager: Manager
    ):
        wrong: Any = ConfigMap()
        with pytest.raises(TypeError, match="ConfigMap is not"):
            make_manager().reconcile([SCRAPE], MeshType.istio, raw_policies=[wrong])

        assert istio.policies() == {}

    @pytest.mark.usefixtures("istio")
    def test_an_unknown_mesh_type_is_an_error(self, make_manager: Manager):
        unknown: Any = "linkerd"
        with pytest.raises(ValueError, match="linkerd"):
            make_manager().reconcile([SCRAPE], unknown)


class TestRefusal:
    def test_a_unit_policy_with_paths_is_refused(
        self, istio: SmallCluster, make_manager: Manager, caplog: pytest.LogCaptureFixture
    ):
        bad = MeshPolicy.model_validate(entry(target_type="unit"))

        with caplog.at_level(logging.WARNING):
            [refused] = make_manager().reconcile([bad, SCRAPE], MeshType.istio)

        assert (refused.app, refused.reason) == (
            "producer",
            "a policy for units is decided at L4, where there are no hosts, methods or paths",
        )
        assert MeshPolicy.model_validate_json(refused.entry) == bad
        assert len(istio.policies()) == 1
        assert "Refused a policy for producer" in caplog.text

    @pytest.mark.parametrize("selector", [None, {}])
    def test_a_unit_policy_without_a_target_is_refused(
        self, selector: dict[str, str] | None, istio: SmallCluster, make_manager: Manager
    ):
        target = {"target_app_name": None, "target_selector_labels": selector}
        bad = MeshPolicy.model_validate(entry(target_type="unit", endpoints=[], **target))

        [refused] = make_manager().reconcile([bad, SCRAPE], MeshType.istio)

        assert (refused.app, refused.reason) == (
            "selected pods",
            "a unit target without application or selector opens the whole namespace",
        )
        assert len(istio.policies()) == 1

    def test_a_policy_in_a_missing_namespace_is_refused(
        self, istio: SmallCluster, make_manager: Manager
    ):
        nowhere = MeshPolicy.model_validate(entry(target_namespace="nowhere"))

        [refused] = make_manager().reconcile([nowhere, SCRAPE], MeshType.istio)

        assert 'namespaces "nowhere" not found' in refused.reason
        assert len(istio.policies()) == 1

    @pytest.mark.parametrize("code", [400, 422])
    def test_a_policy_that_kubernetes_rejects_is_refused(
        self, code: int, istio: SmallCluster, make_manager: Manager
    ):
        istio.fail(code, "patch", "authorizationpolicies")

        refused = make_manager().reconcile([SCRAPE, READ], MeshType.istio)

        assert [each.reason for each in refused] == [f"the reason for {code}"] * 2

    @pytest.mark.parametrize("code", [403, 409, 503])
    def test_a_failure_of_the_cluster_is_not_a_refusal(
        self, code: int, istio: SmallCluster, make_manager: Manager
    ):
        istio.fail(code, "patch", "authorizationpolicies")

        with pytest.raises(lightkube.ApiError) as caught:
            make_manager().reconcile([SCRAPE], MeshType.istio)

        assert caught.value.status.code == code


class TestWithoutIstio:
    def test_deleting_or_reconciling_nothing_writes_nothing(
        self, cluster: SmallCluster, make_manager: Manager
    ):
        make_manager().delete()
        make_manager().reconcile([], MeshType.istio)

        assert cluster.writes() == []

    @pytest.mark.usefixtures("cluster")
    def test_deleting_raises_an_error_if_missing_is_not_ignored(self, make_manager: Manager):
        with pytest.raises(IstioNotInstalledError):
            make_manager().delete(ignore_missing=False)

    @pytest.mark.usefixtures("cluster")
    def test_applying_a_policy_raises_an_error_that_blocks(self, make_manager: Manager):
        with pytest.raises(kubernetes_errors()) as caught:
            make_manager().reconcile([SCRAPE], MeshType.istio)

        assert kubernetes_status(caught.value, "mesh") == testing.BlockedStatus(
            "the cluster has no AuthorizationPolicies: install Istio first"
        )


def test_a_manager_that_is_not_trusted_is_blocked(istio: SmallCluster, make_manager: Manager):
    istio.distrust()

    with pytest.raises(kubernetes_errors()) as caught:
        make_manager().reconcile([SCRAPE], MeshType.istio)

    assert kubernetes_status(caught.value, "mesh") == testing.BlockedStatus(
        "may not list authorizationpolicies: run `juju trust mesh --scope=cluster`"
    )
