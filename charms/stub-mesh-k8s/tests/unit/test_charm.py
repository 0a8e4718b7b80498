"""The charm in a simulated Juju: its relation data, policies, status and actions."""

import json
from typing import Any

import pytest
from cluster import Cluster
from juju import member, policy, state
from ops import testing

from charm import StubMeshCharm
from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, PolicyTargetType

Context = testing.Context[StubMeshCharm]

ENVOY = (
    "enforcement=envoy: Input should be 'auto', 'authorization-policy', 'network-policy' or 'none'"
)

NO_ISTIO = "the cluster has no AuthorizationPolicies: install Istio first"

LABELS = {"istio.io/dataplane-mode": "ambient"}

UNIT = policy(target_type=PolicyTargetType.unit, endpoints=[Endpoint(ports=[9090])])
OVERREACHING = policy(target_app_name="database")
UNRENDERABLE = policy(target_type=PolicyTargetType.unit)


def specs(cluster: Cluster) -> list[Any]:
    """Return the specs of all AuthorizationPolicies."""
    return [each["spec"] for each in cluster.authorization_policies.values()]


def to_service(app: str, **rules: Any) -> dict[str, Any]:
    return {"targetRefs": [{"group": "", "kind": "Service", "name": app}], **rules}


SCRAPER = {"source": {"principals": ["cluster.local/ns/demo/sa/scraper"]}}
READ_RULE = {"operation": {"ports": ["8080"], "methods": ["GET"], "paths": ["/data"]}}
ALLOW_READ = to_service("producer", rules=[{"from": [SCRAPER], "to": [READ_RULE]}])


@pytest.mark.parametrize(
    "event",
    [
        "config_changed",
        "leader_elected",
        "start",
        "upgrade_charm",
        "update_status",
        "relation_created",
        "relation_changed",
    ],
)
def test_each_event_applies_the_requested_policies(context: Context, cluster: Cluster, event: str):
    producer = member("producer", policy())
    arguments = [producer] if event.startswith("relation") else []

    out = context.run(getattr(context.on, event)(*arguments), state(producer))

    assert ALLOW_READ in specs(cluster)
    assert out.unit_status == testing.ActiveStatus()


@pytest.mark.usefixtures("cluster")
def test_publishes_the_labels_and_the_kind_of_mesh(context: Context):
    producer = member("producer")

    out = context.run(context.on.relation_created(producer), state(producer))

    assert out.get_relation(producer.id).local_app_data == {
        "labels": '{"istio.io/dataplane-mode": "ambient"}',
        "mesh_type": '"istio"',
    }


@pytest.mark.usefixtures("cluster")
def test_publishes_the_labels_of_its_option(context: Context):
    producer = member("producer")
    config = {"labels": "istio.io/dataplane-mode=ambient, team=a"}

    out = context.run(context.on.config_changed(), state(producer, config=config))

    labels = json.loads(out.get_relation(producer.id).local_app_data["labels"])
    assert labels == {"istio.io/dataplane-mode": "ambient", "team": "a"}


def test_hardened_denies_what_no_policy_allows(context: Context, cluster: Cluster):
    relations = member("producer"), member("scraper")

    context.run(context.on.config_changed(), state(*relations))

    assert cluster.authorization_policies.keys() == {
        "mesh-allow-nothing",
        "mesh-allow-nothing-producer",
        "mesh-allow-nothing-scraper",
    }
    assert {each["metadata"]["namespace"] for each in cluster.authorization_policies.values()} == {
        "demo"
    }
    assert specs(cluster)[0] == {}
    assert to_service("producer") in specs(cluster)
    assert to_service("scraper") in specs(cluster)


def test_not_hardened_applies_only_the_requested_policies(context: Context, cluster: Cluster):
    producer = member("producer", policy())

    context.run(context.on.config_changed(), state(producer, config={"hardened": False}))

    assert specs(cluster) == [ALLOW_READ]


def test_removing_a_relation_removes_its_policies(context: Context, cluster: Cluster):
    producer, scraper = member("producer", policy()), member("scraper")
    context.run(context.on.config_changed(), state(producer, scraper))

    context.run(context.on.relation_broken(producer), state(producer, scraper))

    assert cluster.authorization_policies.keys() == {
        "mesh-allow-nothing",
        "mesh-allow-nothing-scraper",
    }


def test_removing_a_unit_leaves_the_policies_to_the_others(cluster: Cluster):
    context = testing.Context(StubMeshCharm, app_name="mesh", unit_id=1)
    producer, scraper = member("producer", policy()), member("scraper")
    context.run(context.on.config_changed(), state(producer, scraper))
    before = dict(cluster.authorization_policies)

    context.run(context.on.relation_broken(producer), state(producer, scraper, units=1))

    assert before
    assert cluster.authorization_policies == before


def test_only_the_leader_applies_policies(context: Context, cluster: Cluster):
    out = context.run(
        context.on.config_changed(), state(member("producer", policy()), leader=False)
    )

    assert cluster.authorization_policies == {}
    assert out.unit_status == testing.ActiveStatus()


def test_a_policy_for_another_application_is_refused_alone(context: Context, cluster: Cluster):
    producer = member("producer", OVERREACHING, policy())

    out = context.run(context.on.config_changed(), state(producer))

    assert ALLOW_READ in specs(cluster)
    assert to_service("database", rules=ALLOW_READ["rules"]) not in specs(cluster)
    assert out.unit_status == testing.ActiveStatus("refused policies: 1; run the action policies")


def test_enforcement_none_deletes_the_policies(context: Context, cluster: Cluster):
    producer = member("producer", policy())
    context.run(context.on.config_changed(), state(producer))
    assert cluster.authorization_policies

    out = context.run(context.on.config_changed(), state(producer, config={"enforcement": "none"}))

    assert cluster.authorization_policies == {}
    assert out.unit_status == testing.ActiveStatus("nothing is enforced: enforcement=none")


def test_blocked_if_enforcement_requires_a_missing_istio(context: Context, cluster: Cluster):
    cluster.has_istio = False
    config = {"enforcement": "authorization-policy"}

    out = context.run(context.on.config_changed(), state(member("producer"), config=config))

    assert out.unit_status == testing.BlockedStatus(
        f"nothing is enforced: enforcement=authorization-policy, and {NO_ISTIO}"
    )


def test_blocked_until_it_is_trusted(context: Context, cluster: Cluster):
    cluster.trusts = False

    out = context.run(context.on.config_changed(), state(member("producer")))

    assert out.unit_status == testing.BlockedStatus(
        "may not list pods: run `juju trust mesh --scope=cluster`"
    )


def test_waits_while_kubernetes_fails(context: Context, cluster: Cluster):
    cluster.fails = True

    out = context.run(context.on.config_changed(), state(member("producer")))

    assert isinstance(out.unit_status, testing.WaitingStatus)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (
            "enforcement",
            "envoy",
            ENVOY,
        ),
        (
            "labels",
            "ambient",
            "labels=ambient: 'ambient' is not a Kubernetes label, write it as key=value",
        ),
        ("labels", "", "labels=: '' is not a Kubernetes label, write it as key=value"),
    ],
)
def test_a_wrong_option_blocks_and_changes_nothing(
    context: Context, cluster: Cluster, option: str, value: str, message: str
):
    producer = member("producer", policy())
    before = context.run(context.on.config_changed(), state(producer))
    written = dict(cluster.authorization_policies)
    published = before.get_relation(producer.id)

    out = context.run(context.on.config_changed(), state(published, config={option: value}))

    assert out.unit_status == testing.BlockedStatus(message)
    assert cluster.authorization_policies == written
    assert out.get_relation(producer.id).local_app_data == published.local_app_data


def test_status_stays_after_an_event_that_applies_nothing(context: Context, cluster: Cluster):
    cluster.trusts = False
    relation = member("producer")
    blocked = context.run(context.on.config_changed(), state(relation))

    out = context.run(context.on.relation_joined(blocked.get_relation(relation.id)), blocked)

    assert out.unit_status == blocked.unit_status


def test_requests_to_kubernetes_are_not_logged(context: Context, cluster: Cluster):
    context.run(context.on.config_changed(), state(member("producer", policy())))

    assert cluster.authorization_policies
    assert [line for line in context.juju_log if "http" in line.message.lower()] == []


@pytest.mark.parametrize("event", ["stop", "remove"])
@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize("config", [{}, {"labels": "wrong"}])
def test_removing_the_last_unit_removes_all_policies(
    context: Context, cluster: Cluster, event: str, leader: bool, config: dict[str, str]
):
    context.run(context.on.config_changed(), state(member("producer", policy())))
    assert cluster.authorization_policies

    context.run(getattr(context.on, event)(), state(leader=leader, config=config, units=0))

    assert cluster.authorization_policies == {}


def test_restarting_a_unit_keeps_all_policies(context: Context, cluster: Cluster):
    context.run(context.on.config_changed(), state(member("producer", policy())))
    written = dict(cluster.authorization_policies)

    context.run(context.on.stop(), state(units=1))

    assert cluster.authorization_policies == written


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize("event", ["relation_changed", "relation_broken"])
@pytest.mark.parametrize(("units", "left"), [(0, False), (1, True)])
def test_the_last_unit_cleans_up_before_it_stops(
    context: Context, cluster: Cluster, units: int, left: bool, event: str, leader: bool
):
    producer = member("producer", policy())
    context.run(context.on.config_changed(), state(producer))

    context.run(getattr(context.on, event)(producer), state(producer, leader=leader, units=units))

    assert bool(cluster.authorization_policies) is left


def test_an_untrusted_charm_can_be_removed(context: Context, cluster: Cluster):
    cluster.trusts = False

    context.run(context.on.remove(), state(units=0))


def test_removal_is_retried_while_kubernetes_fails(context: Context, cluster: Cluster):
    cluster.fails = True

    with pytest.raises(testing.errors.UncaughtCharmError):
        context.run(context.on.remove(), state(units=0))


@pytest.mark.usefixtures("cluster")
def test_policies_lists_accepted_and_refused_policies(context: Context):
    producer = member("producer", policy(), OVERREACHING, UNRENDERABLE)

    context.run(context.on.action("policies", {"format": "json"}), state(producer))

    results = context.action_results or {}
    assert results.keys() == {"rows", "enforcement", "unenforced"}
    rows = json.loads(results["rows"])
    assert [(row["app"], row["state"], row["reason"]) for row in rows] == [
        ("producer", "accepted", ""),
        ("producer", "refused", "its target is database, not the sender"),
        (
            "producer",
            "refused",
            "a policy for units is decided at L4, where there are no hosts, methods or paths",
        ),
    ]


@pytest.mark.usefixtures("cluster")
def test_policies_prints_a_table_without_rows(context: Context):
    params = {"format": "table"}  # Juju fills in this default, ops.testing does not

    context.run(context.on.action("policies", params), state(member("producer", policy())))

    assert context.action_results == {
        "table": "producer  accepted  scraper of demo may call GET :8080 /data on Service producer",
        "enforcement": "authorization-policy",
        "unenforced": "",
    }


def explain(context: Context, state: testing.State, **params: str | int) -> tuple[str, str]:
    """Return the verdict on scraper's call to the producer, and the reason."""
    call = {"from": "scraper", "to": "producer", "port": 8080, "method": "GET", "path": "/data"}
    context.run(context.on.action("explain", {**call, **params}), state)
    results = context.action_results or {}
    return results["verdict"], results["reason"]


def test_explain_names_the_policy_that_decides(context: Context, cluster: Cluster):
    cluster.pods = {"demo/producer": LABELS, "demo/scraper": LABELS}
    related = state(member("producer", policy()), member("scraper"))

    allowed = explain(context, related)
    denied = explain(context, related, method="POST")

    assert allowed == ("allowed", "scraper of demo may call GET :8080 /data on Service producer")
    assert denied == (
        "denied",
        "wrong method; scraper may call GET :8080 /data on Service producer",
    )


def test_explain_denies_a_caller_that_left_the_mesh(context: Context, cluster: Cluster):
    cluster.pods = {"demo/producer": LABELS, "demo/scraper": {}}
    related = state(member("producer", policy()), member("scraper"))

    verdict = explain(context, related)

    assert verdict == (
        "denied",
        "no application scraper in model demo is on this mesh, so the caller has no identity",
    )


def test_explain_denies_a_caller_that_does_not_exist(context: Context, cluster: Cluster):
    cluster.pods = {"demo/producer": LABELS, "demo/scraper": LABELS}
    related = state(member("producer", policy()), member("scraper"))

    assert explain(context, related, **{"from": "scrapr"}) == (
        "denied",
        "no application scrapr in model demo is on this mesh, so the caller has no identity",
    )


@pytest.mark.parametrize("enforcement", ["auto", "none"])
@pytest.mark.parametrize("target", ["producr", "producr/0"])
def test_explain_fails_for_a_target_that_does_not_exist(
    context: Context, cluster: Cluster, enforcement: str, target: str
):
    cluster.pods = {"demo/producer": LABELS, "demo/database": {}, "remote/producr": LABELS}
    config = {"enforcement": enforcement}
    related = state(member("producer", policy()), member("scraper"), config=config)
    known = "database, producer, scraper"

    with pytest.raises(testing.ActionFailed) as failure:
        explain(context, related, to=target, model="remote")

    assert failure.value.message == (
        f"to={target}: model demo has no application producr, only {known}"
    )


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        pytest.param("database", "allowed", id="off the mesh"),
        pytest.param("scraper", "allowed", id="without pods"),
        pytest.param("producer-admin", "denied", id="a Service in a policy"),
    ],
)
def test_explain_knows_every_target_that_exists(
    context: Context, cluster: Cluster, target: str, verdict: str
):
    cluster.pods = {"demo/producer": LABELS, "demo/database": {}}
    admin = policy(target_service="producer-admin")
    related = state(member("producer", admin), member("scraper"))

    assert explain(context, related, to=target)[0] == verdict


@pytest.mark.usefixtures("cluster")
def test_explain_fails_for_a_unit_as_the_caller(context: Context):
    related = state(member("producer", policy()))

    with pytest.raises(testing.ActionFailed) as failure:
        explain(context, related, **{"from": "scraper/0"})

    assert "from=scraper/0 is a unit" in failure.value.message
    assert failure.value.message.endswith("use from=scraper")


def test_explain_knows_callers_of_another_model(context: Context, cluster: Cluster):
    cluster.pods = {"demo/producer": LABELS, "remote/scraper": LABELS, "elsewhere/scraper": {}}
    remote, elsewhere = policy(source_namespace="remote"), policy(source_namespace="elsewhere")
    related = state(member("producer", remote, elsewhere))

    assert explain(context, related, model="remote") == (
        "allowed",
        "scraper of remote may call GET :8080 /data on Service producer",
    )
    assert explain(context, related, model="elsewhere") == (
        "denied",
        "no application scraper in model elsewhere is on this mesh, so the caller has no identity",
    )


def test_explain_fails_if_it_may_not_list_the_callers_pods(context: Context, cluster: Cluster):
    cluster.private = frozenset({"remote"})

    with pytest.raises(testing.ActionFailed, match="may not list pods: run `juju trust mesh"):
        explain(context, state(member("producer", policy())), model="remote")


def test_explain_ignores_a_policy_that_istio_cannot_enforce(context: Context, cluster: Cluster):
    cluster.pods = {"demo/producer": LABELS, "demo/scraper": LABELS}

    requested = state(member("producer", UNRENDERABLE), member("scraper"))
    enforced = state(member("producer", UNIT), member("scraper"))

    assert explain(context, requested, to="producer/0")[0] == "denied"
    assert explain(context, enforced, to="producer/0", port=9090)[0] == "allowed"


@pytest.mark.usefixtures("cluster")
def test_explain_allows_all_if_nothing_is_enforced(context: Context):
    unenforced = state(member("producer", policy()), config={"enforcement": "none"})

    verdict = explain(context, unenforced, method="POST")

    assert verdict == ("allowed", "nothing is enforced: enforcement=none")


@pytest.mark.parametrize(
    ("leader", "config", "message"),
    [
        (False, {}, "only the leader knows the policies: juju run mesh/leader"),
        (True, {"enforcement": "envoy"}, "enforcement=envoy: Input should be"),
    ],
)
@pytest.mark.parametrize("action", ["policies", "explain"])
def test_actions_fail_if_the_policies_are_unknown(
    context: Context,
    action: str,
    leader: bool,
    config: dict[str, str],
    message: str,
):
    params = {"from": "scraper", "to": "producer", "port": 1} if action == "explain" else {}

    with pytest.raises(testing.ActionFailed, match=message):
        context.run(context.on.action(action, params), state(leader=leader, config=config))
