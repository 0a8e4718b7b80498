"""NetworkPolicies: who may call whom, for the CNI to enforce where there is no Istio.

They are about pods: a policy for a Service opens the pods of its application, on its ports. What
they do not select is open, and what they select is closed to all but those whom one of them lets
in. A node, and so kubelet with its probes, always gets through to its own pods.
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lightkube
import ops
from lightkube.resources.networking_v1 import NetworkPolicy

import config
import mesh
from charms.istio_beacon_k8s.v0.service_mesh import MeshPolicy, Refusal

_resource: Any = NetworkPolicy  # what lightkube does not type in full is Any
_Spec = dict[str, Any]
_Key = tuple[str, str]  # namespace and name

# Kubernetes' limit for a name, and what a hash and its dash take of it.
_NAME_LENGTH = 253 - 9

# Answers that are about one policy and say nothing of the others: it is malformed, its namespace is
# not there, or it is invalid.
_ABOUT_ONE_POLICY = (400, 404, 422)


class NetworkPolicies:
    """Keeps the charm's NetworkPolicies as they should be; it finds them by labels."""

    name: mesh.Enforcement = "network-policy"
    unenforced = "methods and paths are not enforced: NetworkPolicies know pods and ports alone"

    def __init__(self, charm: ops.CharmBase, client: lightkube.Client) -> None:
        self._app, self._model = charm.app.name, charm.model.name
        self._labels = {"mesh-policies-app": self._app, "mesh-policies-model": self._model}
        self._client: Any = client

    def reconcile(
        self, policies: Sequence[MeshPolicy], options: config.Config
    ) -> Sequence[Refusal]:
        """Write these policies, delete all others, and return those that cannot be written.

        Raises:
            lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
        """
        existing = self._existing()
        results = [self._allow(policy, options.labels, existing) for policy in policies]
        kept = {result for result in results if not isinstance(result, Refusal)}
        if options.hardened:  # last, so that nobody is denied who is allowed above
            key = self._model, f"{self._app}-allow-nothing"
            kept.add(self._apply(key, _closed(options.labels), existing))
        self._delete(existing.keys() - kept)
        return [result for result in results if isinstance(result, Refusal)]

    def delete(self) -> None:
        """Delete all of them."""
        self._delete(self._existing())

    def _existing(self) -> dict[_Key, _Spec]:
        found = self._client.list(NetworkPolicy, namespace="*", labels=self._labels)
        return {(each.metadata.namespace, each.metadata.name): _spec_of(each) for each in found}

    def _allow(
        self, policy: MeshPolicy, labels: Mapping[str, str], existing: dict[_Key, _Spec]
    ) -> _Key | Refusal:
        """Apply one policy, and keep what is wrong with it from stopping the others."""
        if not (policy.target_app_name or policy.target_selector_labels):
            return _refuse(policy, "a NetworkPolicy is about pods, and this names only a Service")
        spec = _open(policy, labels)
        try:
            return self._apply(self._key(policy, spec), spec, existing)
        except lightkube.ApiError as error:
            if error.status.code not in _ABOUT_ONE_POLICY:
                raise
            return _refuse(policy, str(error))

    def _apply(self, key: _Key, spec: _Spec, existing: dict[_Key, _Spec]) -> _Key:
        if existing.get(key) != spec:
            namespace, name = key
            metadata = {"namespace": namespace, "name": name, "labels": self._labels}
            self._client.apply(
                _resource.from_dict({"metadata": metadata, "spec": spec}), force=True
            )
        return key

    def _delete(self, keys: Iterable[_Key]) -> None:
        for namespace, name in sorted(keys):
            try:
                self._client.delete(NetworkPolicy, name, namespace=namespace)
            except lightkube.ApiError as error:
                if error.status.reason != "NotFound":
                    raise

    def _key(self, policy: MeshPolicy, spec: _Spec) -> _Key:
        """Return a legal name that is the same for the same policy, and for no other."""
        target = policy.target_app_name or "custom-selector"
        source = policy.source_app_name, policy.source_namespace
        readable = "-".join((self._app, self._model, "policy", *source, target)).lower()
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{re.sub(r'[^a-z0-9-]', '-', readable)[:_NAME_LENGTH]}-{digest}"
        return policy.target_namespace, name


def _spec_of(policy: Any) -> _Spec:
    return policy.to_dict().get("spec", {})


def _refuse(policy: MeshPolicy, reason: str) -> Refusal:
    target = policy.target_app_name or policy.target_service or "selected pods"
    return Refusal(target, policy.model_dump_json(), reason, policy)


def _closed(labels: Mapping[str, str]) -> _Spec:
    """Return what closes every pod on the mesh in the model; the pods' own calls stay free."""
    return {"podSelector": {"matchLabels": dict(labels)}, "policyTypes": ["Ingress"]}


def _open(policy: MeshPolicy, labels: Mapping[str, str]) -> _Spec:
    """Return what lets the source in, from pods on the mesh to pods on the mesh."""
    target = policy.target_selector_labels or _name(policy.target_app_name)
    namespace = {"kubernetes.io/metadata.name": policy.source_namespace}
    source = {
        "namespaceSelector": {"matchLabels": namespace},
        "podSelector": {"matchLabels": {**_name(policy.source_app_name), **labels}},
    }
    ports = [{"port": port, "protocol": "TCP"} for port in _ports(policy)]
    rule = {"from": [source], **({"ports": ports} if ports else {})}
    return {**_closed({**target, **labels}), "ingress": [rule]}


def _name(app: str | None) -> dict[str, str]:
    """Return the label that every pod of a Juju application carries."""
    return {"app.kubernetes.io/name": app or ""}


def _ports(policy: MeshPolicy) -> list[int]:
    """Return the ports of all endpoints; none where one of them is about any port."""
    if not all(endpoint.ports for endpoint in policy.endpoints):
        return []
    return sorted({port for endpoint in policy.endpoints for port in endpoint.ports or ()})
