"""The way of a call: the caller's identity, forged identities, and the targets of names."""

import http.client
import ssl
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rehearsal.mesh.identity import Authority
from tests.mesh.cluster import AMBIENT, App, Cluster, Headers, proxy, send

URL = "http://producer:9090/metrics"


@pytest.fixture
def producer(cluster: Cluster, namespace: str) -> App:
    return cluster.app(namespace, "producer", units=2)


@pytest.fixture
def scraper(cluster: Cluster, namespace: str, producer: App) -> App:
    """The one application that may call the producer, by its Service and by its pods."""
    scraper = cluster.app(namespace, "scraper")
    rules = [{"from": [{"source": {"principals": [scraper.principal]}}]}]
    on_service = {"targetRefs": [{"kind": "Service", "name": "producer"}]}
    on_pods = {"selector": {"matchLabels": {"app.kubernetes.io/name": "producer"}}}
    cluster.policy(namespace, {**on_service, "rules": rules}, "service")
    cluster.policy(namespace, {**on_pods, "rules": rules}, "pods")
    return scraper


@pytest.fixture
def outsider(cluster: Cluster, namespace: str, scraper: App) -> App:
    """An application on the mesh that may not call the producer."""
    outsider = cluster.app(namespace, "outsider")
    cluster.mesh.settle()
    return outsider


def straight(
    ip: str, headers: Headers = (), source: str | None = None, tls: ssl.SSLContext | None = None
) -> int:
    """Call a listener past the caller's egress proxy and return the status of the answer."""
    options: dict[str, Any] = {"source_address": (source, 0) if source else None}
    if tls:
        connection = http.client.HTTPSConnection(ip, 9090, context=tls, **options)
    else:
        connection = http.client.HTTPConnection(ip, 9090, **options)
    with closing(connection):
        return send(connection, "GET", "/", headers).status


def tls(tmp_path: Path, authority: Authority | None, principal: str = "") -> ssl.SSLContext:
    """Return a client's TLS context, with a certificate if an authority is given."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if authority:
        chain, key = authority.certificate(principal)
        pem = tmp_path / "client.pem"
        pem.write_text(chain + key)
        context.load_cert_chain(pem)
    return context


def addresses(app: App) -> list[str]:
    """Return the address of an application's Service and of its first pod."""
    return [app.ip, app.pods[0]]


def test_a_caller_is_known_by_its_service_account(
    cluster: Cluster, producer: App, scraper: App, outsider: App
) -> None:
    urls = [f"http://{address}:9090/" for address in addresses(producer)]

    assert [cluster.call(scraper, url).status for url in urls] == [200, 200]
    assert [cluster.call(outsider, url).status for url in urls] == [403, 403]


def test_a_namesake_elsewhere_is_somebody_else(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    url = f"http://producer.{producer.namespace}:9090/"
    with cluster.namespace() as elsewhere:
        namesake = cluster.app(elsewhere, "scraper")
        cluster.mesh.settle()

        assert cluster.call(scraper, url).status == 200
        assert cluster.call(namesake, url).status == 403


@pytest.mark.parametrize(
    "forged",
    [
        [("x-forwarded-client-cert", "URI=spiffe://PRINCIPAL")],
        [("x-rehearsal-cluster", "egress/NAMESPACE/scraper-0")],
        [("x-rehearsal-cluster", "egress/NAMESPACE/scraper-0")] * 2,
        [
            ("x-rehearsal-cluster", "egress/NAMESPACE/scraper-0"),
            ("connection", "x-rehearsal-cluster"),
        ],
        [("x-rehearsal-destination", "OPEN:9090")],
        [("x-rehearsal-destination", "OPEN:9090"), ("connection", "x-rehearsal-destination")],
        [("x-envoy-original-dst-host", "OPEN:9090")],
        [("x-rehearsal-target", "pod/NAMESPACE/outsider-0/9090")],
        [("x-rehearsal-target", "pod/NAMESPACE/outsider-0/9090")] * 2,
        [("x-forwarded-for", "SCRAPER"), ("x-real-ip", "SCRAPER")],
        [("forwarded", "for=SCRAPER;by=SCRAPER")],
    ],
)
def test_no_header_makes_another_of_a_caller(
    cluster: Cluster, producer: App, scraper: App, outsider: App, forged: list[tuple[str, str]]
) -> None:
    words = {
        "PRINCIPAL": scraper.principal,
        "NAMESPACE": producer.namespace,
        "OPEN": outsider.pods[0],
        "SCRAPER": scraper.pods[0],
    }
    for word, value in words.items():
        forged = [(name, text.replace(word, value)) for name, text in forged]

    for address in addresses(producer):
        assert cluster.call(outsider, f"http://{address}:9090/", headers=forged).status == 403
        assert straight(address, forged) == 403
        assert cluster.call(scraper, f"http://{address}:9090/", headers=forged).status == 200


def test_a_caller_cannot_choose_where_its_request_ends(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    forged = [
        (name, f"{scraper.pods[0]}:9090")
        for name in ("x-rehearsal-destination", "x-envoy-original-dst-host")
    ]

    honest = cluster.call(scraper, f"http://{producer.pods[0]}:9090/")
    forging = cluster.call(scraper, f"http://{producer.pods[0]}:9090/", headers=forged)

    assert forging.request["at"] == honest.request["at"]


def test_a_source_address_is_no_identity(cluster: Cluster, producer: App, scraper: App) -> None:
    for address in addresses(producer):
        assert straight(address, source=scraper.pods[0]) == 403
        assert cluster.call(scraper, f"http://{address}:9090/").status == 200


def test_tls_without_a_certificate_is_no_identity(
    producer: App, scraper: App, tmp_path: Path
) -> None:
    for address in addresses(producer):
        assert straight(address, tls=tls(tmp_path, None)) == 403


def test_a_certificate_of_another_authority_is_turned_away(
    producer: App, scraper: App, tmp_path: Path
) -> None:
    context = tls(tmp_path, Authority(), scraper.principal)
    for address in addresses(producer):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            straight(address, tls=context)


def test_the_processes_see_nothing_of_the_mesh(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    sent = [("x-forwarded-proto", "https"), ("x-forwarded-for", "192.0.2.1"), ("x-own", "1")]

    answer = cluster.call(scraper, URL, headers=sent)

    own = [("host", "producer:9090"), ("accept-encoding", "identity")]
    assert {(name, value) for name, value in answer.request["headers"]} == {*own, *sent}


def test_a_policy_binds_connections_that_are_open(
    cluster: Cluster, producer: App, scraper: App, namespace: str
) -> None:
    token = [("proxy-authorization", cluster.token(scraper))]
    nothing = {"targetRefs": [{"kind": "Service", "name": "producer"}]}
    with closing(proxy(scraper)) as connection:
        before = send(connection, "GET", URL, token).status
        cluster.policy(namespace, nothing, "service")
        denied = send(connection, "GET", URL, token).status
        cluster.store.delete("AuthorizationPolicy", namespace, "service")
        cluster.mesh.settle()
        after = send(connection, "GET", URL, token).status

    assert (before, denied, after) == (200, 403, 200)


def test_who_leaves_the_mesh_has_no_identity_until_it_rejoins(
    cluster: Cluster, producer: App, scraper: App
) -> None:
    urls = [f"http://{address}:9090/" for address in addresses(producer)]

    cluster.label(scraper, {})
    left = [cluster.call(scraper, url).status for url in urls]
    cluster.label(scraper, AMBIENT)
    rejoined = [cluster.call(scraper, url).status for url in urls]

    assert (left, rejoined) == ([403, 403], [200, 200])


def test_pods_that_leave_the_mesh_are_open(cluster: Cluster, producer: App, outsider: App) -> None:
    url = f"http://{producer.pods[0]}:9090/"
    governed = cluster.call(outsider, url).status

    cluster.label(producer, {})

    assert (governed, cluster.call(outsider, url).status) == (403, 200)


@pytest.mark.parametrize(
    "name",
    [
        "producer:9090",
        "Producer:9090",
        "producer",
        "producer:80",
        "producer.NAMESPACE:9090",
        "producer.NAMESPACE.svc:9090",
        "producer.NAMESPACE.svc.cluster.local:9090",
        "producer.NAMESPACE.svc.cluster.local",
        "producer-endpoints:9090",
        "producer-endpoints.NAMESPACE.svc.cluster.local:9090",
        "producer-0.producer-endpoints:9090",
        "producer-0.producer-endpoints.NAMESPACE:9090",
        "producer-1.producer-endpoints.NAMESPACE.svc.cluster.local:9090",
    ],
)
def test_a_name_leads_to_what_has_it(
    cluster: Cluster, producer: App, scraper: App, outsider: App, name: str
) -> None:
    url = f"http://{name.replace('NAMESPACE', producer.namespace)}/"

    assert cluster.call(scraper, url).status == 200
    assert cluster.call(outsider, url).status == 403


@pytest.mark.parametrize(
    "name",
    [
        "nowhere:9090",
        "nowhere",
        "producer:9999",
        "producer-2.producer-endpoints:9090",
        "producer-0.producer:9090",
        "producer.NAMESPACE.example.com:9090",
        "192.0.2.1:9090",
    ],
)
def test_a_name_that_nobody_has_leads_nowhere(
    cluster: Cluster, producer: App, scraper: App, name: str
) -> None:
    name = name.replace("NAMESPACE", producer.namespace)

    answer = cluster.call(scraper, f"http://{name}/")

    assert answer.status == 502
    assert name in answer.body


def test_a_bare_name_is_known_in_its_own_namespace_alone(cluster: Cluster, producer: App) -> None:
    with cluster.namespace() as elsewhere:
        caller = cluster.app(elsewhere, "caller")
        cluster.mesh.settle()

        assert cluster.call(caller, URL).status == 502
        assert cluster.call(caller, f"http://producer.{producer.namespace}:9090/").status == 200


def test_each_pods_name_leads_to_that_pod(cluster: Cluster, producer: App, scraper: App) -> None:
    for number, ip in enumerate(producer.pods):
        named = cluster.call(scraper, f"http://producer-{number}.producer-endpoints:9090/")
        by_address = cluster.call(scraper, f"http://{ip}:9090/")

        assert named.request["at"] == by_address.request["at"]


def reached(cluster: Cluster, caller: App, url: str) -> set[str]:
    """Return the addresses at which calls arrive, so many that none is missed by chance."""
    return {cluster.call(caller, url).request["at"] for _ in range(40)}


@pytest.mark.parametrize("name", ["producer", "producer-endpoints"])
def test_a_service_spreads_over_its_pods(
    cluster: Cluster, producer: App, scraper: App, name: str
) -> None:
    assert len(reached(cluster, scraper, f"http://{name}:9090/")) == 2


def test_a_service_leads_to_pods_that_are_ready(
    cluster: Cluster, producer: App, scraper: App, namespace: str
) -> None:
    for number in range(2):
        pod = cluster.store.get("Pod", namespace, f"producer-{number}")
        assert pod
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        cluster.store.put(pod)
        cluster.mesh.settle()
        if number == 0:
            assert len(reached(cluster, scraper, URL)) == 1

    assert cluster.call(scraper, URL).status == 503


def test_a_pod_that_is_gone_is_not_called(
    cluster: Cluster, producer: App, scraper: App, namespace: str
) -> None:
    cluster.store.delete("Pod", namespace, "producer-1")
    cluster.mesh.settle()

    assert len(reached(cluster, scraper, URL)) == 1
    assert cluster.call(scraper, f"http://{producer.pods[1]}:9090/").status == 502
    with pytest.raises(ConnectionError):
        straight(producer.pods[1])


@pytest.mark.parametrize("labels", [AMBIENT, {}], ids=["by the waypoint", "past the waypoint"])
def test_pods_come_and_go_and_no_call_is_lost(
    cluster: Cluster, producer: App, namespace: str, labels: dict[str, str]
) -> None:
    caller = cluster.app(namespace, "caller", labels=labels)
    pod = cluster.store.get("Pod", namespace, "producer-1")
    assert pod
    cluster.policy(namespace, {"rules": [{}]})
    statuses, stop = Counter[int](), threading.Event()

    def call() -> None:
        token = [("proxy-authorization", cluster.token(caller))]
        with closing(proxy(caller)) as connection:
            while not stop.is_set():
                statuses[send(connection, "GET", URL, token).status] += 1

    with ThreadPoolExecutor() as pool:
        calling = pool.submit(call)
        for _ in range(10):
            cluster.store.delete("Pod", namespace, "producer-1")
            cluster.mesh.settle()
            cluster.store.put(pod)
            cluster.mesh.settle()
        stop.set()
        calling.result()

    assert set(statuses) == {200}


@pytest.mark.parametrize("whose", ["nobody's", "another pod's", "half"])
def test_a_proxy_is_for_who_has_its_token(
    cluster: Cluster, producer: App, scraper: App, outsider: App, whose: str
) -> None:
    token, anothers = cluster.token(scraper), cluster.token(outsider)
    wrong = {"nobody's": [], "another pod's": [anothers], "half": [token[:-4]]}[whose]

    with closing(proxy(scraper)) as connection:
        refused = send(connection, "GET", URL, [("proxy-authorization", text) for text in wrong])
        taken = send(connection, "GET", URL, [("proxy-authorization", token)])

    assert (refused.status, refused.headers["proxy-authenticate"]) == (407, 'Basic realm="mesh"')
    assert taken.status == 200


@pytest.mark.parametrize("authority", ["producer:9090", "nowhere:443"])
def test_a_tunnel_is_not_served(cluster: Cluster, scraper: App, authority: str) -> None:
    with closing(proxy(scraper)) as connection:
        connection.set_tunnel(authority, headers={"proxy-authorization": cluster.token(scraper)})

        with pytest.raises(OSError, match="501 Not Implemented"):
            connection.connect()


def test_the_access_log_has_caller_target_and_reason(
    cluster: Cluster, producer: App, scraper: App, outsider: App, namespace: str
) -> None:
    path = f"/{namespace}"
    cluster.call(scraper, f"http://producer:9090{path}")
    cluster.call(outsider, f"http://{producer.pods[0]}:9090{path}", "POST")
    cluster.call(outsider, f"http://nowhere:9090{path}")

    allowed, denied, lost = cluster.logged(path, 3)

    assert allowed["listener"] == f"service/{namespace}/producer/9090"
    assert allowed["principal"] == f"spiffe://{scraper.principal}"
    assert allowed["source"] == scraper.pods[0]
    assert allowed["destination"] == f"{producer.ip}:9090"
    assert (allowed["method"], allowed["host"]) == ("GET", "producer:9090")
    assert (allowed["code"], allowed["policy"]) == (200, f"{namespace}/service[0]")
    assert denied["listener"] == f"pod/{namespace}/producer-0/9090"
    assert denied["principal"] == f"spiffe://{outsider.principal}"
    assert (denied["code"], denied["policy"]) == (403, None)
    assert denied["details"] == "rbac_access_denied_matched_policy[none]"
    assert (lost["listener"], lost["code"]) == (f"egress/{namespace}/outsider-0", 502)
