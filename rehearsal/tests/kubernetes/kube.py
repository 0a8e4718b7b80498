"""A client of an API server: plain HTTP, with objects as JSON."""

import json
import ssl
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from rehearsal.kubernetes.store import Object

MERGE, STRATEGIC, JSON = "merge-patch+json", "strategic-merge-patch+json", "json-patch+json"
_CLUSTER_WIDE = {
    *("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "Node")
}


class Kind(NamedTuple):
    """A kind in one version, from which its URLs follow."""

    api_version: str
    name: str

    @property
    def plural(self) -> str:
        lower = self.name.lower()
        return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


ConfigMap, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount = (
    Kind("v1", name)
    for name in (
        *("ConfigMap", "Event", "Namespace", "Node"),
        *("Pod", "Secret", "Service", "ServiceAccount"),
    )
)
StatefulSet = Kind("apps/v1", "StatefulSet")
HorizontalPodAutoscaler = Kind("autoscaling/v2", "HorizontalPodAutoscaler")
NetworkPolicy = Kind("networking.k8s.io/v1", "NetworkPolicy")
Definition = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
RBAC = "rbac.authorization.k8s.io"


class RefusedError(Exception):
    """An answer other than success. `status` is empty if the body is not a Status."""

    def __init__(self, answer: httpx.Response) -> None:
        is_json = answer.headers["Content-Type"].startswith("application/json")
        self.code, self.text = answer.status_code, answer.text
        self.status: Object = answer.json() if is_json else {}
        super().__init__(self.status.get("message", answer.text))

    @property
    def reason(self) -> tuple[int, str]:
        return self.code, self.status.get("reason", "")

    @property
    def details(self) -> Object:
        return self.status["details"]

    @property
    def causes(self) -> list[tuple[str, str]]:
        """The field and the reason of each fault."""
        return [(cause["field"], cause["reason"]) for cause in self.details["causes"]]


class Kube:
    """A client with the identity of a kubeconfig, or of an impersonated service account."""

    def __init__(self, kubeconfig: str, namespace: str, acts_as: str | None = None) -> None:
        self.namespace = namespace
        self.http = _connection(kubeconfig)
        if acts_as:
            user = f"system:serviceaccount:{namespace}:{acts_as}"
            self.http.headers["Impersonate-User"] = user

    def close(self) -> None:
        self.http.close()

    def path(self, kind: Kind, name: str | None = None, namespace: str | None = None) -> str:
        """Return the path of an object, or of all objects of a kind. `*` means all namespaces."""
        root = "/apis" if "/" in kind.api_version else "/api"
        place = "" if kind.name in _CLUSTER_WIDE or namespace == "*" else "/namespaces/"
        place += (namespace or self.namespace) if place else ""
        return f"{root}/{kind.api_version}{place}/{kind.plural}" + (f"/{name}" if name else "")

    def request(self, method: str, path: str, **more: Any) -> Object:
        answer = self.http.request(method, path, **more)
        if not answer.is_success:
            raise RefusedError(answer)
        return answer.json()

    def create(self, obj: Object, **query: str) -> Object:
        return self.request("POST", self._place(obj), json=obj, params=query)

    def replace(self, obj: Object, **query: str) -> Object:
        path = f"{self._place(obj)}/{obj['metadata']['name']}"
        return self.request("PUT", path, json=obj, params=query)

    def apply(self, obj: Object, manager: str, *, force: bool = False) -> Object:
        path = f"{self._place(obj)}/{obj['metadata']['name']}"
        query = {"fieldManager": manager, "force": json.dumps(force)}
        return self._patch(path, obj, "apply-patch+yaml", query)

    def patch(self, kind: Kind, name: str, patch: Any, how: str = STRATEGIC, **query: str) -> Any:
        return self._patch(self.path(kind, name), patch, how, query)

    def get(self, kind: Kind, name: str, **where: str) -> Object:
        return self.request("GET", self.path(kind, name, **where))

    def list(self, kind: Kind, namespace: str | None = None, **query: str) -> list[Object]:
        return self.request("GET", self.path(kind, None, namespace), params=query)["items"]

    def watch(self, kind: Kind, **query: str) -> Iterator[tuple[str, Object]]:
        """Yield the events of a watch, for at most 20 seconds."""
        query = {"watch": "1", "timeoutSeconds": "20", **query}
        with self.http.stream("GET", self.path(kind), params=query, timeout=30) as answer:
            if not answer.is_success:
                answer.read()
                raise RefusedError(answer)
            for event in map(json.loads, answer.iter_lines()):
                yield event["type"], event["object"]

    def delete(self, kind: Kind, name: str, **options: Any) -> Object:
        return self.request("DELETE", self.path(kind, name), json=options or None)

    def delete_all(self, kind: Kind, **query: str) -> Object:
        return self.request("DELETE", self.path(kind), params=query)

    def _place(self, obj: Object) -> str:
        kind = Kind(obj["apiVersion"], obj["kind"])
        return self.path(kind, None, obj["metadata"].get("namespace"))

    def _patch(self, path: str, patch: Any, how: str, query: dict[str, str]) -> Object:
        headers = {"Content-Type": f"application/{how}"}
        return self.request("PATCH", path, json=patch, headers=headers, params=query)


Connect = Callable[[str | None], Kube]
"""Returns the client of a service account, or of the admin."""


def outcome(call: Callable[[], object]) -> int:
    """Return the code with which the server refuses a call, or 200."""
    try:
        call()
    except RefusedError as error:
        return error.code
    return 200


def names(objects: list[Object]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def _connection(kubeconfig: str) -> httpx.Client:
    config = yaml.safe_load(kubeconfig)
    context = _named(config, "context", config["current-context"])
    cluster, user = (_named(config, kind, context[kind]) for kind in ("cluster", "user"))
    authority = _content(cluster, "certificate-authority")
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    certificate = _content(user, "client-certificate")
    if certificate:
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + _content(user, "client-key"))
            file.flush()
            tls.load_cert_chain(file.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return httpx.Client(base_url=cluster["server"], headers=headers, verify=tls, trust_env=False)


def _named(config: Object, kind: str, name: str) -> Object:
    return next(each[kind] for each in config[f"{kind}s"] if each["name"] == name)


def _content(config: Object, name: str) -> bytes:
    """Return a value that a kubeconfig contains or that is in a file."""
    if f"{name}-data" in config:
        return b64decode(config[f"{name}-data"])
    return Path(config[name]).read_bytes() if name in config else b""
