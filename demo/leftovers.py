"""What a mesh has in Kubernetes: policies, labels on pods and Services, the record of them."""

from collections.abc import Iterator
from typing import Any

import lightkube
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import (
    create_namespaced_resource,  # pyright: ignore[reportUnknownVariableType] - as lightkube has it
)
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Service
from lightkube.resources.networking_v1 import NetworkPolicy

_AuthorizationPolicy = create_namespaced_resource(
    "security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies"
)
_CRD = "authorizationpolicies.security.istio.io"
_HTTPError: type[Exception] = ApiError.__mro__[2]
"""What the HTTP client raises that lightkube has, which goes by httpx or by httpx2."""
_LABEL = "istio.io/"
"""How a label begins by which something is on the mesh."""
_RECORD = "juju-service-mesh-"
"""How the name of a ConfigMap begins in which an application keeps which labels it has set."""


class UnknownError(Exception):
    """Kubernetes cannot be asked; the message says why."""


def look(namespace: str) -> list[str]:
    """Return what there is in a namespace because of a mesh, a line each.

    Raises:
        UnknownError: there is no KUBECONFIG, or the API does not answer.
    """
    try:
        with lightkube.Client(namespace=namespace) as client:
            return list(_look(client))
    except (ConfigError, _HTTPError) as error:
        raise UnknownError(str(error)) from error


def _look(client: lightkube.Client) -> Iterator[str]:
    policies = [_AuthorizationPolicy] if _has_istio(client) else []
    for kind in (*policies, NetworkPolicy):
        for found in _objects(client, kind):
            yield f"{found['kind']} {_name(found)}"
    for found in _objects(client, ConfigMap):
        if _name(found).startswith(_RECORD):
            yield f"ConfigMap {_name(found)}"
    for found in _objects(client, Service):
        yield from _labels(f"Service {_name(found)}", found["metadata"])
    for found in _objects(client, StatefulSet):
        yield from _labels(f"pods of {_name(found)}", found["spec"]["template"]["metadata"])


def _has_istio(client: lightkube.Client) -> bool:
    return _CRD in map(_name, _objects(client, CustomResourceDefinition))


def _objects(client: lightkube.Client, kind: Any) -> list[dict[str, Any]]:
    found: Any = client.list(kind)  # pyright: ignore[reportUnknownMemberType] - as lightkube has it
    return [each.to_dict() for each in found]


def _name(found: dict[str, Any]) -> str:
    return str(found["metadata"]["name"])


def _labels(what: str, metadata: dict[str, Any]) -> Iterator[str]:
    labels: dict[str, str] = metadata.get("labels") or {}
    for key, value in labels.items():
        if key.startswith(_LABEL):
            yield f"label {key}={value} on {what}"
