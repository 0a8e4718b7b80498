"""AuthorizationPolicies, which Istio enforces."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import lightkube
import ops
from lightkube.generic_resource import GenericNamespacedResource
from lightkube.resources.core_v1 import Pod

from charms.istio_beacon_k8s.v0.service_mesh import (
    MeshPolicy,
    MeshType,
    PolicyResourceManager,
    Refusal,
    authorization_policy_resource,
)
from configuration import Config


class IstioNotRunningError(Exception):
    """No part of Istio runs that would enforce AuthorizationPolicies."""


class AuthorizationPolicies:
    """Keeps the AuthorizationPolicies of the charm in the desired state."""

    kind: Literal["authorization-policy"] = "authorization-policy"

    def __init__(self, charm: ops.CharmBase, client: lightkube.Client) -> None:
        self._charm = charm
        self._client = client
        self._manager = PolicyResourceManager(charm, client)

    def reconcile(
        self, policies: Sequence[MeshPolicy], options: Config
    ) -> tuple[Sequence[Refusal], Sequence[str]]:
        """Apply these policies, and delete the other ones of the charm.

        Returns:
            The policies that cannot be applied, and the limits of the enforcement, in words.

        Raises:
            IstioNotInstalledError: the cluster has no AuthorizationPolicies.
            IstioNotRunningError: Istio is not running, and the option `enforcement` is `auto`.
            lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
        """
        limits = _why_idle(self._client, options.labels)
        if limits and options.enforcement == "auto":
            raise IstioNotRunningError(*limits)
        apps = [relation.app.name for relation in self._charm.model.relations["service-mesh"]]
        nothing = _allow_nothing(self._charm.app.name, apps) if options.hardened else []
        if policies or nothing:
            return self._manager.reconcile(policies, MeshType.istio, nothing), limits
        # This also raises IstioNotInstalledError, which the manager's reconcile would ignore.
        self._manager.delete(ignore_missing=False)
        return [], limits

    def delete(self) -> None:
        """Delete all AuthorizationPolicies of the charm, if the cluster has that resource."""
        self._manager.delete()


def _why_idle(client: Any, labels: Mapping[str, str]) -> list[str]:
    """Return the reason why Istio enforces no policy on pods with these labels, if there is one.

    The resource definition alone enforces nothing. In ambient mode, a ztunnel on each node does.
    Otherwise the sidecars do that istiod injects. Istio's own charts label both with `app`.
    """
    program = "ztunnel" if labels.get("istio.io/dataplane-mode") == "ambient" else "istiod"
    running = {"status.phase": "Running"}
    pods = client.list(Pod, namespace="*", labels={"app": program}, fields=running)
    return [] if any(pods) else [f"Istio is not running (no {program} pod)"]


def _allow_nothing(owner: str, apps: Iterable[str]) -> list[GenericNamespacedResource]:
    """Return policies that allow nothing, so that Istio denies the calls that no policy allows.

    The first one selects every pod in the model that is on the mesh. A ztunnel enforces it by
    source and port. A waypoint decides on calls to a Service, and reads only the policies that
    target a Service, so each application needs one of those too.
    https://istio.io/latest/docs/concepts/security/#allow-nothing-deny-all-and-allow-all-policy
    """
    name = f"{owner}-allow-nothing"
    services = [
        _policy(f"{name}-{app}", {"targetRefs": [{"group": "", "kind": "Service", "name": app}]})
        for app in apps
    ]
    return [_policy(name, {}), *services]


def _policy(name: str, spec: dict[str, Any]) -> GenericNamespacedResource:
    resource: Any = authorization_policy_resource()  # lightkube does not type this method in full
    return resource.from_dict({"metadata": {"name": name}, "spec": spec})
