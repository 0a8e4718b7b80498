"""Policies that Envoy refuses: they are named and closed, and all others come into force.

To a waypoint, a namespace is a part of a regular expression, and Envoy refuses a broken one.
"""

import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from rehearsal.kubernetes.store import Store
from rehearsal.mesh.mesh import Mesh
from rehearsal.mesh.proxy import EnvoyError
from tests.mesh.cluster import App, Cluster, running

Spec = dict[str, Any]

BROKEN: list[Spec] = [{"from": [{"source": {"namespaces": ["(", "model"]}}]}]
ANYONE: list[Spec] = [{}]
NOBODY: list[Spec] = []
WORDS = "Envoy refuses it: missing ): .*/ns/(/.*"


@pytest.fixture
def apps(cluster: Cluster, namespace: str) -> dict[str, App]:
    """Six applications on the mesh."""
    apps = {name: cluster.app(namespace, name) for name in "abcdef"}
    cluster.mesh.settle()
    return apps


def on(name: str, rules: list[Spec], action: str = "ALLOW") -> Spec:
    """Return a policy that targets a Service."""
    return {"targetRefs": [{"kind": "Service", "name": name}], "rules": rules, "action": action}


def statuses(cluster: Cluster, apps: dict[str, App]) -> dict[str, int]:
    """Return the answer of each application's Service to a call of `f`."""
    return {name: cluster.call(apps["f"], f"http://{name}:9090/").status for name in apps}


def refused(cluster: Cluster) -> dict[str, str]:
    """Return the reason of each refusal, by the policy."""
    return {refusal.policy: refusal.reason for refusal in cluster.mesh.refused}


def test_it_is_named_with_the_words_of_envoy(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    cluster.policy(namespace, on("a", BROKEN))

    assert refused(cluster) == {f"{namespace}/policy": WORDS}


def test_it_closes_its_target_and_nothing_else(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    cluster.policy(namespace, on("a", ANYONE))
    before = statuses(cluster, apps)

    cluster.policy(namespace, on("a", BROKEN))

    assert before == dict.fromkeys("abcdef", 200)
    assert statuses(cluster, apps) == {**before, "a": 403}


def test_one_that_denies_closes_its_target(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    cluster.policy(namespace, on("a", ANYONE), "allow")
    before = statuses(cluster, apps)

    cluster.policy(namespace, on("a", BROKEN, "DENY"), "deny")

    assert (before["a"], statuses(cluster, apps)["a"]) == (200, 403)


def test_several_are_found_among_the_others(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    rules = {"a": ANYONE, "b": BROKEN, "c": ANYONE, "d": BROKEN, "e": NOBODY}
    for name, each in rules.items():
        cluster.policy(namespace, on(name, each), name)

    assert refused(cluster) == {f"{namespace}/b": WORDS, f"{namespace}/d": WORDS}
    assert statuses(cluster, apps) == {"a": 200, "b": 403, "c": 200, "d": 403, "e": 403, "f": 200}


def test_those_that_come_at_once_are_found(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    rules = {"a": BROKEN, "b": ANYONE, "c": BROKEN, "d": NOBODY}
    for name, each in rules.items():
        metadata = {"namespace": namespace, "name": name}
        cluster.store.put({**kind, "metadata": metadata, "spec": on(name, each)})
    cluster.mesh.settle()

    assert refused(cluster) == {f"{namespace}/a": WORDS, f"{namespace}/c": WORDS}
    assert statuses(cluster, apps) == {"a": 403, "b": 200, "c": 403, "d": 403, "e": 200, "f": 200}


def test_later_changes_come_into_force(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    cluster.policy(namespace, on("a", BROKEN), "broken")

    cluster.policy(namespace, on("b", NOBODY), "later")
    new = cluster.app(namespace, "new")
    cluster.mesh.settle()

    assert statuses(cluster, apps) == {"a": 403, "b": 403, "c": 200, "d": 200, "e": 200, "f": 200}
    assert cluster.call(new, "http://a:9090/").status == 403
    assert cluster.call(new, "http://c:9090/").status == 200


def test_correcting_it_opens_its_target(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    cluster.policy(namespace, on("a", BROKEN))

    cluster.policy(namespace, on("a", ANYONE))

    assert refused(cluster) == {}
    assert statuses(cluster, apps)["a"] == 200


def test_deleting_it_opens_its_target(
    cluster: Cluster, apps: dict[str, App], namespace: str
) -> None:
    cluster.policy(namespace, on("a", BROKEN))

    cluster.store.delete("AuthorizationPolicy", namespace, "policy")
    cluster.mesh.settle()

    assert refused(cluster) == {}
    assert statuses(cluster, apps)["a"] == 200


def test_it_is_closed_though_a_listener_is_refused_too() -> None:
    with running() as cluster, cluster.namespace() as namespace:
        apps = {name: cluster.app(namespace, name) for name in "af"}
        cluster.policy(namespace, on("a", ANYONE))
        service = cluster.store.get("Service", namespace, "f")
        assert service
        service["spec"]["ports"].append({"port": 7070, "targetPort": 8080})
        with socket.create_server((apps["f"].ip, 7070)):
            cluster.store.put(service)
            with pytest.raises(EnvoyError, match=f"cannot bind '{apps['f'].ip}:7070'"):
                cluster.policy(namespace, on("a", BROKEN))

            assert "missing ): .*/ns/(/.*" in refused(cluster)[f"{namespace}/policy"]
            assert statuses(cluster, apps) == {"a": 403, "f": 200}


def test_a_mesh_starts_with_one() -> None:
    store = Store()
    with tempfile.TemporaryDirectory() as directory:
        mesh = Mesh(store, Path(directory))
        cluster = Cluster(store, mesh)
        with cluster.namespace() as namespace:
            apps = {name: cluster.app(namespace, name) for name in "af"}
            metadata = {"namespace": namespace, "name": "policy"}
            kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
            store.put({**kind, "metadata": metadata, "spec": on("a", BROKEN)})
            try:
                mesh.start()
                observed = statuses(cluster, apps)
            finally:
                mesh.stop()
                cluster.close()

    assert refused(cluster) == {f"{namespace}/policy": WORDS}
    assert observed == {"a": 403, "f": 200}
