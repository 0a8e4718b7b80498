"""The objects of a mesh in Kubernetes: policies, labels on pods and Services, records of labels."""

from collections.abc import Iterator
from typing import Any

import lightkube
from lightkube.generic_resource import (
    create_namespaced_resource,  # pyright: ignore[reportUnknownVariableType] - as lightkube has it
)
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Service
from lightkube.resources.networking_v1 import NetworkPolicy

from demo.cluster import ask, name, objects

_AuthorizationPolicy = create_namespaced_resource(
    "security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies"
)
_CRD = "authorizationpolicies.security.istio.io"
_LABEL = "istio.io/"
"""The prefix of labels by which pods and Services are on the mesh."""
_RECORD = "juju-service-mesh-"
"""The prefix of ConfigMaps in which applications record the labels that they have set."""


def look(namespace: str) -> list[str]:
    """Return a line for each object and label that a mesh has made in a namespace.

    Raises:
        UnknownError: there is no KUBECONFIG, or the API does not answer.
    """
    with ask(namespace) as client:
        return list(_look(client))


def _look(client: lightkube.Client) -> Iterator[str]:
    policies = [_AuthorizationPolicy] if _has_istio(client) else []
    for kind in (*policies, NetworkPolicy):
        for found in objects(client, kind):
            yield f"{found['kind']} {name(found)}"
    for found in objects(client, ConfigMap):
        if name(found).startswith(_RECORD):
            yield f"ConfigMap {name(found)}"
    for found in objects(client, Service):
        yield from _labels(f"Service {name(found)}", found["metadata"])
    for found in objects(client, StatefulSet):
        yield from _labels(f"pods of {name(found)}", found["spec"]["template"]["metadata"])


def _has_istio(client: lightkube.Client) -> bool:
    return _CRD in map(name, objects(client, CustomResourceDefinition))


def _labels(what: str, metadata: dict[str, Any]) -> Iterator[str]:
    labels: dict[str, str] = metadata.get("labels") or {}
    for key, value in labels.items():
        if key.startswith(_LABEL):
            yield f"label {key}={value} on {what}"
