"""What AuthorizationPolicies allow and deny, by what Envoy answers."""

from typing import Any

import pytest

from rehearsal.mesh.authorization import Refusal
from tests.rehearsal.mesh.cluster import AMBIENT, App, Cluster

Spec = dict[str, Any]

URL = "http://producer:9090/metrics"


@pytest.fixture
def producer(cluster: Cluster, namespace: str) -> App:
    return cluster.app(namespace, "producer")


@pytest.fixture
def scraper(cluster: Cluster, namespace: str) -> App:
    return cluster.app(namespace, "scraper")


def on_service(*rules: Spec, action: str = "ALLOW") -> Spec:
    target = {"group": "", "kind": "Service", "name": "producer"}
    return {"action": action, "targetRefs": [target], "rules": list(rules)}


def on_pods(*rules: Spec, action: str = "ALLOW") -> Spec:
    selector = {"matchLabels": {"app.kubernetes.io/name": "producer"}}
    return {"action": action, "selector": selector, "rules": list(rules)}


def source(**fields: str) -> Spec:
    return {"from": [{"source": {name: values.split() for name, values in fields.items()}}]}


def operation(**fields: str) -> Spec:
    return {"to": [{"operation": {name: values.split() for name, values in fields.items()}}]}


@pytest.mark.parametrize(
    ("rule", "request_line", "status"),
    [
        ({}, "GET http://producer:9090/", 200),
        (operation(methods="GET"), "GET http://producer:9090/", 200),
        (operation(methods="GET"), "POST http://producer:9090/", 403),
        (operation(methods="P*"), "POST http://producer:9090/", 200),
        (operation(methods="P*"), "GET http://producer:9090/", 403),
        (operation(methods="GET POST"), "POST http://producer:9090/", 200),
        (operation(notMethods="POST"), "GET http://producer:9090/", 200),
        (operation(notMethods="POST"), "POST http://producer:9090/", 403),
        (operation(ports="9090"), "GET http://producer:9090/", 200),
        (operation(ports="9090"), "GET http://producer:8080/", 403),
        (operation(ports="80"), "GET http://producer/", 200),
        (operation(ports="8080"), "GET http://producer/", 403),
        (operation(notPorts="8080"), "GET http://producer:9090/", 200),
        (operation(notPorts="8080"), "GET http://producer:8080/", 403),
        (operation(paths="/metrics"), "GET http://producer:9090/metrics", 200),
        (operation(paths="/metrics"), "GET http://producer:9090/metrics?x=1", 200),
        (operation(paths="/metrics"), "GET http://producer:9090/metrics/", 403),
        (operation(paths="/api/*"), "GET http://producer:9090/api/x/y", 200),
        (operation(paths="/api/*"), "GET http://producer:9090/api", 403),
        (operation(paths="*.html"), "GET http://producer:9090/a/b.html", 200),
        (operation(paths="*.html"), "GET http://producer:9090/a/b.htm?.html", 403),
        (operation(paths="*"), "GET http://producer:9090/any", 200),
        (operation(notPaths="*"), "GET http://producer:9090/any", 403),
        (operation(paths="/a/{*}/c"), "GET http://producer:9090/a/b/c", 200),
        (operation(paths="/a/{*}/c"), "GET http://producer:9090/a/b/b/c", 403),
        (operation(paths="/a/{*}/c"), "GET http://producer:9090/a//c", 403),
        (operation(paths="/a/{**}"), "GET http://producer:9090/a/b/c?d", 200),
        (operation(paths="/a/{**}"), "GET http://producer:9090/b/a/", 403),
        (operation(paths="/a/{**}/z"), "GET http://producer:9090/a/b/c/z", 200),
        (operation(paths="/a/{**}/z"), "GET http://producer:9090/a/b/c/zz", 403),
        (operation(notPaths="/admin*"), "GET http://producer:9090/metrics", 200),
        (operation(notPaths="/admin*"), "GET http://producer:9090/admin/x", 403),
        (operation(hosts="producer:9090"), "GET http://producer:9090/", 200),
        (operation(hosts="producer"), "GET http://producer:9090/", 403),
        (operation(hosts="PRODUCER:*"), "GET http://Producer:9090/", 200),
        (operation(hosts="*:9090"), "GET http://producer:8080/", 403),
        (operation(notHosts="producer:8080"), "GET http://producer:9090/", 200),
        (operation(notHosts="producer:8080"), "GET http://producer:8080/", 403),
        (operation(methods="GET", paths="/a"), "GET http://producer:9090/a", 200),
        (operation(methods="GET", paths="/a"), "POST http://producer:9090/a", 403),
        (operation(methods="GET", paths="/a"), "GET http://producer:9090/b", 403),
        (operation(methods="GET", paths=""), "GET http://producer:9090/b", 200),
    ],
)
def test_what_may_be_called(
    cluster: Cluster, producer: App, scraper: App, rule: Spec, request_line: str, status: int
) -> None:
    method, url = request_line.split()
    cluster.policy(producer.namespace, on_service(rule))

    assert cluster.call(scraper, url, method).status == status


@pytest.mark.parametrize(
    ("fields", "scraper_gets", "other_gets", "stranger_gets"),
    [
        ({"principals": "cluster.local/ns/NAMESPACE/sa/scraper"}, 200, 403, 403),
        ({"principals": "cluster.local/ns/NAMESPACE/sa/scrape"}, 403, 403, 403),
        ({"principals": "cluster.local/ns/NAMESPACE/*"}, 200, 200, 403),
        ({"principals": "*/sa/scraper"}, 200, 403, 403),
        ({"principals": "*/sa/scraper */sa/other"}, 200, 200, 403),
        ({"principals": "*"}, 200, 200, 403),
        ({"notPrincipals": "*/sa/scraper"}, 403, 200, 200),
        ({"notPrincipals": "*"}, 403, 403, 200),
        ({"namespaces": "NAMESPACE"}, 200, 200, 403),
        ({"namespaces": "NAMESPAC"}, 403, 403, 403),
        ({"namespaces": "model-*"}, 200, 200, 403),
        ({"namespaces": "*NAMESPACE"}, 200, 200, 403),
        ({"namespaces": "*"}, 200, 200, 403),
        ({"notNamespaces": "NAMESPACE"}, 403, 403, 200),
        ({"namespaces": "NAMESPACE", "notPrincipals": "*/sa/other"}, 200, 403, 403),
    ],
)
@pytest.mark.parametrize("target", [on_service, on_pods])
def test_who_may_call(
    cluster: Cluster,
    producer: App,
    scraper: App,
    target: Any,
    fields: dict[str, str],
    scraper_gets: int,
    other_gets: int,
    stranger_gets: int,
) -> None:
    other = cluster.app(producer.namespace, "other")
    stranger = cluster.app(producer.namespace, "stranger", labels={})
    named = {key: value.replace("NAMESPACE", producer.namespace) for key, value in fields.items()}
    cluster.policy(producer.namespace, target(source(**named)))
    url = URL if target is on_service else f"http://{producer.pods[0]}:9090/"

    assert cluster.call(scraper, url).status == scraper_gets
    assert cluster.call(other, url).status == other_gets
    assert cluster.call(stranger, url).status == stranger_gets


def test_without_a_policy_all_is_open(cluster: Cluster, producer: App) -> None:
    stranger = cluster.app(producer.namespace, "stranger", labels={})
    cluster.mesh.settle()

    assert cluster.call(stranger, URL).status == 200
    assert cluster.call(stranger, f"http://{producer.pods[0]}:9090/").status == 200


def test_a_policy_that_allows_nothing_denies(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service())

    answer = cluster.call(scraper, URL)

    assert (answer.status, answer.body) == (403, "RBAC: access denied")


def test_deny_comes_before_allow(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service({}), "allow")
    cluster.policy(producer.namespace, on_service(operation(paths="/a"), action="DENY"), "deny")

    assert cluster.call(scraper, "http://producer:9090/a").status == 403
    assert cluster.call(scraper, "http://producer:9090/b").status == 200


def test_deny_alone_leaves_the_rest_open(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service(operation(paths="/a"), action="DENY"))

    assert cluster.call(scraper, "http://producer:9090/a").status == 403
    assert cluster.call(scraper, "http://producer:9090/b").status == 200


def test_audit_decides_nothing(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service({}, action="AUDIT"))

    assert cluster.call(scraper, URL).status == 200


def test_policies_add_up(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service(operation(paths="/a")), "one")
    cluster.policy(
        producer.namespace, on_service(operation(paths="/b"), operation(paths="/c")), "two"
    )

    statuses = [cluster.call(scraper, f"http://producer:9090/{path}").status for path in "abcd"]

    assert statuses == [200, 200, 200, 403]


def test_alternatives_of_a_rule_are_not_mixed(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    get, post = operation(methods="GET", paths="/a"), operation(methods="POST", paths="/b")
    cluster.policy(producer.namespace, on_service({"to": get["to"] + post["to"]}))

    assert cluster.call(scraper, "http://producer:9090/a", "GET").status == 200
    assert cluster.call(scraper, "http://producer:9090/b", "POST").status == 200
    assert cluster.call(scraper, "http://producer:9090/b", "GET").status == 403


def test_a_policy_is_for_its_service_alone(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service())

    assert cluster.call(scraper, URL).status == 403
    assert cluster.call(scraper, "http://scraper:9090/").status == 200
    assert cluster.call(scraper, f"http://{producer.pods[0]}:9090/").status == 200


def test_a_policy_is_for_its_namespace_alone(cluster: Cluster, producer: App) -> None:
    with cluster.namespace() as elsewhere:
        twin = cluster.app(elsewhere, "producer")
        cluster.policy(elsewhere, {"rules": []}, "pods")
        cluster.policy(elsewhere, on_service(), "service")

        assert cluster.call(producer, URL).status == 200
        assert cluster.call(producer, f"http://{producer.pods[0]}:9090/").status == 200
        assert cluster.call(twin, URL).status == 403
        assert cluster.call(twin, f"http://{twin.pods[0]}:9090/").status == 403


def test_without_a_selector_a_policy_is_for_all_pods_and_no_service(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    cluster.policy(producer.namespace, {})

    assert cluster.call(scraper, f"http://{producer.pods[0]}:9090/").status == 403
    assert cluster.call(producer, f"http://{scraper.pods[0]}:9090/").status == 403
    assert cluster.call(scraper, URL).status == 200


def test_a_selector_is_for_the_pods_that_carry_its_labels(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    cluster.policy(producer.namespace, on_pods(operation(ports="9090")))

    assert cluster.call(scraper, f"http://{producer.pods[0]}:9090/").status == 200
    assert cluster.call(scraper, f"http://{producer.pods[0]}:8080/").status == 403
    assert cluster.call(producer, f"http://{scraper.pods[0]}:8080/").status == 200


@pytest.mark.parametrize(("methods", "status"), [("GET", 403), ("", 200)])
def test_http_in_a_rule_for_pods_never_allows(
    cluster: Cluster, producer: App, scraper: App, methods: str, status: int
) -> None:
    cluster.policy(producer.namespace, on_pods(operation(ports="9090", methods=methods)))

    assert cluster.call(scraper, f"http://{producer.pods[0]}:9090/").status == status


def test_http_in_a_rule_for_pods_denies_what_else_matches(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    rule = operation(ports="9090", methods="DELETE")
    cluster.policy(producer.namespace, on_pods(rule, action="DENY"))

    assert cluster.call(scraper, f"http://{producer.pods[0]}:9090/").status == 403
    assert cluster.call(scraper, f"http://{producer.pods[0]}:8080/").status == 200


def test_policies_do_not_govern_a_pod_off_the_mesh(cluster: Cluster, scraper: App) -> None:
    producer = cluster.app(scraper.namespace, "producer", labels={})
    cluster.policy(producer.namespace, on_pods(), "pods")
    cluster.policy(producer.namespace, on_service(), "service")

    assert cluster.call(scraper, URL).status == 200
    assert cluster.call(scraper, f"http://{producer.pods[0]}:9090/").status == 200


def test_a_service_off_the_mesh_leads_to_its_pods_policies(
    cluster: Cluster, namespace: str, scraper: App
) -> None:
    producer = cluster.app(namespace, "producer", service_labels={})
    cluster.policy(namespace, on_service(), "service")
    cluster.policy(namespace, on_pods(source(principals="*/sa/scraper")), "pods")

    assert cluster.call(scraper, URL).status == 200
    assert cluster.call(producer, URL).status == 403


REFUSED: list[tuple[Spec, str]] = [
    ({"rules": [{"when": [{"key": "source.ip", "values": ["127.0.0.1"]}]}]}, "rules.0.when"),
    ({"rules": [source(ipBlocks="127.0.0.1")]}, "rules.0.from.0.source.ipBlocks"),
    ({"rules": [source(requestPrincipals="*")]}, "requestPrincipals"),
    ({"rules": [{"from": []}]}, "rules.0.from"),
    ({"rules": [source(principals="")]}, "at least one condition is needed"),
    ({"rules": [{"to": [{"operation": {"paths": [""]}}]}]}, "rules.0.to.0.operation.paths.0"),
    ({"rules": [operation(ports="http")]}, "'http' is not a port"),
    ({"rules": [operation(ports="65536")]}, "'65536' is not a port"),
    ({"rules": [operation(paths="/a/{x}")]}, "'/a/{x}' is not a path template"),
    ({"rules": [operation(paths="/{**}/{*}")]}, "'/{**}/{*}' is not a path template"),
    ({"rules": [operation(paths="/{*}*")]}, "'/{*}*' is not a path template"),
    ({"rules": [operation(paths="/{*}" + "a" * 256)]}, "is not a path template"),
    ({"rules": "all"}, "rules"),
    ({"action": "CUSTOM", "provider": {"name": "x"}, "rules": [{}]}, "action"),
    ({"action": "DENY", "rules": [{"when": []}]}, "rules.0.when"),
    ({"selector": {"matchLabels": {"a": "b"}}}, "selector and targetRefs exclude each other"),
    ({"targetRefs": [{"kind": "Gateway", "name": "producer"}]}, "targetRefs.0.kind"),
]


@pytest.mark.parametrize(("written", "reason"), REFUSED)
def test_a_policy_that_is_refused_is_closed(
    cluster: Cluster, producer: App, scraper: App, written: Spec, reason: str
) -> None:
    cluster.policy(producer.namespace, {**on_service({}), **written})

    assert cluster.call(scraper, URL).status == 403
    [refusal] = cluster.mesh.refused
    assert refusal.policy == f"{producer.namespace}/policy"
    assert reason in refusal.reason


def test_a_refused_policy_costs_no_other(cluster: Cluster, producer: App, scraper: App) -> None:
    cluster.policy(producer.namespace, on_service({"when": []}), "refused")
    cluster.policy(producer.namespace, on_service(operation(paths="/metrics")), "good")

    assert cluster.call(scraper, URL).status == 200
    assert cluster.call(scraper, "http://producer:9090/other").status == 403


def test_a_refused_deny_is_for_its_target_alone(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    refused = on_service({"when": []}, action="DENY")
    cluster.policy(producer.namespace, refused)

    assert cluster.call(scraper, URL).status == 403
    assert cluster.call(producer, "http://scraper:9090/").status == 200


def test_what_is_corrected_is_refused_no_more(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    cluster.policy(producer.namespace, on_service({"when": []}))
    refused: list[Refusal] = cluster.mesh.refused

    cluster.policy(producer.namespace, on_service({}))

    assert refused
    assert not cluster.mesh.refused
    assert cluster.call(scraper, URL).status == 200


def test_a_deleted_policy_is_no_more_in_force(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    cluster.policy(producer.namespace, on_service())
    denied = cluster.call(scraper, URL).status

    cluster.store.delete("AuthorizationPolicy", producer.namespace, "policy")
    cluster.mesh.settle()

    assert (denied, cluster.call(scraper, URL).status) == (403, 200)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/metrics", 403),
        ("/x/../metrics", 403),
        ("/./metrics", 403),
        ("/%6detrics", 403),
        ("/metrics?x", 403),
        ("//metrics", 200),
        ("/METRICS", 200),
        ("/x%2f..%2fmetrics", 200),
    ],
)
def test_paths_are_normalized_as_is_istios_default(
    cluster: Cluster, producer: App, scraper: App, path: str, status: int
) -> None:
    cluster.policy(producer.namespace, on_service(operation(paths="/metrics"), action="DENY"))

    assert cluster.call(scraper, f"http://producer:9090{path}").status == status


def test_the_namespaces_label_counts_unless_the_pods_own_says_otherwise(cluster: Cluster) -> None:
    with cluster.namespace(**AMBIENT) as namespace:
        producer = cluster.app(namespace, "producer", labels={})
        out = cluster.app(namespace, "out", labels={"istio.io/dataplane-mode": "none"})
        cluster.policy(namespace, on_pods(source(principals="*")))
        url = f"http://{producer.pods[0]}:9090/"

        assert cluster.call(producer, url).status == 200
        assert cluster.call(out, url).status == 403
