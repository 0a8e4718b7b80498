"""The decision about a call. Each allowed call has a denied twin."""

from dataclasses import replace
from typing import Any

import pytest
from juju import policy

from actions import matching, words
from actions.call import Call
from actions.decision import Mesh, Verdict
from charms.istio_beacon_k8s.v0.service_mesh import (
    Endpoint,
    MeshPolicy,
    Method,
    PolicyTargetType,
    Refusal,
)
from enforcement import Enforcement, Outcome


def unit_policy(**changes: Any) -> MeshPolicy:
    return policy(
        target_type=PolicyTargetType.unit, **{"endpoints": [Endpoint(ports=[9090])], **changes}
    )


def call(**changes: Any) -> Call:
    """Return the call that `policy` allows, with some changes."""
    fields: dict[str, Any] = {
        "source": "scraper",
        "source_model": "demo",
        "target": "producer",
        "port": 8080,
        "path": "/data",
    }
    return Call(**{**fields, **changes})


ALL_MEMBERS = ("demo/producer", "demo/scraper", "demo/outsider", "remote/scraper")
L7, L4, NO_ENFORCEMENT = "authorization-policy", "network-policy", "none"
L4_LIMITS = "methods and paths are not enforced"


def decide(
    *policies: MeshPolicy,
    call: Call,
    members: tuple[str, ...] = ALL_MEMBERS,
    hardened: bool = True,
    enforcement: Enforcement = L7,
    refused: tuple[Refusal, ...] = (),
) -> Verdict:
    unenforced = {L7: "", L4: L4_LIMITS, NO_ENFORCEMENT: "nothing is enforced"}[enforcement]
    outcome = Outcome(enforcement, policies, refused, unenforced)
    pairs = [member.split("/") for member in members]
    on_mesh = frozenset((model, app) for model, app in pairs)
    return Mesh("demo", on_mesh, hardened, outcome).decide(call)


def allows(*policies: MeshPolicy, call: Call, **mesh: Any) -> bool:
    return decide(*policies, call=call, **mesh).allowed


def denied(reason: str) -> Verdict:
    return Verdict(False, reason)


def test_a_policy_allows_the_call_that_it_names():
    assert allows(policy(), call=call())


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "outsider"},
        {"source_model": "other"},
        {"target": "scraper"},
        {"target": "producer/0"},
        {"port": 9090},
        {"method": "POST"},
        {"path": "/admin"},
        {"path": "/data/more"},
    ],
)
def test_a_policy_allows_no_other_call(changes: dict[str, Any]):
    assert not allows(policy(), call=call(**changes))


def test_a_unit_policy_allows_its_port_on_each_unit():
    assert allows(unit_policy(), call=call(target="producer/0", port=9090))
    assert allows(unit_policy(), call=call(target="producer/7", port=9090, method="POST"))


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "producer"},
        {"target": "scraper/0"},
        {"port": 8080},
        {"source": "outsider"},
    ],
)
def test_a_unit_policy_allows_no_other_call(changes: dict[str, Any]):
    fields = {"target": "producer/0", "port": 9090, **changes}

    assert not allows(unit_policy(), call=call(**fields))


def test_a_selector_targets_only_the_selected_application():
    selector = {"app.kubernetes.io/name": "producer"}
    by_selector = unit_policy(target_app_name=None, target_selector_labels=selector)

    assert allows(by_selector, call=call(target="producer/0", port=9090))
    assert not allows(by_selector, call=call(target="scraper/0", port=9090))


@pytest.mark.parametrize("endpoints", [[], [Endpoint()]])
def test_a_policy_without_endpoints_allows_all_its_source_calls(endpoints: list[Endpoint]):
    everything = policy(endpoints=endpoints)

    assert allows(everything, call=call(method="DELETE", path="/admin"))
    assert not allows(everything, call=call(source="outsider"))


def test_one_endpoint_must_match_as_a_whole():
    read_or_admin = policy(
        endpoints=[
            Endpoint(methods=[Method.get], paths=["/data"]),
            Endpoint(methods=[Method.post], paths=["/admin"]),
        ]
    )

    assert allows(read_or_admin, call=call(method="POST", path="/admin"))
    assert not allows(read_or_admin, call=call(method="POST", path="/data"))


def test_a_policy_for_an_additional_service_covers_it_alone():
    other = policy(target_service="producer-admin")

    assert allows(other, call=call(target="producer-admin"))
    assert not allows(other, call=call(target="producer-admin", method="POST"))
    assert not allows(other, call=call())
    assert allows(
        other, call=call(target="producer-admin", method="POST"), members=("demo/scraper",)
    )


def test_a_policy_in_another_namespace_allows_nothing_here():
    assert not allows(policy(target_namespace="other"), call=call())


def test_a_caller_in_another_model_needs_its_own_policy():
    remote = policy(source_namespace="remote")

    assert allows(remote, call=call(source_model="remote"))
    assert not allows(remote, call=call())
    assert not allows(remote, call=call(source_model="remote"), members=("demo/producer",))


def test_an_application_that_left_the_mesh_is_open():
    assert decide(policy(), call=call(method="POST"), members=("demo/scraper",)) == Verdict(
        True, "producer is not on this mesh, so the mesh enforces nothing there"
    )
    assert not allows(policy(), call=call(method="POST"))


def test_an_application_without_policies_is_open_unless_hardened():
    assert allows(call=call(), hardened=False)
    assert not allows(call=call(), hardened=True)


def test_an_application_with_a_policy_is_closed_to_others():
    assert not allows(policy(), call=call(source="outsider"), hardened=False)


@pytest.mark.parametrize(
    ("requested", "changes"),
    [
        pytest.param(policy(), {"target": "producer/0"}, id="past the waypoint"),
        pytest.param(unit_policy(), {"source": "nobody"}, id="not on the mesh"),
    ],
)
def test_units_are_closed_to_calls_past_the_waypoint(
    requested: MeshPolicy, changes: dict[str, Any]
):
    for policies in ((requested,), ()):
        assert not allows(*policies, call=call(**changes), hardened=False)
        assert allows(call=call(**changes), hardened=False, enforcement="network-policy")
    assert allows(unit_policy(), call=call(), hardened=False)


def test_a_selector_for_one_pod_is_for_that_unit_alone():
    selector = {
        "app.kubernetes.io/name": "producer",
        "statefulset.kubernetes.io/pod-name": "producer-1",
    }
    of_one = unit_policy(target_app_name=None, target_selector_labels=selector)

    assert allows(of_one, call=call(target="producer/1", port=9090))
    assert not allows(of_one, call=call(target="producer/0", port=9090))


def test_the_query_is_not_part_of_the_path():
    assert allows(policy(), call=call(path="/data?since=1"))
    assert not allows(policy(), call=call(path="/admin?path=/data"))


def test_without_enforcement_all_calls_are_allowed():
    assert decide(call=call(), enforcement="none") == Verdict(True, "nothing is enforced")
    assert "past a waypoint" in decide(call=call(target="producer/0"), enforcement="none").reason
    assert not allows(call=call(), enforcement="network-policy")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/data", "/data", True),
        ("/data", "/data/", False),
        ("/data/*", "/data/1", True),
        ("/data/*", "/data", False),
        ("*/health", "/a/health", True),
        ("*/health", "/a/health/b", False),
        ("*", "/anything", True),
        ("/v1/{*}/items", "/v1/a/items", True),
        ("/v1/{*}/items", "/v1/a/b/items", False),
        ("/v1/{**}", "/v1/a/b/items", True),
        ("/v1/{**}", "/v2/a", False),
        ("/a.b", "/axb", False),
    ],
)
def test_paths_match_as_in_istio(pattern: str, path: str, matches: bool):
    assert matching.path_matches(pattern, path) is matches


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("producer.demo", "producer.demo", True),
        ("producer.demo", "PRODUCER.demo", True),
        ("producer.demo", "producer.demo:8080", False),
        ("producer.demo:*", "producer.demo:8080", True),
        ("*.demo", "producer.demo", True),
        ("*.demo", "producer.demo.svc", False),
        ("producer.*", "producer.demo", True),
        ("*", "producer", True),
    ],
)
def test_hosts_match_as_in_istio(pattern: str, host: str, matches: bool):
    assert matching.host_matches(pattern, host) is matches


FULL_NAME = "producer.demo.svc.cluster.local"


@pytest.mark.parametrize(
    ("allowed", "changes", "matches"),
    [
        (f"{FULL_NAME}:8080", {}, True),
        (f"{FULL_NAME}:9090", {}, False),
        (FULL_NAME, {}, False),
        (FULL_NAME, {"port": 80}, True),
        ("data.example", {"host": "data.example"}, True),
        ("data.example", {"host": "other.example"}, False),
    ],
)
def test_a_policy_for_a_host_allows_calls_to_that_host(
    allowed: str, changes: dict[str, Any], matches: bool
):
    named = policy(endpoints=[Endpoint(hosts=[allowed])])

    assert allows(named, call=call(**changes)) is matches


def test_a_denial_names_the_wrong_host():
    named = policy(endpoints=[Endpoint(hosts=["data.example"])])

    assert decide(named, call=call()) == denied(
        "wrong host; scraper may call as data.example on Service producer"
    )


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        (policy(), "scraper of demo may call GET :8080 /data on Service producer"),
        (unit_policy(), "scraper of demo may call :9090 on units of producer"),
        (policy(endpoints=[]), "scraper of demo may call anything on Service producer"),
        (
            policy(endpoints=[Endpoint(ports=[1, 2]), Endpoint(hosts=["a.example"])]),
            "scraper of demo may call :1,:2 or as a.example on Service producer",
        ),
    ],
)
def test_a_policy_in_words(described: MeshPolicy, sentence: str):
    assert words.describe(described) == sentence


METRICS = policy(endpoints=[Endpoint(ports=[9090], methods=[Method.get], paths=["/metrics"])])
MAY = "scraper may call GET :8080 /data, GET :9090 /metrics on Service producer"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "POST"}, f"wrong method; {MAY}"),
        ({"path": "/admin"}, f"wrong path; {MAY}"),
        ({"port": 80}, f"wrong port; {MAY}"),
        ({"method": "POST", "path": "/admin"}, f"wrong method and path; {MAY}"),
        ({"port": 9090}, f"wrong path; {MAY}"),
        ({"source": "outsider"}, "no relation allows it: producer has no policy for outsider"),
        (
            {"source": "nobody"},
            "no application nobody in model demo is on this mesh, so the caller has no identity",
        ),
        ({"target": "producer/0"}, f"no policy allows calls to units of producer; {MAY}"),
    ],
)
def test_a_denial_names_the_obstacle(changes: dict[str, Any], reason: str):
    assert decide(policy(), METRICS, call=call()).allowed
    assert decide(policy(), METRICS, call=call(**changes)) == denied(reason)


def test_a_denial_at_a_unit_names_the_allowed_calls_there():
    assert decide(policy(), unit_policy(), call=call(target="producer/0")) == denied(
        "wrong port; scraper may call :9090 on units of producer"
    )


def test_a_permission_names_the_policy():
    assert decide(METRICS, policy(), call=call()) == Verdict(
        True, "scraper of demo may call GET :8080 /data on Service producer"
    )


def test_a_denied_caller_in_another_model_is_told_what_to_do():
    how = "integrate its require-cmr-mesh with the same offer"
    alias = f"remote-{'0123456789abcdef' * 2}"
    remote = call(source_model="remote")

    assert decide(policy(), call=remote) == denied(
        "producer has no policy for scraper of remote: "
        f"it is not related, or its identity is missing: {how}"
    )
    assert decide(policy(source_app_name=alias), call=remote) == denied(
        f"producer knows a caller only by the alias {alias}, because its identity is missing: {how}"
    )
    assert allows(policy(source_namespace="remote"), call=remote)


def refusal(requested: MeshPolicy | str, app: str = "producer") -> Refusal:
    """Return the refusal of a policy, or of a malformed entry."""
    if isinstance(requested, str):
        return Refusal(app, requested, "for a reason")
    return Refusal(app, requested.model_dump_json(), "for a reason", requested)


@pytest.mark.parametrize(
    "refused",
    [
        refusal(policy()),
        refusal(policy(), app="greedy"),
        refusal('[{"source_app_name": "scraper", "endpoints": [{"ports": [0]}]}]'),
        refusal('[{"source_app_name": "scraper"'),
    ],
)
def test_a_denial_names_a_refused_policy_for_the_call(refused: Refusal):
    reason = f"this mesh refused a policy of {refused.app} for this call: for a reason"

    assert decide(METRICS, call=call(), refused=(refused,)) == denied(reason)
    assert decide(call=call(), refused=(refused,)) == denied(reason)
    assert allows(policy(), call=call(), refused=(refused,))


@pytest.mark.parametrize(
    "refused",
    [
        refusal(METRICS),
        refusal(policy(source_app_name="outsider")),
        refusal(policy(target_app_name="database")),
        refusal('[{"source_app_name": "outsider"'),
        refusal('[{"source_app_name": "scraper"', app="database"),
    ],
)
def test_a_denial_names_no_refused_policy_for_other_calls(refused: Refusal):
    reason = "no relation allows it: producer has no policy for scraper"

    assert decide(call=call(), refused=(refused,)) == denied(reason)


@pytest.mark.parametrize(("service", "is_named"), [("producer", True), ("other", False)])
def test_a_refused_policy_for_a_service_is_for_that_service(service: str, is_named: bool):
    unfit = policy(target_app_name=None, target_service=service)
    refused = (refusal(unfit),)

    verdict = decide(call=call(), refused=refused, enforcement="network-policy")

    assert ("refused" in verdict.reason) is is_named
    assert not verdict.allowed


def test_a_denial_names_a_refused_policy_without_target():
    boundless = unit_policy(target_app_name=None)
    refused = (refusal(boundless),)

    assert decide(call=call(target="producer/0", port=9090), refused=refused) == denied(
        "this mesh refused a policy of producer for this call: for a reason"
    )
    assert "refused" not in decide(call=call(target="producer/0"), refused=refused).reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "scraper of demo may call GET :8080 /data on Service producer"),
        (
            {"method": "POST"},
            f"scraper of demo may call GET :8080 /data on Service producer; {L4_LIMITS}",
        ),
        (
            {"path": "/admin", "target": "producer/0"},
            f"scraper of demo may call GET :8080 /data on Service producer; {L4_LIMITS}",
        ),
    ],
)
def test_a_network_policy_allows_all_calls_on_its_port(changes: dict[str, Any], reason: str):
    verdict = decide(policy(), call=call(**changes), enforcement="network-policy")

    assert verdict == Verdict(True, reason)


def test_a_network_policy_for_units_opens_the_service_too():
    units = unit_policy(endpoints=[Endpoint(ports=[8080])])
    reason = f"scraper of demo may call :8080 on units of producer; {L4_LIMITS}"

    assert decide(units, call=call(), enforcement="network-policy") == Verdict(True, reason)
    assert not allows(units, call=call())


BOTH = "scraper may call GET :8080 /data on Service producer and :9090 on units of producer"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"port": 80, "method": "POST"}, f"wrong port; {BOTH}"),
        ({"source": "outsider"}, "no relation allows it: producer has no policy for outsider"),
    ],
)
def test_a_network_policy_denies_other_callers_and_ports(changes: dict[str, Any], reason: str):
    both = policy(), unit_policy()

    assert allows(*both, call=call(), enforcement="network-policy")
    assert decide(*both, call=call(**changes), enforcement="network-policy") == denied(reason)


def test_a_network_policy_for_any_service_opens_the_same_pods():
    other = policy(target_service="producer-admin")

    for target in ("producer", "producer/0", "producer-admin"):
        there = call(target=target)
        assert allows(other, call=there, enforcement="network-policy")
        assert not allows(other, call=replace(there, port=1), enforcement="network-policy")


def test_a_network_policy_closes_its_target_to_others():
    outsider = call(source="outsider", target="producer/0")

    assert not allows(policy(), call=outsider, hardened=False, enforcement="network-policy")
    assert allows(call=outsider, hardened=False, enforcement="network-policy")
