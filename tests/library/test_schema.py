"""Istio's own definition of an AuthorizationPolicy accepts those that the library writes."""

from typing import Any, cast

import jsonschema
import pytest
import yaml
from lightkube.models.meta_v1 import ObjectMeta
from ops import testing
from small_charms import entry, provider, state
from small_cluster import ISTIO, SmallCluster, connected

from charms.istio_beacon_k8s.v0.service_mesh import (
    MeshPolicy,
    MeshType,
    PolicyResourceManager,
    authorization_policy_resource,
)

AuthorizationPolicy = authorization_policy_resource()
SERVICE = {"group": "", "kind": "Service", "name": "producer"}
ALL_FIELDS = {
    "ports": [1, 65535],
    "methods": ["GET", "POST", "CONNECT"],
    "paths": ["/", "/data/*", "*/x", "/{*}"],
    "hosts": ["producer", "*.example.com"],
}
UNIT = {"target_type": "unit", "endpoints": [{"ports": [9090]}]}


def closed(schema: Any) -> Any:
    """Return a schema in which an object has the listed fields and no others."""
    if isinstance(schema, list):
        return [closed(part) for part in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part) for key, part in cast("dict[str, Any]", schema).items()}
    return parts | {"additionalProperties": False} if "properties" in parts else parts


[VERSION] = yaml.safe_load(ISTIO.read_text())["spec"]["versions"]
SPEC = closed(VERSION["schema"]["openAPIV3Schema"]["properties"]["spec"])
# Of Istio's rules in CEL, only this one concerns the fields that the library writes.
TARGETS = ("selector", "targetRef", "targetRefs")


def faults(spec: dict[str, Any]) -> list[str]:
    """Return the errors that Istio finds in the spec of an AuthorizationPolicy."""
    validator: Any = jsonschema.Draft202012Validator(SPEC)
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(spec)]
    if sum(target in spec for target in TARGETS) > 1:
        found.append("only one of targetRefs or selector can be set")
    return found


def written(cluster: SmallCluster, policies: list[MeshPolicy], *raw: Any) -> list[dict[str, Any]]:
    """Apply policies as a provider does, and return the specs that the cluster then has."""
    charm: testing.Context[Any] = provider()
    with charm(charm.on.update_status(), state()) as running, connected("mesh") as client:
        manager = PolicyResourceManager(running.charm, client)
        assert manager.reconcile(policies, MeshType.istio, raw) == []
    return [policy["spec"] for policy in cluster.policies().values()]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"endpoints": []},
        {"endpoints": [ALL_FIELDS, {"ports": [2]}]},
        {"target_app_name": None, "target_service": "lb"},
        UNIT,
        {**UNIT, "endpoints": []},
        {**UNIT, "target_app_name": None, "target_selector_labels": {"a.b/c": "d", "e": ""}},
    ],
    ids=["app", "anything", "all fields", "service", "unit", "any port", "selector"],
)
def test_istio_accepts_a_policy(changes: dict[str, Any], istio: SmallCluster):
    [spec] = written(istio, [MeshPolicy.model_validate(entry(**changes))])

    assert faults(spec) == []


@pytest.mark.parametrize("spec", [{}, {"targetRefs": [SERVICE]}], ids=["all pods", "a Service"])
def test_istio_accepts_a_policy_without_rules(spec: dict[str, Any], istio: SmallCluster):
    raw = AuthorizationPolicy(metadata=ObjectMeta(name="allow-nothing"), spec=spec)

    assert [faults(each) for each in written(istio, [], raw)] == [[]]


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"action": "PERMIT"}, "$.action"),
        ({"rulez": []}, "rulez"),
        ({"rules": [{"to": [{"operation": {"ports": [8080]}}]}]}, "ports[0]"),
        ({"targetRefs": [{"group": "", "kind": "Service"}]}, "'name' is a required property"),
        ({"targetRefs": [SERVICE], "selector": {}}, "only one of"),
    ],
)
def test_istio_rejects_a_wrong_spec(spec: dict[str, Any], fault: str):
    assert any(fault in found for found in faults(spec))
