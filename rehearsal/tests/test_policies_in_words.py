"""Policies in words."""

import pytest

from rehearsal.commands import policies
from rehearsal.kubernetes.store import Object

SCRAPER = "cluster.local/ns/demo/sa/scraper"
REMOTE = "cluster.local/ns/elsewhere/sa/scraper"


def said(spec: Object) -> list[str]:
    return policies.rules({"metadata": {"name": "some", "namespace": "demo"}, "spec": spec})


def rule(source: Object, operation: Object, **more: object) -> Object:
    return {"from": [{"source": source}], "to": [{"operation": operation}], **more}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({}, "ALLOW everyone: every call"),
        (
            rule({"principals": [SCRAPER]}, {"methods": ["GET"], "paths": ["/a"], "ports": ["1"]}),
            "ALLOW scraper: GET /a on 1",
        ),
        (rule({"principals": [REMOTE]}, {"ports": ["9090"]}), "ALLOW elsewhere.scraper: port 9090"),
        (
            rule({"namespaces": ["a", "b"]}, {"notMethods": ["PUT"]}),
            "ALLOW namespace a, b: any but PUT",
        ),
        (rule({"ipBlocks": ["10.0.0.0/8"]}, {}), "ALLOW ipBlocks 10.0.0.0/8: every call"),
        (
            rule({"notPrincipals": [SCRAPER]}, {"hosts": ["web"]}),
            "ALLOW any but scraper: at host web",
        ),
        (
            rule({"serviceAccounts": ["a/b"]}, {}, when=[{"key": "k", "values": ["v"]}]),
            "ALLOW service account a/b: every call when k is v",
        ),
    ],
)
def test_a_rule_names_callers_and_calls(written: Object, words: str):
    assert said({"rules": [written]}) == [words]


def test_the_alternatives_of_a_rule_are_in_one_line():
    sources = [{"source": {"principals": [each]}} for each in (SCRAPER, REMOTE)]
    operations = [{"operation": {"paths": [path]}} for path in ("/a", "/b")]

    assert said({"action": "DENY", "rules": [{"from": sources, "to": operations}]}) == [
        "DENY scraper or elsewhere.scraper: /a; /b"
    ]


def test_a_policy_without_rules_allows_nothing():
    assert said({}) == ["ALLOW nothing"]
    assert said({"podSelector": {}}) == ["ingress from nowhere"]


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ([], "everywhere: port 80"),
        ([{"podSelector": {"matchLabels": {"a/b": "c"}}}], "pods b=c: port 80"),
        (
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "m"}}}],
            "every pod of m: port 80",
        ),
        (
            [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}],
            "pods a=b of every namespace: port 80",
        ),
        ([{"ipBlock": {"cidr": "10.0.0.0/8"}}], "10.0.0.0/8: port 80"),
    ],
)
def test_a_network_policy_names_peers_and_ports(peers: list[Object], words: str):
    spec: Object = {"podSelector": {}, "ingress": [{"from": peers, "ports": [{"port": 80}]}]}

    assert said(spec) == [f"ingress from {words}"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"targetRefs": [{"kind": "Service", "name": "web"}]}, "Service web"),
        ({"targetRef": {"kind": "Service", "name": "web"}}, "Service web"),
        ({"selector": {"matchLabels": {"app.kubernetes.io/name": "web"}}}, "pods name=web"),
        ({}, "every pod"),
    ],
)
def test_the_target_of_a_policy(spec: Object, words: str):
    assert policies.target({"metadata": {"name": "some"}, "spec": spec}) == words
