"""After any failures of Kubernetes, the cluster has exactly the requested policies."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from properties.faults import PLANS, Faults
from small_charms import entry, provider, state
from small_cluster import SmallCluster, connected

from charms.istio_beacon_k8s.v0.service_mesh import (
    MeshPolicy,
    MeshType,
    PolicyResourceManager,
    Refusal,
    kubernetes_errors,
)
from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.server import Handle

POLICIES = [MeshPolicy.model_validate(entry(source_app_name=name)) for name in "abcd"]
REQUESTED = st.lists(st.sampled_from(POLICIES), unique_by=lambda policy: policy.source_app_name)
# The timeouts of the clients here are too long for these faults.
WITHOUT_TIMEOUTS = PLANS.filter(lambda plan: not Faults(plan).timeouts)
STEPS = st.lists(st.tuples(REQUESTED, WITHOUT_TIMEOUTS), min_size=1, max_size=6)
FOREIGN = "foreign"


def sources(cluster: SmallCluster) -> set[str]:
    """Return the applications that the policies allow."""
    rules = [each["spec"]["rules"] for name, each in cluster.policies().items() if name != FOREIGN]
    return {rule[0]["from"][0]["source"]["principals"][0].split("/")[-1] for rule in rules}


def names(policies: list[MeshPolicy]) -> set[str]:
    return {policy.source_app_name for policy in policies}


class Watched:
    """Records the applications that a request denies, although they should always be allowed."""

    def __init__(self, cluster: SmallCluster, always: set[str], faults: Faults) -> None:
        self._cluster, self._always, self._faults = cluster, always, faults
        self.denied: set[str] = set()

    def __call__(self, request: Request, handle: Handle) -> Answer:
        try:
            return self._faults(request, handle)
        finally:
            self.denied |= self._always - sources(self._cluster)


def reconcile(manager: PolicyResourceManager, policies: list[MeshPolicy]) -> list[Refusal] | None:
    """Return the refusals, or None if Kubernetes failed."""
    try:
        return manager.reconcile(policies, MeshType.istio)
    except kubernetes_errors():
        return None


@given(steps=STEPS)
def test_the_cluster_gets_the_requested_policies(steps: list[tuple[Any, Any]], istio: SmallCluster):
    charm = provider()
    istio.put_policy(FOREIGN, {})
    with charm(charm.on.start(), state()) as running, connected("mesh") as client:
        manager = PolicyResourceManager(running.charm, client)
        for requested, plan in steps:
            watched = Watched(istio, names(requested) & sources(istio), Faults(plan))
            istio.go_through(watched)
            reconcile(manager, requested)
            assert watched.denied == set()

        istio.recover()
        last = steps[-1][0]
        assert reconcile(manager, last) == []
        assert sources(istio) == names(last)
        assert FOREIGN in istio.policies()

        istio.forget_calls()
        reconcile(manager, last)
        assert istio.writes() == []
