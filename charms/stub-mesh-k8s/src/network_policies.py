"""NetworkPolicies, which the network plugin (CNI) of a cluster enforces without Istio.

A NetworkPolicy knows pods and ports. A policy for a Service therefore opens the pods of the
application, on the ports of the policy. Pods that no NetworkPolicy selects are open. The others
are closed to every source that no NetworkPolicy names, except to the kubelet of their own node.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import lightkube
import ops
from lightkube.resources.networking_v1 import NetworkPolicy

from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy, Refusal
from configuration import Config

_LONGEST_NAME = 253
"""Characters that Kubernetes allows in the name of an object."""
_LIMITS = ("methods and paths are not enforced: NetworkPolicies know pods and ports alone",)
_NO_PODS = "a NetworkPolicy selects pods, and this policy names only a Service"

_resource: Any = NetworkPolicy  # lightkube does not type its methods in full
_Spec = dict[str, Any]


class NetworkPolicies:
    """Keeps the NetworkPolicies of the charm in the desired state; it finds them by labels."""

    kind: Literal["network-policy"] = "network-policy"

    def __init__(self, charm: ops.CharmBase, client: lightkube.Client) -> None:
        self._app, self._model = charm.app.name, charm.model.name
        self._labels = {"mesh-policies-app": self._app, "mesh-policies-model": self._model}
        self._client: Any = client

    def reconcile(
        self, policies: Sequence[MeshPolicy], options: Config
    ) -> tuple[Sequence[Refusal], Sequence[str]]:
        """Apply these policies, and delete the other ones of the charm.

        Returns:
            The policies that cannot be applied, and the limits of the enforcement, in words.

        Raises:
            lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
        """
        wanted: dict[str, _Spec] = {}
        refused: list[Refusal] = []
        for policy in policies:
            if policy.target_app_name or policy.target_selector_labels:
                spec = _allow(policy, options.labels)
                wanted[_name(self._app, policy, spec)] = spec
            else:
                entry, service = policy.model_dump_json(), policy.target_service or ""
                refused.append(Refusal(service, entry, _NO_PODS, policy))
        if options.hardened:
            # Applied last, so that an update never denies a call that a policy above allows.
            wanted[f"{self._app}-allow-nothing"] = _allow_nothing(options.labels)
        existing = self._existing()
        self._apply({name: spec for name, spec in wanted.items() if existing.get(name) != spec})
        self._delete(existing.keys() - wanted.keys())
        return refused, _LIMITS

    def delete(self) -> None:
        """Delete all NetworkPolicies of the charm."""
        self._delete(self._existing().keys())

    def _existing(self) -> dict[str, _Spec]:
        found = self._client.list(NetworkPolicy, namespace=self._model, labels=self._labels)
        return {each.metadata.name: each.to_dict().get("spec", {}) for each in found}

    def _apply(self, specs: Mapping[str, _Spec]) -> None:
        for name, spec in specs.items():
            metadata = {"namespace": self._model, "name": name, "labels": self._labels}
            policy = _resource.from_dict({"metadata": metadata, "spec": spec})
            self._client.apply(policy, force=True)

    def _delete(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            try:
                self._client.delete(NetworkPolicy, name, namespace=self._model)
            except lightkube.ApiError as error:
                if error.status.reason != "NotFound":
                    raise


def _allow_nothing(labels: Mapping[str, str]) -> _Spec:
    """Return a spec that closes every pod on the mesh. The pods can still call others."""
    return {"podSelector": {"matchLabels": dict(labels)}, "policyTypes": ["Ingress"]}


def _allow(policy: MeshPolicy, labels: Mapping[str, str]) -> _Spec:
    """Return a spec that opens the target to the source, if the pods of both are on the mesh."""
    target = policy.target_selector_labels or _app_label(policy.target_app_name)
    namespace = {"kubernetes.io/metadata.name": policy.source_namespace}
    source = {
        "namespaceSelector": {"matchLabels": namespace},
        "podSelector": {"matchLabels": {**_app_label(policy.source_app_name), **labels}},
    }
    rule: dict[str, Any] = {"from": [source]}
    if ports := _ports(policy):
        rule["ports"] = [{"port": port, "protocol": "TCP"} for port in ports]
    return {**_allow_nothing({**target, **labels}), "ingress": [rule]}


def _app_label(app: str | None) -> dict[str, str]:
    """Return the label that Juju puts on every pod of an application."""
    return {"app.kubernetes.io/name": app or ""}


def _ports(policy: MeshPolicy) -> list[int]:
    """Return the ports of all endpoints; none if one of the endpoints allows any port."""
    if not all(endpoint.ports for endpoint in policy.endpoints):
        return []
    return sorted({port for endpoint in policy.endpoints for port in endpoint.ports or ()})


def _name(owner: str, policy: MeshPolicy, spec: _Spec) -> str:
    """Return a legal name that only an equal policy has, with source and target in it."""
    target = policy.target_app_name or "selected-pods"
    source = policy.source_app_name, policy.source_namespace
    readable = re.sub(r"[^a-z0-9-]", "-", "-".join((owner, *source, target)).lower())
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
    return f"{readable[: _LONGEST_NAME - 9]}-{digest}"
