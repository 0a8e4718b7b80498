"""The accesses that follow from relations, policies and calls."""

from dataclasses import replace

import pytest

from mesh_map.accesses import derive, find
from mesh_map.model import Access, Call, Name, Policy, Snapshot, State
from tests.example import (
    CALLS,
    MODELS,
    NO_RELATION,
    OUTSIDER,
    POLICIES,
    PRODUCER,
    REMOTE,
    SCRAPER,
    SNAPSHOT,
    denied,
    example,
    model,
)


def between(snapshot: Snapshot, source: Name, *calls: Call) -> list[Access]:
    """Return the accesses of a caller."""
    return [access for access in derive(snapshot, calls).accesses if access.source == source]


def test_a_policy_belongs_to_the_relation_that_names_its_port():
    found = {each.relations: each.requests for each in between(SNAPSHOT, SCRAPER)}

    assert found == {
        ("data",): ("GET :8080 /data",),
        ("metrics",): ("GET :9090 /metrics", ":9090 on units"),
    }


def test_a_policy_belongs_to_all_relations_if_none_has_its_port():
    relations = tuple(replace(each, ports=frozenset()) for each in SNAPSHOT.relations)

    (access,) = between(replace(SNAPSHOT, relations=relations), SCRAPER)

    assert access.relations == ("data", "metrics")
    assert access.command == ""


def test_an_allowed_access_is_ended_by_removing_its_relation():
    commands = [each.command for each in between(SNAPSHOT, SCRAPER)]

    assert commands == [
        "juju remove-relation -m demo producer:data scraper:data",
        "juju remove-relation -m demo producer:metrics scraper:metrics",
    ]


def test_an_unrelated_caller_is_denied_and_can_be_related():
    (access,) = between(SNAPSHOT, OUTSIDER, denied(OUTSIDER, reason=NO_RELATION))

    assert (access.state, access.reason) == (State.DENIED, "no relation allows it")
    assert access.details == (f"GET :8080 /data: {NO_RELATION}",)
    assert access.command == "juju integrate -m demo producer:data outsider:data"


def test_paths_without_end_do_not_change_the_map_for_ever():
    calls = [denied(OUTSIDER, path=f"/{number}") for number in range(100)]

    assert derive(SNAPSHOT, calls[:50]) == derive(SNAPSHOT, calls)
    assert derive(SNAPSHOT, calls[:2]) != derive(SNAPSHOT, calls)


def test_a_caller_that_makes_no_calls_has_no_access():
    assert between(SNAPSHOT, OUTSIDER) == []


def test_no_relation_helps_if_no_policy_is_for_the_request():
    (access,) = between(SNAPSHOT, OUTSIDER, denied(OUTSIDER, "DELETE"))

    assert access.command == ""


def test_a_denied_request_of_a_related_caller_is_apart():
    *allowed, access = between(SNAPSHOT, SCRAPER, denied(SCRAPER, "POST"))

    assert {each.state for each in allowed} == {State.ALLOWED}
    assert (access.state, access.reason) == (State.DENIED, "no policy allows it")


def test_a_caller_in_another_model_waits_for_its_identity():
    (access,) = between(SNAPSHOT, REMOTE, denied(REMOTE))

    assert access.state == State.WAITING
    assert access.command == "juju integrate -m demo-remote scraper producer:provide-cmr-mesh"


def test_a_sent_identity_needs_no_command():
    (access,) = between(replace(SNAPSHOT, identities=frozenset({(REMOTE, PRODUCER)})), REMOTE)

    assert (access.state, access.command) == (State.WAITING, "")


def test_a_known_identity_is_allowed():
    known = replace(SNAPSHOT, policies=(*POLICIES, Policy(REMOTE, PRODUCER, "GET :8080 /data")))

    (access,) = between(known, REMOTE)

    assert (access.state, access.relations) == (State.ALLOWED, ("data",))


def off_mesh(name: Name) -> Snapshot:
    """Return the example with an application off the mesh."""
    apps = [replace(app, on_mesh=app.name != name) for app in MODELS[0].applications]
    return replace(SNAPSHOT, models=(model("demo", *apps), MODELS[1]))


def test_a_related_caller_off_the_mesh_is_denied_and_can_join():
    found = between(off_mesh(SCRAPER), SCRAPER)

    assert {each.state for each in found} == {State.RELATED}
    assert {each.reason for each in found} == {"scraper is off the mesh"}
    assert {each.command for each in found} == {"juju integrate -m demo scraper mesh"}


@pytest.mark.parametrize("caller", [SCRAPER, REMOTE])
def test_an_application_off_the_mesh_is_open(caller: Name):
    assert {each.state for each in between(off_mesh(PRODUCER), caller)} == {State.OPEN}


def test_a_call_to_an_open_application_shows_without_a_relation():
    call = replace(denied(OUTSIDER), result="200")

    (access,) = between(off_mesh(PRODUCER), OUTSIDER, call)

    assert (access.state, access.reason) == (State.OPEN, "producer is off the mesh")


def test_a_relation_without_a_policy_is_not_allowed():
    (access,) = between(replace(SNAPSHOT, policies=()), SCRAPER)

    assert access.state == State.RELATED
    assert access.reason == "producer has no policy for scraper"


def test_a_refused_policy_allows_nothing_and_says_why():
    refused = tuple(replace(each, refusal="not its own target") for each in POLICIES)

    (access,) = between(replace(SNAPSHOT, policies=refused), SCRAPER)

    assert access.state == State.RELATED
    assert set(access.details) == {"not its own target"}


def test_an_unknown_application_has_no_access():
    stranger = Name("elsewhere", "scraper")

    assert between(SNAPSHOT, stranger, denied(stranger)) == []


@pytest.mark.parametrize(
    ("call", "relations", "state"),
    [
        (denied(SCRAPER, "POST"), (), State.DENIED),
        (replace(denied(SCRAPER), result="200"), ("data",), State.ALLOWED),
        (denied(REMOTE), ("data", "metrics"), State.WAITING),
    ],
)
def test_a_call_belongs_to_the_access_of_its_result(
    call: Call, relations: tuple[str, ...], state: State
):
    access = find(example().accesses, call)

    assert access
    assert (access.relations, access.state) == (relations, state)


def test_keys_stay_the_same_as_the_map_changes():
    before = {each.key for each in derive(SNAPSHOT).accesses}

    assert before < {each.key for each in derive(SNAPSHOT, CALLS).accesses}


@pytest.mark.parametrize(
    ("request_", "method", "path", "allowed"),
    [
        ("GET :8080 /data", "GET", "/data", True),
        ("GET :8080 /data", "POST", "/data", False),
        ("GET :8080 /data", "GET", "/data/1", False),
        ("GET :8080 /data/*", "GET", "/data/1", True),
        ("GET,POST :8080", "POST", "/", True),
        (":9090", "GET", "/", False),
        ("anything", "PUT", "/", True),
    ],
)
def test_a_policy_allows_the_calls_that_it_names(
    request_: str, method: str, path: str, allowed: bool
):
    policy = Policy(SCRAPER, PRODUCER, request_)

    assert policy.allows(denied(SCRAPER, method, path)) is allowed
    assert not policy.allows(replace(denied(SCRAPER, method, path), unit="producer/0"))
