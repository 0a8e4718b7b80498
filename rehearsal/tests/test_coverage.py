"""COVERAGE.md names all that the code has, and nothing else."""

import re
from collections.abc import Mapping
from pathlib import Path

import ops
import pytest

from rehearsal.juju.cli import options
from rehearsal.juju.cli.call import COMMANDS
from rehearsal.juju.cli.not_done import NOT_DONE
from rehearsal.juju.cli.server import MODULES
from rehearsal.kubernetes import discovery
from rehearsal.kubernetes.resources import served
from rehearsal.kubernetes.store import Object, Store
from rehearsal.mesh import authorization, network
from rehearsal.mesh.conditions import WAYPOINT, ZTUNNEL

PAGE = (Path(__file__).parents[1] / "COVERAGE.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title: str, heading: str) -> list[list[str]]:
    """Return the rows of the table with a heading in a section, without the line below it."""
    table = re.search(rf"^\| {re.escape(heading)} .*\n\| --- .*\n((\|.*\n)+)", section(title), re.M)
    assert table, title
    return [[c.strip() for c in line.strip("|").split("|")] for line in table[1].splitlines()]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def states(title: str, heading: str) -> dict[str, str]:
    return {names(row[0])[0]: row[1] for row in rows(title, heading)}


def test_it_names_each_command_with_its_other_names():
    told = {first: tuple(others) for first, *others in map(names, commands())}

    assert told == {each.name: each.aliases for each in COMMANDS.values()}


def test_it_is_compared_with_the_commands_of_every_module():
    modules = {each.handler.__module__ for each in COMMANDS.values()}

    assert modules == {module.__name__ for module in MODULES}


def commands() -> list[str]:
    return [row[0] for row in rows("Commands of juju", "command")]


@pytest.mark.parametrize("row", rows("Commands of juju", "command"), ids=lambda row: row[0])
def test_it_names_each_option_of_a_command(row: list[str]):
    specs = COMMANDS[names(row[0])[0]].options
    own = options.read(specs)[: len(specs)]

    assert sorted(names(row[1])) == sorted(option.name for option in own)


def test_it_names_each_command_that_is_refused():
    assert set(names(section("Commands of juju that are refused"))) == NOT_DONE
    assert NOT_DONE.isdisjoint(COMMANDS)


def test_it_names_each_method_of_a_container():
    methods = {name for name in dir(ops.Container) if not name.startswith("_")}

    assert set(states("Pebble: methods of ops.Container", "method")) == methods


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("Pebble: keys of a service", ops.pebble.ServiceDict.__annotations__),
        ("Pebble: keys of a check", ops.pebble.CheckDict.__annotations__),
    ],
)
def test_it_names_each_key_of_a_layer(title: str, keys: Mapping[str, object]):
    assert set(states(title, "key")) == set(keys)


def test_it_names_each_kind_with_its_subresources():
    told = {
        names(row[0])[0]: ("".join(names(row[1])), {*names(row[2]), *names(row[3])})
        for row in rows("Kinds of Kubernetes", "kind")
    }

    assert told == {
        each.kind: (each.group, {*each.subresources, *(["status"] if each.has_status else [])})
        for each in served(Store())
    }


def test_it_names_each_verb():
    described = discovery.describe(Store(), "/api/v1") or {}
    verbs = {verb for each in described["resources"] for verb in each["verbs"]}

    assert set(names(section("Kinds of Kubernetes").partition(".")[0])) == verbs


@pytest.mark.parametrize("row", rows("AuthorizationPolicy of Istio", "field"), ids=lambda r: r[0])
def test_it_tells_which_fields_of_a_policy_are_enforced(row: list[str]):
    [field] = names(row[0])
    value = {"ports": "80", "paths": "/a", "serviceAccounts": "a/b"}.get(field, "a")
    is_of_source = field.lower().endswith(("principals", "namespaces", "accounts", "blocks"))
    part = {field: [value]}
    rule = {"from": [{"source": part}]} if is_of_source else {"to": [{"operation": part}]}

    state = "refused" if is_refused({"rules": [rule]}) else None

    for told, matchers in zip(row[1:], (ZTUNNEL, WAYPOINT), strict=True):
        assert told == (state or ("done" if field.lower() in matchers else "not seen"))


def test_it_names_each_field_that_is_enforced():
    told = {names(row[0])[0].lower() for row in rows("AuthorizationPolicy of Istio", "field")}

    assert told >= WAYPOINT.keys() | ZTUNNEL.keys()


@pytest.mark.parametrize(
    ("key", "state"), states("AuthorizationPolicy of Istio", "key of `when`").items()
)
def test_it_tells_which_keys_of_when_are_enforced(key: str, state: str):
    value = "80" if key == "destination.port" else "a"

    refused = is_refused({"rules": [{"when": [{"key": key, "values": [value]}]}]})

    assert state == ("refused" if refused else "done")


@pytest.mark.parametrize(
    ("action", "state"), states("AuthorizationPolicy of Istio", "action").items()
)
def test_it_tells_which_actions_are_enforced(action: str, state: str):
    assert state == ("refused" if is_refused({"action": action, "rules": [{}]}) else "done")


def is_refused(spec: Object) -> bool:
    policy = {"kind": "AuthorizationPolicy", "metadata": {"namespace": "m", "name": "p"}}
    _, refusals = authorization.read([{**policy, "spec": spec}])
    return bool(refusals)


PARTS: dict[str, Object] = {
    "podSelector": {"ingress": [{"from": [{"podSelector": {}}]}]},
    "namespaceSelector": {"ingress": [{"from": [{"namespaceSelector": {}}]}]},
    "ipBlock": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    "port": {"ingress": [{"ports": [{"port": 80}]}]},
    "endPort": {"ingress": [{"ports": [{"port": 80, "endPort": 90}]}]},
    "named port": {"ingress": [{"ports": [{"port": "http"}]}]},
    "egress": {"policyTypes": ["Egress"], "egress": [{}]},
}


@pytest.mark.parametrize("part", PARTS)
def test_it_tells_which_parts_of_a_network_policy_are_enforced(part: str):
    policy = {"kind": "NetworkPolicy", "metadata": {"namespace": "m", "name": "p"}}
    _, refusals = network.read([{**policy, "spec": {"podSelector": {}, **PARTS[part]}}])

    told = states("NetworkPolicy", "part")

    assert told.keys() == PARTS.keys()
    assert told[part] == ("refused" if refusals else "done")
