"""What the charm writes to Kubernetes for Istio, and reads from it."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import lightkube
import ops
from lightkube.generic_resource import GenericNamespacedResource
from lightkube.resources.core_v1 import Pod

import config
import mesh
from charms.istio_beacon_k8s.v0.service_mesh import (
    IstioNotInstalledError,
    MeshPolicy,
    MeshType,
    PolicyResourceManager,
    Review,
    authorization_policy_resource,
)

logger = logging.getLogger(__name__)


def enforce(
    charm: ops.CharmBase, options: config.Config, review: Review, apps: Iterable[str]
) -> mesh.Outcome:
    """Make the cluster have the policies that the options and the review ask for, and no others.

    Raises:
        lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
    """
    manager = _manager(charm)
    if options.enforcement == "none":
        manager.delete()
        return mesh.Outcome(review.accepted, review.refused, "enforcement=none")
    nothing = allow_nothing(charm.app.name, apps) if options.hardened else []
    try:
        refused = manager.reconcile(review.accepted, MeshType.istio, nothing)
    except IstioNotInstalledError as error:
        return mesh.Outcome(review.accepted, review.refused, str(error))
    unfit = [MeshPolicy.model_validate_json(refusal.entry) for refusal in refused]
    accepted = [policy for policy in review.accepted if policy not in unfit]
    return mesh.Outcome(accepted, [*review.refused, *refused])


def clean_up(charm: ops.CharmBase) -> None:
    """Delete all that the charm made. Who is not trusted has made nothing.

    Raises:
        lightkube.ApiError: Kubernetes failed.
    """
    try:
        _manager(charm).delete()
    except lightkube.ApiError as error:
        if error.status.code != 403:
            raise
        logger.warning("No policies deleted: %s", error)


def _manager(charm: ops.CharmBase) -> PolicyResourceManager:
    return PolicyResourceManager(charm, lightkube.Client(field_manager=charm.app.name))


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


def members(model: str, labels: Mapping[str, str]) -> frozenset[str]:
    """Return the applications that have a pod with these labels, whoever put them there."""
    client: Any = lightkube.Client()
    pods = client.list(Pod, namespace=model, labels=dict(labels))
    return frozenset(pod.metadata.labels.get("app.kubernetes.io/name", "") for pod in pods)
