"""kubectl, from PATH: its effects and its output."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kubernetes.contract.waiting import eventually
from tests.kubernetes.kube import Connect, Kind, Kube, StatefulSet, outcome
from tests.kubernetes.objects import binding, policy, role, rule, service_account

Kubectl = Callable[..., str]

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")

MANIFEST = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 0
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: %s, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, ports: [{port: 80}], selector: {app: web}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: web}}}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "manifest.yaml"
    file.write_text(MANIFEST % "one")
    return file


@pytest.fixture
def kubectl(kubeconfig: str, place: str, tmp_path: Path) -> Kubectl:
    """Run kubectl in the namespace, and return its output and errors."""
    (tmp_path / "config").write_text(kubeconfig)
    env = {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def kubectl(*arguments: str, **more: str) -> str:
        command = [str(shutil.which("kubectl")), "--namespace", place, *arguments]
        done = subprocess.run(
            command,
            env=env | more,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=60,
        )
        return done.stdout

    return kubectl


def lines(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]


def test_apply_creates_leaves_and_changes(kubectl: Kubectl, manifest: Path) -> None:
    created = kubectl("apply", "-f", str(manifest))
    again = kubectl("apply", "-f", str(manifest))
    manifest.write_text(MANIFEST % "two")
    changed = kubectl("apply", "-f", str(manifest))

    what = "statefulset.apps/web {}\nservice/web {}\nnetworkpolicy.networking.k8s.io/web {}\n"
    assert created == what.format("created", "created", "created")
    assert again == what.format("unchanged", "unchanged", "unchanged")
    assert changed == what.format("configured", "unchanged", "unchanged")
    assert "two" in kubectl("get", "sts", "web", "-o", "yaml")


def test_apply_names_an_unknown_field(kubectl: Kubectl, manifest: Path) -> None:
    manifest.write_text((MANIFEST % "one").replace("serviceName", "servicename"))

    output = kubectl("apply", "-f", str(manifest))

    assert 'strict decoding error: unknown field "spec.servicename"' in output
    assert "NotFound" in kubectl("get", "sts", "web")


def test_server_side_apply_prints_conflicts(
    kubectl: Kubectl, admin: Kube, group: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy("a", group=group, action="DENY")))
    admin.apply(policy("a", group=group, action="ALLOW"), "producer")
    apply = ("apply", "--server-side", "-f", str(file))

    assert 'conflict with "producer": .spec.action' in kubectl(*apply)
    assert kubectl(*apply, "--force-conflicts").endswith("/a serverside-applied\n")


def test_get_prints_tables(kubectl: Kubectl, manifest: Path) -> None:
    kubectl("apply", "-f", str(manifest))

    services = lines(kubectl("get", "services"))
    assert services[0] == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert services[1][:-1] == ["web", "ClusterIP", "None", "<none>", "80/TCP"]
    assert lines(kubectl("get", "sts", "-o", "wide"))[0] == [
        "NAME",
        "READY",
        "AGE",
        "CONTAINERS",
        "IMAGES",
    ]
    assert lines(kubectl("get", "netpol"))[1][:2] == ["web", "app=web"]
    assert "statefulset.apps/web" in kubectl("get", "all")
    assert "No resources found" in kubectl("get", "sts", "-l", "app=other")
    assert kubectl("get", "sts", "web", "-o", "name") == "statefulset.apps/web\n"
    assert kubectl("get", "sts", "web", "-o", "jsonpath={.spec.replicas}") == "0"


def test_describe_prints_an_object(kubectl: Kubectl, manifest: Path) -> None:
    kubectl("apply", "-f", str(manifest))

    described = kubectl("describe", "sts", "web")

    assert all(text in described for text in ("Image:", "one", "Port:", "80/"))
    assert "Selected pods are isolated for ingress" in kubectl("describe", "netpol", "web")
    assert "ClusterIP" in kubectl("describe", "service", "web")


def test_changes_are_made(kubectl: Kubectl, admin: Kube, manifest: Path) -> None:
    kubectl("apply", "-f", str(manifest))

    assert "labeled" in kubectl("label", "sts", "web", "tier=mesh")
    assert "annotated" in kubectl("annotate", "sts", "web", "note=a")
    assert "patched" in kubectl("patch", "sts", "web", "-p", '{"spec":{"minReadySeconds":3}}')
    assert "edited" in kubectl("edit", "sts", "web", EDITOR="sed -i s/one/three/")
    found = admin.get(StatefulSet, "web")
    assert found["metadata"]["labels"] == {"tier": "mesh"}
    assert found["metadata"]["annotations"]["note"] == "a"
    assert found["spec"]["minReadySeconds"] == 3
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "three"


def test_delete_waits_for_the_deletion(kubectl: Kubectl, manifest: Path) -> None:
    kubectl("apply", "-f", str(manifest))

    assert lines(kubectl("delete", "sts", "web"))[0][:3] == ["statefulset.apps", '"web"', "deleted"]
    assert "NotFound" in kubectl("get", "sts", "web")
    assert "web" in kubectl("get", "service", "web", "-o", "name")


def test_auth_can_i_answers_for_another_user(
    kubectl: Kubectl, admin: Kube, connect: Connect, place: str
) -> None:
    admin.create(service_account("scraper"))
    admin.create(role("Role", "scraper", rule("get", "", "configmaps")))
    subject = {"kind": "ServiceAccount", "namespace": place, "name": "scraper"}
    admin.create(binding("RoleBinding", "scraper", "Role", subject))
    acts = f"--as=system:serviceaccount:{place}:scraper"
    missing = connect("scraper").path(Kind("v1", "ConfigMap"), "missing")
    eventually(lambda: outcome(lambda: connect("scraper").request("GET", missing)) == 404)

    assert kubectl("auth", "can-i", "get", "configmaps", acts) == "yes\n"
    assert kubectl("auth", "can-i", "delete", "configmaps", acts) == "no\n"
    assert kubectl("auth", "can-i", "delete", "configmaps") == "yes\n"
    assert "is forbidden: User" in kubectl("delete", "configmaps", "--all", acts)


def test_api_resources_lists_the_served_kinds(kubectl: Kubectl, group: str) -> None:
    listed = lines(kubectl("api-resources", "--api-group", group))

    assert listed[0] == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    assert listed[1] == ["authorizationpolicies", f"{group}/v1", "true", "AuthorizationPolicy"]
    assert "Server Version: v1." in kubectl("version")
