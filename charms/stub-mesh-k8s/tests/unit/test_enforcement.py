"""The option `enforcement`: the cluster gets AuthorizationPolicies, NetworkPolicies or none.

The tests apply Kubernetes' rules to the NetworkPolicies of the charm, as a CNI would.
"""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from cluster import Cluster, Object
from juju import READ, member, policy, state
from ops import testing

from charm import StubMeshCharm
from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, MeshPolicy, PolicyTargetType

Context = testing.Context[StubMeshCharm]
Pod = tuple[str, dict[str, str]]

ON = {"istio.io/dataplane-mode": "ambient"}
L4_ONLY = "methods and paths are not enforced: NetworkPolicies know pods and ports alone"
UNENFORCED = f"Istio is not running (no ztunnel pod); {L4_ONLY}"


def pod(app: str, model: str = "demo", labels: dict[str, str] = ON) -> Pod:
    return model, {"app.kubernetes.io/name": app, **labels}


PRODUCER, SCRAPER, OUTSIDER = pod("producer"), pod("scraper"), pod("outsider")


def lets_in(cluster: Cluster, source: Pod, target: Pod, port: int = 8080) -> bool:
    """Return whether the cluster's NetworkPolicies let the source connect to the target.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    rules = [
        each["spec"].get("ingress", [])
        for each in cluster.network_policies.values()
        if each["metadata"]["namespace"] == target[0]
        and selects(each["spec"]["podSelector"], target[1])
        and each["spec"]["policyTypes"] == ["Ingress"]
    ]
    return not rules or any(
        any(is_peer(peer, source) for peer in rule["from"])
        and ("ports" not in rule or {"port": port, "protocol": "TCP"} in rule["ports"])
        for ingress in rules
        for rule in ingress
    )


def is_peer(peer: Object, pod: Pod) -> bool:
    namespace = {"kubernetes.io/metadata.name": pod[0]}
    return selects(peer["namespaceSelector"], namespace) and selects(peer["podSelector"], pod[1])


def selects(selector: Object, labels: dict[str, str]) -> bool:
    return selector["matchLabels"].items() <= labels.items()


def enforced(
    context: Context, cluster: Cluster, *policies: MeshPolicy, **config: Any
) -> testing.State:
    """Request these policies for the producer on a cluster without Istio."""
    cluster.has_istio, cluster.running = False, frozenset()
    relations = member("producer", *policies), member("scraper")
    return context.run(context.on.config_changed(), state(*relations, config=config))


@pytest.mark.parametrize("enforcement", ["auto", "network-policy"])
def test_only_the_related_application_reaches_its_port(
    context: Context, cluster: Cluster, enforcement: str
):
    out = enforced(context, cluster, policy(), enforcement=enforcement)

    assert lets_in(cluster, SCRAPER, PRODUCER)
    assert not lets_in(cluster, SCRAPER, PRODUCER, port=9090)
    assert not lets_in(cluster, OUTSIDER, PRODUCER)
    assert not lets_in(cluster, PRODUCER, SCRAPER)
    unenforced = UNENFORCED if enforcement == "auto" else L4_ONLY
    assert out.unit_status == testing.ActiveStatus(unenforced)


def test_source_and_target_must_be_on_the_mesh(context: Context, cluster: Cluster):
    enforced(context, cluster, policy())

    assert not lets_in(cluster, pod("scraper", labels={}), PRODUCER)
    assert lets_in(cluster, OUTSIDER, pod("producer", labels={}))


def test_all_labels_of_the_option_are_needed(context: Context, cluster: Cluster):
    both = {"mesh": "demo", "team": "a"}
    producer = pod("producer", labels=both)

    enforced(context, cluster, policy(), labels="mesh=demo,team=a")

    assert lets_in(cluster, pod("scraper", labels=both), producer)
    assert not lets_in(
        cluster, pod("scraper", labels={"mesh": "demo"}), pod("producer", labels=both)
    )
    assert not lets_in(cluster, OUTSIDER, producer)


def test_a_policy_for_another_model_is_for_that_model_alone(context: Context, cluster: Cluster):
    enforced(context, cluster, policy(source_namespace="remote"))

    assert lets_in(cluster, pod("scraper", model="remote"), PRODUCER)
    assert not lets_in(cluster, SCRAPER, PRODUCER)
    assert not lets_in(cluster, pod("scraper", model="elsewhere"), PRODUCER)
    assert any("-scraper-remote-producer-" in name for name in cluster.network_policies)


def test_hardened_closes_an_application_without_policies(context: Context, cluster: Cluster):
    enforced(context, cluster, policy())
    assert not lets_in(cluster, PRODUCER, SCRAPER)

    enforced(context, cluster, policy(), hardened=False)
    assert lets_in(cluster, PRODUCER, SCRAPER)
    assert not lets_in(cluster, OUTSIDER, PRODUCER)


@pytest.mark.parametrize(
    ("endpoints", "let_in", "denied"),
    [
        ([READ, Endpoint(ports=[9090])], [8080, 9090], [22]),
        ([Endpoint(ports=[1, 2])], [1, 2], [3]),
        ([], [1, 8080], []),
        ([READ, Endpoint(paths=["/metrics"])], [1, 8080], []),
    ],
)
def test_an_endpoint_without_ports_opens_all_ports(
    context: Context,
    cluster: Cluster,
    endpoints: list[Endpoint],
    let_in: list[int],
    denied: list[int],
):
    enforced(context, cluster, policy(endpoints=endpoints))

    assert all(lets_in(cluster, SCRAPER, PRODUCER, port) for port in let_in)
    assert not any(lets_in(cluster, SCRAPER, PRODUCER, port) for port in denied)
    assert not lets_in(cluster, OUTSIDER, PRODUCER)


@pytest.mark.parametrize(
    "target",
    [
        {"target_type": PolicyTargetType.unit, "endpoints": [Endpoint(ports=[8080])]},
        {
            "target_type": PolicyTargetType.unit,
            "endpoints": [Endpoint(ports=[8080])],
            "target_app_name": None,
            "target_selector_labels": {"app.kubernetes.io/name": "producer"},
        },
        {"target_service": "producer-admin"},
    ],
)
def test_every_kind_of_target_opens_the_same_pods(
    context: Context, cluster: Cluster, target: dict[str, Any]
):
    enforced(context, cluster, policy(**target))

    assert lets_in(cluster, SCRAPER, PRODUCER)
    assert not lets_in(cluster, OUTSIDER, PRODUCER)
    assert not lets_in(cluster, SCRAPER, OUTSIDER)


def test_policies_that_differ_only_at_l7_become_one(context: Context, cluster: Cluster):
    enforced(context, cluster, policy(), policy(endpoints=[Endpoint(ports=[8080])]))

    assert len(cluster.network_policies) == 2  # with the one that allows nothing
    assert lets_in(cluster, SCRAPER, PRODUCER)


def test_names_are_legal_and_unique_for_the_longest_inputs(cluster: Cluster):
    context = testing.Context(StubMeshCharm, app_name="m" * 63)
    far = {"source_namespace": "s" * 63, "target_app_name": "p" * 63}
    source = f"{'S' * 61}.1"
    policies = [
        policy(source_app_name=source, endpoints=[Endpoint(ports=[port])], **far) for port in (1, 2)
    ]
    config = {"enforcement": "network-policy", "hardened": False}

    context.run(context.on.config_changed(), state(member("p" * 63, *policies), config=config))

    names = cluster.network_policies.keys()
    assert len(names) == 2
    assert all(re.fullmatch("[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?", name) for name in names)


def test_a_policy_for_a_service_alone_is_refused(context: Context, cluster: Cluster):
    unfit = policy(target_app_name=None, target_service="metrics")
    reason = "a NetworkPolicy selects pods, and this policy names only a Service"

    out = enforced(context, cluster, unfit, policy())

    assert lets_in(cluster, SCRAPER, PRODUCER)
    assert out.unit_status == testing.ActiveStatus(
        f"{UNENFORCED}; refused policies: 1; run the action policies"
    )
    context.run(context.on.action("policies", {"format": "json"}), out)
    results = context.action_results or {}
    rows = [(row["state"], row["reason"]) for row in json.loads(results["rows"])]
    assert sorted(rows) == [("accepted", ""), ("refused", reason)]
    assert (results["enforcement"], results["unenforced"]) == ("network-policy", UNENFORCED)


def test_removing_a_relation_removes_its_network_policies(context: Context, cluster: Cluster):
    cluster.has_istio, cluster.running = False, frozenset()
    producer = member("producer", policy())
    context.run(context.on.config_changed(), state(producer))
    assert lets_in(cluster, SCRAPER, PRODUCER)

    context.run(context.on.relation_broken(producer), state(producer))

    assert not lets_in(cluster, SCRAPER, PRODUCER)
    assert cluster.network_policies.keys() == {"mesh-allow-nothing"}


def test_equal_policies_are_not_applied_again(context: Context, cluster: Cluster):
    out = enforced(context, cluster, policy())
    cluster.writes_left = 0

    out = context.run(context.on.update_status(), out)

    assert out.unit_status == testing.ActiveStatus(UNENFORCED)


def test_a_policy_that_somebody_changed_is_restored(context: Context, cluster: Cluster):
    out = enforced(context, cluster, policy())
    for each in cluster.network_policies.values():
        each["spec"]["podSelector"] = {"matchLabels": {"nobody": ""}}
    assert lets_in(cluster, OUTSIDER, PRODUCER)

    context.run(context.on.update_status(), out)

    assert lets_in(cluster, SCRAPER, PRODUCER)
    assert not lets_in(cluster, OUTSIDER, PRODUCER)


def test_installing_istio_replaces_the_network_policies(context: Context, cluster: Cluster):
    out = enforced(context, cluster, policy())
    cluster.has_istio, cluster.running = True, frozenset({"ztunnel"})

    out = context.run(context.on.update_status(), out)

    assert cluster.network_policies == {}
    assert len(cluster.authorization_policies) == 4
    assert out.unit_status == testing.ActiveStatus()


@pytest.mark.parametrize("policies", [[], [policy()]])
def test_a_missing_istio_is_reported_even_without_policies(
    context: Context, cluster: Cluster, policies: list[MeshPolicy]
):
    out = enforced(context, cluster, *policies, hardened=False)

    assert len(cluster.network_policies) == len(policies)
    assert out.unit_status == testing.ActiveStatus(UNENFORCED)


def counts(cluster: Cluster) -> tuple[int, int]:
    return len(cluster.authorization_policies), len(cluster.network_policies)


EXPECTED = {
    ("auto", True): (4, 0),
    ("auto", False): (0, 2),
    ("authorization-policy", True): (4, 0),
    ("authorization-policy", False): (0, 0),
    ("network-policy", True): (0, 2),
    ("network-policy", False): (0, 2),
    ("none", True): (0, 0),
    ("none", False): (0, 0),
}
"""The number of policies of each kind, by the option and by whether there is an Istio."""


@pytest.mark.parametrize("before", ["authorization-policy", "network-policy"])
@pytest.mark.parametrize(("enforcement", "has_istio"), EXPECTED)
def test_the_option_selects_one_kind_and_deletes_the_other(
    context: Context, cluster: Cluster, before: str, enforcement: str, has_istio: bool
):
    related = member("producer", policy()), member("scraper")
    context.run(context.on.config_changed(), state(*related, config={"enforcement": before}))
    if not has_istio:  # Kubernetes deletes the policies with their definition
        cluster.has_istio, cluster.running = False, frozenset()
        cluster.authorization_policies = {}

    context.run(context.on.config_changed(), state(*related, config={"enforcement": enforcement}))

    assert counts(cluster) == EXPECTED[enforcement, has_istio]


AMBIENT = "istio.io/dataplane-mode=ambient"


@pytest.mark.parametrize(("labels", "program"), [(AMBIENT, "ztunnel"), ("mesh=demo", "istiod")])
@pytest.mark.parametrize("runs", [True, False])
def test_auto_uses_istio_only_if_it_is_running(
    context: Context, cluster: Cluster, labels: str, program: str, runs: bool
):
    cluster.running = frozenset({program}) if runs else frozenset({"istiod", "ztunnel"}) - {program}
    related = member("producer", policy()), member("scraper")

    out = context.run(context.on.config_changed(), state(*related, config={"labels": labels}))

    assert counts(cluster) == ((4, 0) if runs else (0, 2))
    reason = f"Istio is not running (no {program} pod); {L4_ONLY}"
    assert out.unit_status == testing.ActiveStatus("" if runs else reason)


def test_stopping_istio_replaces_the_authorization_policies(context: Context, cluster: Cluster):
    related = state(member("producer", policy()), member("scraper"))
    context.run(context.on.config_changed(), related)
    assert counts(cluster) == (4, 0)
    cluster.running = frozenset()

    context.run(context.on.update_status(), related)

    assert counts(cluster) == (0, 2)
    assert lets_in(cluster, SCRAPER, PRODUCER)
    assert not lets_in(cluster, OUTSIDER, PRODUCER)


def test_a_stopped_istio_gets_policies_if_the_option_names_it(context: Context, cluster: Cluster):
    cluster.running = frozenset()
    related = member("producer", policy()), member("scraper")
    config = {"enforcement": "authorization-policy"}

    out = context.run(context.on.config_changed(), state(*related, config=config))

    assert counts(cluster) == (4, 0)
    assert out.unit_status == testing.ActiveStatus("Istio is not running (no ztunnel pod)")


@pytest.mark.parametrize(
    ("option", "used"), [("auto", "network-policy"), ("authorization-policy", "none")]
)
def test_policies_reports_the_kind_in_use(
    context: Context, cluster: Cluster, option: str, used: str
):
    out = enforced(context, cluster, policy(), enforcement=option)

    context.run(context.on.action("policies", {"format": "table"}), out)

    assert (context.action_results or {})["enforcement"] == used


@pytest.mark.parametrize(
    ("to", "writes"),
    [
        *(("authorization-policy", writes) for writes in range(4 + 2)),
        *(("network-policy", writes) for writes in range(2 + 4)),
        *(("none", writes) for writes in range(4)),
    ],
)
def test_the_next_event_completes_an_interrupted_switch(
    context: Context, cluster: Cluster, to: str, writes: int
):
    related = member("producer", policy()), member("scraper")
    start = "network-policy" if to == "authorization-policy" else "authorization-policy"
    context.run(context.on.config_changed(), state(*related, config={"enforcement": start}))
    switched = state(*related, config={"enforcement": to})
    cluster.writes_left = writes
    broken = context.run(context.on.config_changed(), switched)
    assert isinstance(broken.unit_status, testing.WaitingStatus)
    assert any(counts(cluster))

    cluster.writes_left = None
    context.run(context.on.update_status(), switched)

    assert counts(cluster) == EXPECTED[to, True]


def test_deleting_tolerates_a_policy_that_is_already_gone(context: Context, cluster: Cluster):
    out = enforced(context, cluster, policy())
    cluster.deletes_early = True

    out = context.run(context.on.config_changed(), replace(out, config={"enforcement": "none"}))

    assert cluster.network_policies == {}
    assert out.unit_status == testing.ActiveStatus("nothing is enforced: enforcement=none")


@pytest.mark.parametrize("leader", [True, False])
def test_removing_the_last_unit_removes_network_policies(
    context: Context, cluster: Cluster, leader: bool
):
    enforced(context, cluster, policy())
    assert cluster.network_policies

    context.run(context.on.remove(), state(leader=leader, units=0))

    assert cluster.network_policies == {}


def test_blocked_without_istio_until_it_is_trusted(context: Context, cluster: Cluster):
    cluster.trusts = False

    out = enforced(context, cluster, policy())

    assert out.unit_status == testing.BlockedStatus(
        "may not list pods: run `juju trust mesh --scope=cluster`"
    )


def test_explain_says_that_paths_and_methods_are_ignored(context: Context, cluster: Cluster):
    out = enforced(context, cluster, policy())
    cluster.pods = {"demo/producer": ON, "demo/scraper": ON}
    call = {"from": "scraper", "to": "producer", "port": 8080, "method": "POST"}

    context.run(context.on.action("explain", call), out)
    assert context.action_results == {
        "verdict": "allowed",
        "reason": f"scraper of demo may call GET :8080 /data on Service producer; {UNENFORCED}",
    }

    context.run(context.on.action("explain", {**call, "port": 9090}), out)
    assert context.action_results == {
        "verdict": "denied",
        "reason": "wrong port; scraper may call GET :8080 /data on Service producer",
    }
