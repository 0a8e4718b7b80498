"""Who may call whom: every call that is allowed has one beside it that is not."""

import json
from dataclasses import replace
from typing import Any, Literal

import pytest
from juju import policy

import calls
import listing
import mesh
import words
from charms.istio_beacon_k8s.v0.service_mesh import (
    Endpoint,
    MeshPolicy,
    Method,
    PolicyTargetType,
    Refusal,
)


def unit_policy(**changes: Any) -> MeshPolicy:
    return policy(
        target_type=PolicyTargetType.unit, **{"endpoints": [Endpoint(ports=[9090])], **changes}
    )


def call(**changes: Any) -> calls.Call:
    """Return the call that `policy` allows, with some changes."""
    fields: dict[str, Any] = {
        "source": "scraper",
        "source_model": "demo",
        "target": "producer",
        "port": 8080,
        "path": "/data",
    }
    return calls.Call(**{**fields, **changes})


EVERYBODY = ("demo/producer", "demo/scraper", "demo/outsider", "remote/scraper")
L7, L4, NEITHER = "authorization-policy", "network-policy", "none"
BEYOND_L4 = "methods and paths are not enforced"


def decide(
    *policies: MeshPolicy,
    call: calls.Call,
    members: tuple[str, ...] = EVERYBODY,
    hardened: bool = True,
    enforcement: mesh.Enforcement = L7,
    refused: tuple[Refusal, ...] = (),
) -> mesh.Verdict:
    unenforced = {L7: "", L4: BEYOND_L4, NEITHER: "nothing is enforced"}[enforcement]
    outcome = mesh.Outcome(policies, refused, enforcement, unenforced)
    pairs = [member.split("/") for member in members]
    on_mesh = frozenset((model, app) for model, app in pairs)
    return mesh.Mesh("demo", on_mesh, hardened, outcome).decide(call)


def allows(*policies: MeshPolicy, call: calls.Call, **circumstances: Any) -> bool:
    return decide(*policies, call=call, **circumstances).allowed


def denied(reason: str) -> mesh.Verdict:
    return mesh.Verdict(False, reason)


def test_policy_allows_what_it_names():
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
def test_policy_allows_nothing_else(changes: dict[str, Any]):
    assert not allows(policy(), call=call(**changes))


def test_unit_policy_allows_its_port_on_each_unit_whatever_the_path():
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
def test_unit_policy_allows_nothing_else(changes: dict[str, Any]):
    fields = {"target": "producer/0", "port": 9090, **changes}

    assert not allows(unit_policy(), call=call(**fields))


def test_unit_policy_by_selector_is_for_the_application_that_it_selects():
    selector = {"app.kubernetes.io/name": "producer"}
    by_selector = unit_policy(target_app_name=None, target_selector_labels=selector)

    assert allows(by_selector, call=call(target="producer/0", port=9090))
    assert not allows(by_selector, call=call(target="scraper/0", port=9090))


@pytest.mark.parametrize("endpoints", [[], [Endpoint()]])
def test_policy_without_endpoints_allows_all_to_its_source_alone(endpoints: list[Endpoint]):
    everything = policy(endpoints=endpoints)

    assert allows(everything, call=call(method="DELETE", path="/admin"))
    assert not allows(everything, call=call(source="outsider"))


def test_one_of_several_endpoints_is_enough_but_not_parts_of_two():
    read_or_admin = policy(
        endpoints=[
            Endpoint(methods=[Method.get], paths=["/data"]),
            Endpoint(methods=[Method.post], paths=["/admin"]),
        ]
    )

    assert allows(read_or_admin, call=call(method="POST", path="/admin"))
    assert not allows(read_or_admin, call=call(method="POST", path="/data"))


def test_policy_of_another_service_is_about_that_one_alone():
    other = policy(target_service="producer-admin")

    assert allows(other, call=call(target="producer-admin"))
    assert not allows(other, call=call(target="producer-admin", method="POST"))
    assert not allows(other, call=call())
    assert allows(
        other, call=call(target="producer-admin", method="POST"), members=("demo/scraper",)
    )


def test_policy_in_another_namespace_is_not_about_this_one():
    assert not allows(policy(target_namespace="other"), call=call())


def test_caller_of_another_model_is_taken_at_its_identity():
    remote = policy(source_namespace="remote")

    assert allows(remote, call=call(source_model="remote"))
    assert not allows(remote, call=call())
    assert not allows(remote, call=call(source_model="remote"), members=("demo/producer",))


def test_application_that_left_the_mesh_is_open():
    assert decide(policy(), call=call(method="POST"), members=("demo/scraper",)) == mesh.Verdict(
        True, "no application producer in model demo is on this mesh, so nothing is enforced there"
    )
    assert not allows(policy(), call=call(method="POST"))


def test_application_without_policies_is_open_unless_hardened():
    assert allows(call=call(), hardened=False)
    assert not allows(call=call(), hardened=True)


def test_application_with_a_policy_is_closed_to_others_hardened_or_not():
    assert not allows(policy(), call=call(source="outsider"), hardened=False)


@pytest.mark.parametrize(
    ("asked", "changes"),
    [
        pytest.param(policy(), {"target": "producer/0"}, id="past the waypoint"),
        pytest.param(unit_policy(), {"source": "nobody"}, id="not on the mesh"),
    ],
)
def test_unit_behind_what_decides_is_closed_hardened_or_not(
    asked: MeshPolicy, changes: dict[str, Any]
):
    assert not allows(asked, call=call(**changes), hardened=False)
    assert allows(call=call(**changes), hardened=False)
    assert allows(unit_policy(), call=call(), hardened=False)


def test_unit_policy_by_pod_is_for_that_unit_alone():
    selector = {
        "app.kubernetes.io/name": "producer",
        "statefulset.kubernetes.io/pod-name": "producer-1",
    }
    of_one = unit_policy(target_app_name=None, target_selector_labels=selector)

    assert allows(of_one, call=call(target="producer/1", port=9090))
    assert not allows(of_one, call=call(target="producer/0", port=9090))


def test_query_is_no_part_of_a_path():
    assert allows(policy(), call=call(path="/data?since=1"))
    assert not allows(policy(), call=call(path="/admin?path=/data"))


def test_nothing_is_denied_where_nothing_is_enforced():
    assert decide(call=call(), enforcement="none") == mesh.Verdict(True, "nothing is enforced")
    assert not allows(call=call(), enforcement="network-policy")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
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
def test_paths_fit_as_istio_has_it(pattern: str, path: str, fits: bool):
    assert calls.path_matches(pattern, path) is fits


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
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
def test_hosts_fit_as_istio_matches_them(pattern: str, host: str, fits: bool):
    assert calls.host_matches(pattern, host) is fits


FULL_NAME = "producer.demo.svc.cluster.local"


@pytest.mark.parametrize(
    ("allowed", "changes", "fits"),
    [
        (f"{FULL_NAME}:8080", {}, True),
        (f"{FULL_NAME}:9090", {}, False),
        (FULL_NAME, {}, False),
        (FULL_NAME, {"port": 80}, True),
        ("data.example", {"host": "data.example"}, True),
        ("data.example", {"host": "other.example"}, False),
    ],
)
def test_policy_for_a_host_allows_calls_on_that_host(
    allowed: str, changes: dict[str, Any], fits: bool
):
    named = policy(endpoints=[Endpoint(hosts=[allowed])])

    assert allows(named, call=call(**changes)) is fits


def test_denial_names_the_wrong_host():
    named = policy(endpoints=[Endpoint(hosts=["data.example"])])

    assert decide(named, call=call()) == denied(
        "wrong host; scraper may call as data.example on Service producer"
    )


@pytest.mark.parametrize(
    ("described", "said"),
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
def test_policy_in_words(described: MeshPolicy, said: str):
    assert words.describe(described) == said


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
        ({"source": "outsider"}, "no relation gives it: producer has no policy for outsider"),
        (
            {"source": "nobody"},
            "no application nobody in model demo is on this mesh, so the caller has no identity",
        ),
        ({"target": "producer/0"}, f"nothing is allowed on units of producer; {MAY}"),
    ],
)
def test_denial_names_the_obstacle(changes: dict[str, Any], reason: str):
    assert decide(policy(), METRICS, call=call()).allowed
    assert decide(policy(), METRICS, call=call(**changes)) == denied(reason)


def test_denial_at_a_unit_says_what_is_allowed_there():
    assert decide(policy(), unit_policy(), call=call(target="producer/0")) == denied(
        "wrong port; scraper may call :9090 on units of producer"
    )


def test_permission_names_the_policy():
    assert decide(METRICS, policy(), call=call()) == mesh.Verdict(
        True, "scraper of demo may call GET :8080 /data on Service producer"
    )


def test_caller_of_another_model_without_a_policy_is_told_what_it_takes():
    how = "integrate its require-cmr-mesh with the same offer"
    alias = f"remote-{'0123456789abcdef' * 2}"
    remote = call(source_model="remote")

    assert decide(policy(), call=remote) == denied(
        "producer has no policy for scraper of remote: "
        f"it is not related, or its identity is missing: {how}"
    )
    assert decide(policy(source_app_name=alias), call=remote) == denied(
        f"producer knows a caller as {alias} alone, its identity is missing: {how}"
    )
    assert allows(policy(source_namespace="remote"), call=remote)


def refusal(asked: MeshPolicy | str, app: str = "producer") -> Refusal:
    """Return the refusal of a policy, or of a malformed entry."""
    if isinstance(asked, str):
        return Refusal(app, asked, "for a reason")
    return Refusal(app, asked.model_dump_json(), "for a reason", asked)


@pytest.mark.parametrize(
    "refused",
    [
        refusal(policy()),
        refusal(policy(), app="greedy"),
        refusal('[{"source_app_name": "scraper", "endpoints": [{"ports": [0]}]}]'),
        refusal('[{"source_app_name": "scraper"'),
    ],
)
def test_denial_says_that_what_would_allow_it_was_refused(refused: Refusal):
    reason = f"{refused.app} asked for it and was refused: for a reason"

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
def test_denial_does_not_speak_of_what_would_not_allow_it(refused: Refusal):
    reason = "no relation gives it: producer has no policy for scraper"

    assert decide(call=call(), refused=(refused,)) == denied(reason)


@pytest.mark.parametrize(("service", "is_about"), [("producer", True), ("other", False)])
def test_service_that_has_no_network_policy_is_spoken_of_by_its_name(service: str, is_about: bool):
    unfit = policy(target_app_name=None, target_service=service)
    refused = (refusal(unfit),)

    verdict = decide(call=call(), refused=refused, enforcement="network-policy")

    assert ("refused" in verdict.reason) is is_about
    assert not verdict.allowed


def test_unit_target_without_bounds_would_have_allowed_it():
    boundless = unit_policy(target_app_name=None)
    refused = (refusal(boundless),)

    assert decide(call=call(target="producer/0", port=9090), refused=refused) == denied(
        "producer asked for it and was refused: for a reason"
    )
    assert "refused" not in decide(call=call(target="producer/0"), refused=refused).reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "scraper of demo may call GET :8080 /data on Service producer"),
        (
            {"method": "POST"},
            f"scraper of demo may call GET :8080 /data on Service producer; {BEYOND_L4}",
        ),
        (
            {"path": "/admin", "target": "producer/0"},
            f"scraper of demo may call GET :8080 /data on Service producer; {BEYOND_L4}",
        ),
    ],
)
def test_network_policy_allows_whatever_is_on_the_port(changes: dict[str, Any], reason: str):
    verdict = decide(policy(), call=call(**changes), enforcement="network-policy")

    assert verdict == mesh.Verdict(True, reason)


def test_network_policy_for_units_lets_in_on_the_service_too():
    units = unit_policy(endpoints=[Endpoint(ports=[8080])])
    reason = f"scraper of demo may call :8080 on units of producer; {BEYOND_L4}"

    assert decide(units, call=call(), enforcement="network-policy") == mesh.Verdict(True, reason)
    assert not allows(units, call=call())


BOTH = "scraper may call GET :8080 /data on Service producer and :9090 on units of producer"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"port": 80, "method": "POST"}, f"wrong port; {BOTH}"),
        ({"source": "outsider"}, "no relation gives it: producer has no policy for outsider"),
    ],
)
def test_network_policy_denies_other_callers_and_ports(changes: dict[str, Any], reason: str):
    policies = policy(), unit_policy()

    assert allows(*policies, call=call(), enforcement="network-policy")
    assert decide(*policies, call=call(**changes), enforcement="network-policy") == denied(reason)


def test_network_policy_for_another_service_is_about_the_same_pods():
    other = policy(target_service="producer-admin")

    for target in ("producer", "producer/0", "producer-admin"):
        there = call(target=target)
        assert allows(other, call=there, enforcement="network-policy")
        assert not allows(other, call=replace(there, port=1), enforcement="network-policy")


def test_application_with_any_network_policy_is_closed_to_others_hardened_or_not():
    outsider = call(source="outsider", target="producer/0")

    assert not allows(policy(), call=outsider, hardened=False, enforcement="network-policy")
    assert allows(call=outsider, hardened=False, enforcement="network-policy")


@pytest.mark.parametrize("form", ["table", "json"])
def test_listing_is_no_longer_than_a_hook_tool_takes(form: Literal["table", "json"]):
    policies = [policy(source_app_name=f"scraper-{number}") for number in range(2_000)]
    junk = Refusal("careless", "[1," * 70_000, "not JSON")

    result = listing.listing(mesh.Outcome(policies, [junk], "authorization-policy"), form)

    shown = result["table"].splitlines() if form == "table" else json.loads(result["rows"])
    assert all(len(value.encode()) < 128 * 1024 - 100 for value in result.values())
    assert len(shown) + int(result["omitted"]) == 2_001
    assert "careless" in str(shown[0])


def test_listing_names_the_application_of_a_selector():
    selector = {"app.kubernetes.io/name": "producer"}
    by_selector = unit_policy(target_app_name=None, target_selector_labels=selector)

    result = listing.listing(mesh.Outcome([by_selector], [], "authorization-policy"), "table")

    assert result["table"].startswith("producer  accepted")
    assert "omitted" not in result


def test_listing_is_sorted_by_application_and_shortens_what_is_long_for_a_person():
    refusal = Refusal("database", "x" * 500, "not JSON")
    outcome = mesh.Outcome([policy()], [refusal], "authorization-policy")

    assert listing.listing(outcome, "table")["table"].splitlines() == [
        "database  refused  not JSON: [...]",
        "producer  accepted  scraper of demo may call GET :8080 /data on Service producer",
    ]
    assert "x" * 500 in listing.listing(outcome, "json")["rows"]
