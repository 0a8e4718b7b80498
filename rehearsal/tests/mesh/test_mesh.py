"""The life of a mesh: started, followed, failed, stopped."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.kubernetes.store import Store
from rehearsal.machine.addresses import EGRESS_PORT
from rehearsal.mesh.mesh import Mesh
from rehearsal.mesh.proxy import EnvoyError
from tests.mesh.cluster import Cluster, running


class Spawner:
    """Starts processes and remembers them."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        self.processes.append(subprocess.Popen[bytes](command, **options))
        return self.processes[-1]


@pytest.fixture
def spawner() -> Spawner:
    return Spawner()


@pytest.fixture
def own(spawner: Spawner) -> Iterator[Cluster]:
    """A cluster that a test has for itself."""
    with running(spawn=spawner) as cluster:
        yield cluster


def test_it_serves_what_it_finds_until_it_is_stopped(spawner: Spawner) -> None:
    store = Store()
    with tempfile.TemporaryDirectory() as directory:
        mesh = Mesh(store, Path(directory), spawn=spawner)
        cluster = Cluster(store, mesh)
        with cluster.namespace() as namespace:
            app = cluster.app(namespace, "app")
            mesh.start()
            served = cluster.call(app, "http://app:9090/").status
            mesh.stop()
        cluster.close()

    assert served == 200
    assert [process.poll() for process in spawner.processes] == [0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((app.ip, 9090))


def test_the_policy_resource_is_installed(own: Cluster) -> None:
    crd = own.store.get("CustomResourceDefinition", None, "authorizationpolicies.security.istio.io")

    assert crd
    assert crd["spec"]["names"]["plural"] == "authorizationpolicies"
    assert [version["name"] for version in crd["spec"]["versions"]] == ["v1", "v1beta1"]


def test_settle_says_that_envoy_has_ended(own: Cluster, spawner: Spawner) -> None:
    spawner.processes[0].kill()
    spawner.processes[0].wait()

    with own.namespace() as namespace:
        own.app(namespace, "app")
        with pytest.raises(EnvoyError, match="Envoy has ended"):
            own.mesh.settle()


def test_settle_reports_a_refusal_until_the_next_change(own: Cluster) -> None:
    with own.namespace() as namespace:
        app = own.app(namespace, "app")
        own.mesh.settle()
        service = own.store.get("Service", namespace, "app")
        assert service
        with socket.create_server((app.ip, 7070)):
            service["spec"]["ports"] = [{"port": 9090}, {"port": 7070, "targetPort": 8080}]
            own.store.put(service)
            with pytest.raises(EnvoyError, match=f"cannot bind '{app.ip}:7070'"):
                own.mesh.settle()
            still_served = own.call(app, "http://app:9090/").status
        service["spec"]["ports"] = [{"port": 9090}, {"port": 7070, "targetPort": 9090}]
        own.store.put(service)
        own.mesh.settle()

        assert still_served == 200
        assert own.call(app, "http://app:7070/").status == 200


def test_settle_says_at_once_that_a_new_namespace_is_refused(own: Cluster) -> None:
    with own.namespace() as namespace:
        app = own.app(namespace, "app")
        reason = f"cannot bind '{app.pods[0]}:{EGRESS_PORT}'"
        with (
            socket.create_server((app.pods[0], EGRESS_PORT)),
            pytest.raises(EnvoyError, match=reason),
        ):
            own.mesh.settle()
        own.app(namespace, "other")
        own.mesh.settle()

        assert own.call(app, "http://app:9090/").status == 200


def test_a_pod_without_an_address_has_no_proxy(own: Cluster) -> None:
    with pytest.raises(LookupError, match="pod demo/producer-0 has no address"):
        own.mesh.environment("demo", "producer-0")


def test_the_environment_names_the_proxy_in_both_cases(own: Cluster) -> None:
    with own.namespace() as namespace:
        app = own.app(namespace, "app")

        environment = own.mesh.environment(namespace, "app-0")

    assert set(environment) == {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"}
    assert set(environment.values()) == {environment["HTTP_PROXY"]}
    assert environment["HTTP_PROXY"].startswith("http://unit:")
    assert environment["HTTP_PROXY"].endswith(f"@{app.pods[0]}:15001")
