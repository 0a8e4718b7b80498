"""Questions to the proxy: the decision on a call that reaches no workload."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from rehearsal.machine.addresses import workload_address
from rehearsal.mesh.decision import Decision
from rehearsal.mesh.question import NotDecidedError
from tests.mesh.cluster import APP, App, Cluster, proxy

URL = "http://producer:9090/metrics"
PORT = 7070


@pytest.fixture
def producer(cluster: Cluster, namespace: str) -> App:
    return cluster.app(namespace, "producer", units=2)


@pytest.fixture
def scraper(cluster: Cluster, producer: App, namespace: str) -> App:
    return cluster.app(namespace, "scraper")


@pytest.fixture
def outsider(cluster: Cluster, producer: App, namespace: str) -> App:
    """A caller without an identity, which calls past waypoints."""
    return cluster.app(namespace, "outsider", labels={})


@pytest.fixture
def workload(cluster: Cluster, scraper: App, namespace: str) -> Iterator[socket.socket]:
    """Wait for connections in the pod of the scraper, behind a Service of that name and port."""
    service = cluster.store.get("Service", namespace, "scraper")
    assert service
    service["spec"]["ports"] = [{"port": PORT}]
    cluster.store.put(service)
    cluster.mesh.settle()
    with socket.create_server((workload_address(scraper.pods[0]), PORT)) as server:
        server.setblocking(False)
        yield server


def on_service(method: str) -> dict[str, Any]:
    """Return the policy by which anyone may make calls with a method on the producer."""
    rules = [{"to": [{"operation": {"methods": [method]}}]}]
    return {"targetRefs": [{"kind": "Service", "name": "producer"}], "rules": rules}


def ask(cluster: Cluster, caller: App, url: str = URL, method: str = "GET") -> list[Decision]:
    return cluster.mesh.ask(caller.namespace, f"{caller.name}-0", method, url)


def test_a_question_reaches_no_workload(
    cluster: Cluster, scraper: App, workload: socket.socket
) -> None:
    url = f"http://scraper:{PORT}/"

    [decision] = ask(cluster, scraper, url, "DELETE")

    assert decision.verdict == "allowed"
    with pytest.raises(BlockingIOError):
        workload.accept()
    with closing(proxy(scraper)) as connection:
        connection.putrequest("DELETE", url)
        connection.putheader("proxy-authorization", cluster.token(scraper))
        connection.endheaders()
        workload.settimeout(5)
        workload.accept()[0].close()


def test_a_question_is_not_in_the_access_log(
    cluster: Cluster, scraper: App, outsider: App, namespace: str
) -> None:
    cluster.policy(namespace, on_service("GET"))
    url = f"http://producer:9090/{namespace}"
    asked = [
        ask(cluster, caller, url, each) for caller, each in ((scraper, "GET"), (scraper, "POST"))
    ]
    cluster.call(scraper, url)

    [entry] = cluster.logged(f"/{namespace}", 1)

    assert [decision.verdict for [decision] in asked] == ["allowed", "denied"]
    assert entry["code"] == 200


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("GET", "policy {0}/policy allows {1} on Service producer"),
        ("POST", "no policy allows {1} on Service producer"),
        ("HEAD", "no policy allows {1} on Service producer"),
        ("PUT", "policy {0}/deny denies {1} on Service producer"),
    ],
)
def test_the_reason_names_the_policy_and_the_caller(
    cluster: Cluster, scraper: App, namespace: str, method: str, reason: str
) -> None:
    cluster.policy(namespace, on_service("GET"))
    cluster.policy(namespace, {**on_service("PUT"), "action": "DENY"}, "deny")

    [decision] = ask(cluster, scraper, method=method)

    assert decision.reason == reason.format(namespace, scraper.principal)


def test_without_a_policy_the_reason_says_so(cluster: Cluster, scraper: App) -> None:
    [decision] = ask(cluster, scraper)

    assert (decision.verdict, decision.reason) == ("allowed", "no policy is for Service producer")


def test_the_reason_names_the_network_policy(
    cluster: Cluster, scraper: App, outsider: App, namespace: str
) -> None:
    peer = {"podSelector": {"matchLabels": {APP: "scraper"}}}
    pods = {"podSelector": {"matchLabels": {APP: "producer"}}}
    cluster.policy(namespace, {"rules": [{}]}, "open")
    cluster.network_policy(namespace, {**pods, "ingress": [{"from": [peer]}]}, "network")

    [allowed], denied = ask(cluster, scraper), ask(cluster, outsider)

    assert allowed.reason == (
        f"policy {namespace}/network allows {scraper.principal} on Service producer"
    )
    assert {decision.reason for decision in denied} == {
        f"no NetworkPolicy allows a caller without an identity on pod producer-{number}"
        for number in range(2)
    }


def test_each_pod_behind_a_service_is_asked(
    cluster: Cluster, outsider: App, namespace: str
) -> None:
    pod = {"selector": {"matchLabels": {"statefulset.kubernetes.io/pod-name": "producer-1"}}}
    cluster.policy(namespace, {"rules": [{}]}, "open")
    cluster.policy(namespace, {**pod, "action": "DENY", "rules": [{}]})

    decisions = ask(cluster, outsider)

    assert {(decision.target, decision.verdict) for decision in decisions} == {
        ("pod producer-0", "allowed"),
        ("pod producer-1", "denied"),
    }


def test_a_waypoint_is_asked_about_each_pod(cluster: Cluster, scraper: App, namespace: str) -> None:
    pod = {"podSelector": {"matchLabels": {"statefulset.kubernetes.io/pod-name": "producer-1"}}}
    cluster.network_policy(namespace, pod)

    decisions = ask(cluster, scraper)

    assert {decision.verdict for decision in decisions} == {"allowed", "denied"}


@pytest.mark.parametrize("url", ["http://producer:7/", "http://produzer:9090/"])
def test_a_call_that_arrives_nowhere_is_not_decided(
    cluster: Cluster, scraper: App, url: str
) -> None:
    with pytest.raises(NotDecidedError, match="502: no Service and no pod listens at produ"):
        ask(cluster, scraper, url)


def test_a_caller_that_does_not_exist_cannot_ask(cluster: Cluster, producer: App) -> None:
    with pytest.raises(LookupError, match="/producer-7 has no address"):
        cluster.mesh.ask(producer.namespace, "producer-7", "GET", URL)
