"""Who may call whom: every call that is allowed has one beside it that is not."""

from typing import Any

import pytest

import mesh
from charms.istio_beacon_k8s.v0.service_mesh import (
    Endpoint,
    MeshPolicy,
    Method,
    PolicyTargetType,
    Refusal,
)


def policy(**changes: Any) -> MeshPolicy:
    fields: dict[str, Any] = {
        "source_app_name": "scraper",
        "source_namespace": "demo",
        "target_app_name": "producer",
        "target_namespace": "demo",
        "endpoints": [Endpoint(ports=[8080], methods=[Method.get], paths=["/data"])],
    }
    return MeshPolicy(**{**fields, **changes})


def unit_policy(**changes: Any) -> MeshPolicy:
    return policy(
        target_type=PolicyTargetType.unit, **{"endpoints": [Endpoint(ports=[9090])], **changes}
    )


def call(**changes: Any) -> mesh.Call:
    """Return the call that `policy` allows, with some changes."""
    fields: dict[str, Any] = {
        "source": "scraper",
        "source_model": "demo",
        "target": "producer",
        "port": 8080,
        "path": "/data",
    }
    return mesh.Call(**{**fields, **changes})


def allows(
    *policies: MeshPolicy,
    call: mesh.Call,
    members: tuple[str, ...] = ("producer", "scraper", "outsider"),
    hardened: bool = True,
    unenforced: str = "",
) -> bool:
    outcome = mesh.Outcome(policies, [], unenforced)
    return mesh.Mesh("demo", frozenset(members), hardened, outcome).decide(call).allowed


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


def test_policy_of_another_service_is_not_about_the_application():
    other = policy(target_service="producer-admin")

    assert allows(other, call=call(target="producer-admin"), members=("producer-admin", "scraper"))
    assert not allows(other, call=call())


def test_policy_in_another_namespace_is_not_about_this_one():
    assert not allows(policy(target_namespace="other"), call=call())


def test_caller_that_left_the_mesh_has_no_identity():
    assert not allows(policy(), call=call(), members=("producer",))


def test_caller_of_another_model_is_taken_at_its_identity():
    remote = policy(source_namespace="remote")

    assert allows(remote, call=call(source_model="remote"), members=("producer",))
    assert not allows(remote, call=call(), members=("producer",))


def test_application_that_left_the_mesh_is_open():
    assert allows(policy(), call=call(method="POST"), members=("scraper",))


def test_application_without_policies_is_open_unless_hardened():
    assert allows(call=call(), hardened=False)
    assert not allows(call=call(), hardened=True)


def test_application_with_a_policy_is_closed_to_others_hardened_or_not():
    assert not allows(policy(), call=call(source="outsider"), hardened=False)


def test_nothing_is_denied_where_nothing_is_enforced():
    assert allows(call=call(), unenforced="enforcement=none")


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
    assert mesh.path_matches(pattern, path) is fits


@pytest.mark.parametrize(
    ("described", "words"),
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
def test_policy_in_words(described: MeshPolicy, words: str):
    assert mesh.describe(described) == words


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({"method": "POST"}, "scraper may call GET :8080 /data, GET :9090 on Service producer"),
        ({"target": "producer/0"}, "scraper may call :9090 on units of producer"),
        ({"source": "outsider"}, "outsider may call nothing on Service producer"),
    ],
)
def test_denial_says_what_the_caller_may_do_there_instead(changes: dict[str, Any], may: str):
    metrics = policy(endpoints=[Endpoint(ports=[9090], methods=[Method.get])])
    outcome = mesh.Outcome([policy(), metrics, unit_policy()], [])
    members = frozenset({"producer", "scraper", "outsider"})

    verdict = mesh.Mesh("demo", members, True, outcome).decide(call(**changes))

    assert verdict == mesh.Verdict(False, f"no policy allows it; {may}")


def test_listing_is_sorted_by_application_and_shortens_what_is_long_for_a_person():
    refusal = Refusal("database", "x" * 500, "not JSON")
    outcome = mesh.Outcome([policy()], [refusal])

    assert mesh.listing(outcome, "table")["table"].splitlines() == [
        "database  refused  not JSON: [...]",
        "producer  accepted  scraper of demo may call GET :8080 /data on Service producer",
    ]
    assert "x" * 500 in mesh.listing(outcome, "json")["rows"]
