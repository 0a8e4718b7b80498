"""lightkube as the tests use it: with objects as plain JSON, as they go over the wire."""

from collections.abc import Callable, Iterator
from typing import Any

import yaml
from lightkube import ApiError, Client, KubeConfig, codecs, generic_resource
from lightkube.types import PatchType

from rehearsal.kubernetes.store import Object

# lightkube says only in part what these take and return.
_generic: Any = generic_resource
_KubeConfig: Any = KubeConfig

GROUP = "security.istio.io"


def _policies(version: str) -> Any:
    kind = "AuthorizationPolicy"
    return _generic.create_namespaced_resource(GROUP, version, kind, "authorizationpolicies")


AuthorizationPolicy, OldAuthorizationPolicy = _policies("v1"), _policies("v1beta1")


class Kube:
    """A client with the identity of a kubeconfig; a kind is a class of lightkube's."""

    def __init__(self, kubeconfig: str) -> None:
        config = _KubeConfig.from_dict(yaml.safe_load(kubeconfig))
        self._client: Any = Client(config=config)

    def close(self) -> None:
        self._client.close()

    def create(self, obj: Object) -> Object:
        return self._client.create(codecs.from_dict(obj)).to_dict()

    def replace(self, obj: Object) -> Object:
        return self._client.replace(codecs.from_dict(obj)).to_dict()

    def apply(self, obj: Object, manager: str, *, force: bool = False) -> Object:
        applied = self._client.apply(codecs.from_dict(obj), field_manager=manager, force=force)
        return applied.to_dict()

    def patch(
        self, kind: Any, name: str, patch: Any, patch_type: PatchType = PatchType.STRATEGIC
    ) -> Object:
        return self._client.patch(kind, name, patch, patch_type=patch_type).to_dict()

    def get(self, kind: Any, name: str, **where: str) -> Object:
        return self._client.get(kind, name, **where).to_dict()

    def list(self, kind: Any, **selection: Any) -> list[Object]:
        return [obj.to_dict() for obj in self._client.list(kind, **selection)]

    def watch(self, kind: Any, **selection: Any) -> Iterator[tuple[str, Object]]:
        for event, obj in self._client.watch(kind, **selection):
            yield event, obj.to_dict()

    def wait(self, kind: Any, name: str, condition: str) -> None:
        self._client.wait(kind, name, for_conditions=[condition])

    def delete(self, kind: Any, name: str) -> None:
        self._client.delete(kind, name)

    def delete_all(self, kind: Any) -> None:
        self._client.deletecollection(kind)


Connect = Callable[[str | None], Kube]
"""Gives the client of a service account of the namespace demo, or of the admin."""


def outcome(call: Callable[[], object]) -> int:
    """Return the code that a call is refused with, or 200."""
    try:
        call()
    except ApiError as error:
        return error.status.code or 0
    return 200


def names(objects: list[Object]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str, place: str = "demo", labels: Object | None = None, **data: str) -> Object:
    metadata = {"name": name, "namespace": place, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def service_account(name: str) -> Object:
    metadata = {"name": name, "namespace": "demo"}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def policy(name: str, labels: Object | None = None, **spec: object) -> Object:
    metadata = {"name": name, "namespace": "demo", "labels": labels or {}}
    api_version = f"{GROUP}/v1"
    return {
        "apiVersion": api_version,
        "kind": "AuthorizationPolicy",
        "metadata": metadata,
        "spec": spec,
    }


def definition(group: str = GROUP) -> Object:
    """Return a CRD of AuthorizationPolicy with two served versions and one that is not."""
    versions = [("v1", True, True), ("v1beta1", True, False), ("v1alpha1", False, False)]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"authorizationpolicies.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "AuthorizationPolicy", "plural": "authorizationpolicies"},
            "scope": "Namespaced",
            "versions": [
                {"name": name, "served": served, "storage": storage}
                for name, served, storage in versions
            ],
        },
    }
