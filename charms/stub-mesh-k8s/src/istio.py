"""AuthorizationPolicies: who may call whom, for Istio to enforce."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lightkube
import ops
from lightkube.generic_resource import GenericNamespacedResource
from lightkube.resources.core_v1 import Pod

import config
import mesh
from charms.istio_beacon_k8s.v0.service_mesh import (
    MeshPolicy,
    MeshType,
    PolicyResourceManager,
    Refusal,
    authorization_policy_resource,
)


class IstioNotRunningError(Exception):
    """Nothing in the cluster would enforce AuthorizationPolicies."""


class AuthorizationPolicies:
    """Keeps the charm's AuthorizationPolicies as they should be."""

    name: mesh.Enforcement = "authorization-policy"

    def __init__(self, charm: ops.CharmBase, client: lightkube.Client) -> None:
        self._charm = charm
        self._client = client
        self._manager = PolicyResourceManager(charm, client)
        self.unenforced = ""

    def reconcile(
        self, policies: Sequence[MeshPolicy], options: config.Config
    ) -> Sequence[Refusal]:
        """Write these policies, delete all others, and return those that Istio would not have.

        Raises:
            IstioNotInstalledError: the cluster has no AuthorizationPolicies.
            IstioNotRunningError: no Istio runs, and the options leave the choice to the charm.
            lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
        """
        self.unenforced = idle(self._client, options.labels)
        if self.unenforced and options.enforcement == "auto":
            raise IstioNotRunningError(self.unenforced)
        apps = [relation.app.name for relation in self._charm.model.relations["service-mesh"]]
        nothing = allow_nothing(self._charm.app.name, apps) if options.hardened else []
        if not (policies or nothing):
            # It is as important as ever to know whether the cluster has AuthorizationPolicies.
            self._manager.delete(ignore_missing=False)
            return []
        return self._manager.reconcile(policies, MeshType.istio, nothing)

    def delete(self) -> None:
        """Delete all of them, if the cluster knows what they are."""
        self._manager.delete()


def idle(client: Any, labels: Mapping[str, str]) -> str:
    """Return why no AuthorizationPolicy is enforced on pods with these labels, if so.

    The definition of the resource enforces nothing. In ambient mode a ztunnel on each node does;
    otherwise the sidecars that istiod injects do. Both carry the label `app` in Istio's own charts.
    """
    program = "ztunnel" if labels.get("istio.io/dataplane-mode") == "ambient" else "istiod"
    running = {"status.phase": "Running"}
    pods = client.list(Pod, namespace="*", labels={"app": program}, fields=running)
    return "" if any(True for _ in pods) else f"Istio is not running (no {program} pod)"


def allow_nothing(owner: str, apps: Iterable[str]) -> list[GenericNamespacedResource]:
    """Return policies that allow nothing, so that what no other policy allows is denied.

    The first is for every pod on the mesh in the model, whose ztunnel decides by source and port.
    A waypoint, which decides on calls to a Service, takes only policies that target one, hence one
    for each application.
    https://istio.io/latest/docs/concepts/security/#allow-nothing-deny-all-and-allow-all-policy
    """
    name = f"{owner}-allow-nothing"
    services = [
        _policy(f"{name}-{app}", {"targetRefs": [{"group": "", "kind": "Service", "name": app}]})
        for app in apps
    ]
    return [_policy(name, {}), *services]


def _policy(name: str, spec: dict[str, Any]) -> GenericNamespacedResource:
    resource: Any = authorization_policy_resource()  # what lightkube does not type in full is Any
    return resource.from_dict({"metadata": {"name": name}, "spec": spec})
