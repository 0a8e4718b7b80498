"""Policies come into force, change and go. contract/ has their effects."""

from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.mesh.cluster import AMBIENT, APP, App, Cluster, proxy, send

Spec = dict[str, Any]

URL = "http://producer:9090/metrics"
UNIT = "http://producer-0.producer-endpoints:9090/metrics"
REFUSED: Spec = {"rules": [{"to": [{}]}]}


@pytest.fixture
def producer(cluster: Cluster, namespace: str) -> App:
    return cluster.app(namespace, "producer")


@pytest.fixture
def plain(cluster: Cluster, namespace: str) -> App:
    """A producer without a waypoint: its pods take all calls unless a policy selects them."""
    return cluster.app(namespace, "producer", service_labels={})


@pytest.fixture
def scraper(cluster: Cluster, namespace: str) -> App:
    return cluster.app(namespace, "scraper")


def on_service(**spec: Any) -> Spec:
    return {"targetRefs": [{"group": "", "kind": "Service", "name": "producer"}], **spec}


def from_apps(*names: str) -> Spec:
    """Return the NetworkPolicy by which these alone may call the producer."""
    peers = [{"podSelector": {"matchLabels": {APP: name}}} for name in names]
    ingress = [{"from": peers}] if peers else []
    return {"podSelector": {"matchLabels": {APP: "producer"}}, "ingress": ingress}


def test_what_is_refused_is_named(cluster: Cluster, producer: App, namespace: str) -> None:
    cluster.policy(namespace, on_service(**REFUSED))
    cluster.network_policy(namespace, {"ingress": "all"})

    refused = [(refusal.kind, refusal.policy) for refusal in cluster.mesh.refused]

    policy = f"{namespace}/policy"
    assert refused == [("AuthorizationPolicy", policy), ("NetworkPolicy", policy)]


def test_a_spec_that_is_no_object_closes_its_namespace(
    cluster: Cluster, producer: App, scraper: App, namespace: str
) -> None:
    metadata = {"namespace": namespace, "name": "policy"}
    kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    cluster.store.put({**kind, "metadata": metadata, "spec": "all"})
    cluster.mesh.settle()

    assert [refusal.policy for refusal in cluster.mesh.refused] == [f"{namespace}/policy"]
    assert [cluster.call(scraper, url).status for url in (URL, UNIT)] == [403, 403]
    with cluster.namespace() as elsewhere:
        other = cluster.app(elsewhere, "other")
        cluster.mesh.settle()
        assert cluster.call(other, "http://other:9090/").status == 200


def test_what_is_refused_is_said_once(
    cluster: Cluster, producer: App, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.policy(namespace, on_service(**REFUSED))
    cluster.policy(namespace, on_service(), "other")

    [said] = caplog.messages

    assert said.startswith(f"AuthorizationPolicy {namespace}/policy is refused: rules.0.to.0.")


def test_what_is_corrected_is_refused_no_more(
    cluster: Cluster, producer: App, scraper: App, namespace: str
) -> None:
    cluster.policy(namespace, on_service(**REFUSED))
    before = cluster.call(scraper, URL).status, bool(cluster.mesh.refused)

    cluster.policy(namespace, on_service(rules=[{}]))

    assert before == (403, True)
    assert (cluster.call(scraper, URL).status, cluster.mesh.refused) == (200, [])


def test_a_path_template_that_envoy_refuses_harms_no_other(
    cluster: Cluster, producer: App, scraper: App, namespace: str
) -> None:
    rule = {"to": [{"operation": {"paths": ["/{*}" + "a" * 256]}}]}
    cluster.policy(namespace, on_service(rules=[rule]))

    assert [refusal.policy for refusal in cluster.mesh.refused] == [f"{namespace}/policy"]
    assert cluster.call(scraper, URL).status == 403
    assert cluster.call(producer, "http://scraper:9090/").status == 200


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "NetworkPolicy"])
def test_a_deleted_policy_is_no_more_in_force(
    cluster: Cluster, plain: App, scraper: App, namespace: str, kind: str
) -> None:
    put = {"AuthorizationPolicy": cluster.policy, "NetworkPolicy": cluster.network_policy}[kind]
    put(namespace, {})
    denied = cluster.call(scraper, UNIT).status

    cluster.store.delete(kind, namespace, "policy")
    cluster.mesh.settle()

    assert (denied, cluster.call(scraper, UNIT).status) == (403, 200)


@pytest.mark.parametrize("url", [URL, UNIT])
def test_a_network_policy_binds_connections_that_are_open(
    cluster: Cluster, producer: App, scraper: App, namespace: str, url: str
) -> None:
    token = [("proxy-authorization", cluster.token(scraper))]
    cluster.policy(namespace, {"rules": [{}]})
    statuses: list[int] = []
    with closing(proxy(scraper)) as connection:
        for allowed in (["scraper"], [], ["scraper"]):
            cluster.network_policy(namespace, from_apps(*allowed))
            statuses.append(send(connection, "GET", url, token).status)

    assert statuses == [200, 403, 200]


def test_a_network_policy_follows_the_labels_of_callers(
    cluster: Cluster, plain: App, scraper: App, namespace: str
) -> None:
    mesh_only = {"from": [{"podSelector": {"matchLabels": AMBIENT}}]}
    cluster.network_policy(namespace, {**from_apps(), "ingress": [mesh_only]})
    joined = cluster.call(scraper, UNIT).status

    cluster.label(scraper, {})

    assert (joined, cluster.call(scraper, UNIT).status) == (200, 403)


def test_a_network_policy_follows_the_labels_of_namespaces(
    cluster: Cluster, plain: App, namespace: str
) -> None:
    friends = {"from": [{"namespaceSelector": {"matchLabels": {"friend": "yes"}}}]}
    cluster.network_policy(namespace, {**from_apps(), "ingress": [friends]})
    with cluster.namespace(friend="yes") as elsewhere:
        caller = cluster.app(elsewhere, "caller")
        url = f"http://producer-0.producer-endpoints.{namespace}:9090/"
        cluster.mesh.settle()
        before = cluster.call(caller, url).status
        changed = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}}
        cluster.store.put(changed)
        cluster.mesh.settle()

        assert (before, cluster.call(caller, url).status) == (200, 403)


@pytest.mark.parametrize("url", [URL, UNIT])
def test_both_kinds_of_policies_have_to_allow_a_call(
    cluster: Cluster, producer: App, scraper: App, namespace: str, url: str
) -> None:
    accounts = [{"from": [{"source": {"serviceAccounts": ["scraper", "other"]}}]}]
    cluster.policy(namespace, on_service(rules=accounts), "service")
    cluster.policy(namespace, {"rules": accounts}, "pods")
    cluster.network_policy(namespace, from_apps("scraper", "third"))
    callers = [scraper, *(cluster.app(namespace, name) for name in ("other", "third"))]
    cluster.mesh.settle()

    assert [cluster.call(caller, url).body[:26] for caller in callers[1:]] == [
        "NetworkPolicy: access deni",
        "RBAC: access denied",
    ]
    assert cluster.call(scraper, url).status == 200


def test_the_access_log_names_the_network_policy_that_allowed(
    cluster: Cluster, plain: App, scraper: App, namespace: str
) -> None:
    path = f"/{namespace}"
    other = cluster.app(namespace, "other", labels={})
    cluster.network_policy(namespace, from_apps("scraper"), "allow")
    cluster.call(scraper, f"http://producer:9090{path}")
    cluster.call(other, f"http://producer:9090{path}")
    cluster.call(scraper, f"http://other:9090{path}")

    allowed, denied, free = cluster.logged(path, 3)

    assert (allowed["code"], allowed["network_policy"]) == (200, f"{namespace}/allow[0]")
    assert (denied["code"], denied["network_policy"], denied["policy"]) == (403, None, None)
    assert (denied["source"], denied["principal"]) == (other.pods[0], None)
    assert (free["code"], free["network_policy"]) == (200, "not isolated")


def test_a_call_from_no_pod_is_allowed_where_anyone_is(
    cluster: Cluster, plain: App, namespace: str
) -> None:
    cluster.network_policy(namespace, {**from_apps(), "ingress": [{"ports": [{"port": 9090}]}]})

    def call(port: int) -> int:
        with closing(HTTPConnection(plain.pods[0], port)) as connection:
            return send(connection, "GET", "/").status

    assert (call(9090), call(8080)) == (200, 403)


def test_the_pods_own_label_overrides_the_namespaces(cluster: Cluster) -> None:
    with cluster.namespace(**AMBIENT) as namespace:
        producer = cluster.app(namespace, "producer", labels={})
        out = cluster.app(namespace, "out", labels={"istio.io/dataplane-mode": "none"})
        cluster.policy(namespace, {"rules": [{"from": [{"source": {"principals": ["*"]}}]}]})
        url = f"http://{producer.pods[0]}:9090/"

        assert cluster.call(producer, url).status == 200
        assert cluster.call(out, url).status == 403
