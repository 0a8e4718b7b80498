"""What Juju makes of models, applications and units in Kubernetes."""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, cast

from rehearsal.addresses import Network
from rehearsal.juju.state import Application, Model, Unit
from rehearsal.kubernetes.store import Change, Object, Store

_PLACEHOLDER_PORT = 65535
"""Port of a Service whose charm has opened none."""
_RBAC = "rbac.authorization.k8s.io"
_ANYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
_READ_NAMESPACES = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}
_UNTRUSTED = (
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "patch"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
)


class Cluster:
    """Keeps Kubernetes as Juju would: objects by application, pods by unit.

    Args:
        store: the objects.
        network: gives the addresses.
        changed: is called when a StatefulSet may have got another pod template.
    """

    def __init__(self, store: Store, network: Network, changed: Callable[[], None]) -> None:
        self._store = store
        self._network = network
        self._changed = changed
        self._revisions: dict[tuple[str, str], str] = {}
        self._deleted: set[str] = set()
        self._lock = threading.Lock()
        self._unsubscribe = store.subscribe(self._on_change)

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def add_model(self, model: Model) -> None:
        """Make the model's namespace."""
        labels = {"app.kubernetes.io/managed-by": "juju", "model.juju.is/name": model.name}
        namespace = _object("v1", "Namespace", None, model.name, labels=labels)
        self._store.put(namespace | {"status": {"phase": "Active"}})

    def remove_model(self, model: Model) -> None:
        """Remove the namespace and all in it."""
        self._store.delete("Namespace", None, model.name)

    def has_namespace(self, name: str) -> bool:
        """Tell whether a namespace is there."""
        return self._store.get("Namespace", None, name) is not None

    def apply(self, app: Application) -> None:
        """Make an application's objects what they should be; what others have set on them stays."""
        if not app.address:
            app.address = self._network.next_service()
        for desired in _objects(app):
            with self._store.lock:
                metadata = desired["metadata"]
                found = self._store.get(
                    desired["kind"], metadata.get("namespace"), metadata["name"]
                )
                self._store.put(_merge(found or {}, desired))

    def remove(self, app: Application) -> None:
        """Remove an application's objects."""
        for made in reversed(_objects(app)):
            metadata = made["metadata"]
            self._store.delete(made["kind"], metadata.get("namespace"), metadata["name"])

    def revision(self, app: Application) -> str:
        """Return the revision of an application's pod template."""
        with self._lock:
            return self._revisions.get((app.model.name, app.name), "")

    def add_pod(self, unit: Unit) -> tuple[str, str]:
        """Start a unit's pod from its StatefulSet's template; return its address and revision."""
        app = unit.app
        if self._store.get("StatefulSet", app.model.name, app.name) is None:
            self.apply(app)  # somebody has deleted it
        stateful_set = self._store.get("StatefulSet", app.model.name, app.name) or {}
        template, address = stateful_set["spec"]["template"], self._network.next_pod()
        revision = _revision(template)
        labels = template["metadata"]["labels"] | {
            "controller-revision-hash": f"{app.name}-{revision}",
            "statefulset.kubernetes.io/pod-name": unit.pod_name,
        }
        pod = _object("v1", "Pod", app.model.name, unit.pod_name, labels=labels)
        names = {"hostname": unit.pod_name, "subdomain": f"{app.name}-endpoints"}
        spec = template["spec"] | names
        started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = _pod_status(spec, address, started, ready=True)
        self._store.put(pod | {"spec": spec, "status": status})
        self._count_pods(app)
        return address, revision

    def set_ready(self, unit: Unit, ready: bool) -> None:
        """Set the condition by which Services choose their pods."""
        with self._store.lock:
            pod = self._store.get("Pod", unit.app.model.name, unit.pod_name)
            if pod:
                started = pod["metadata"]["creationTimestamp"]
                address = pod["status"]["podIP"]
                status = _pod_status(pod["spec"], address, started, ready=ready)
                self._store.put(pod | {"status": status})
                self._count_pods(unit.app)

    def remove_pod(self, unit: Unit) -> None:
        """Remove a unit's pod."""
        self._store.delete("Pod", unit.app.model.name, unit.pod_name)
        self._count_pods(unit.app)

    def _count_pods(self, app: Application) -> None:
        """Have the StatefulSet say how many pods it has."""
        model, labels = app.model.name, {"app.kubernetes.io/name": app.name}
        with self._store.lock:
            pods = self._store.list("Pod", model, labels)
            ready = [pod for pod in pods if _ready(True) in pod["status"].get("conditions", ())]
            found = self._store.get("StatefulSet", model, app.name)
            if found:
                status = {"replicas": len(pods), "readyReplicas": len(ready)}
                self._store.put(found | {"status": status})

    def take_deleted(self) -> set[str]:
        """Return the addresses of the pods that were deleted since the last call."""
        with self._lock:
            deleted, self._deleted = self._deleted, set()
            return deleted

    def _on_change(self, change: Change) -> None:
        kind, metadata = change.object["kind"], change.object["metadata"]
        with self._lock:
            if kind == "StatefulSet":
                key = metadata["namespace"], metadata["name"]
                self._revisions[key] = _revision(change.object["spec"]["template"])
            elif kind == "Pod" and change.type == "DELETED":
                self._deleted.add(change.object.get("status", {}).get("podIP", ""))
            else:
                return
        self._changed()


def _revision(template: Object) -> str:
    text = json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _objects(app: Application) -> list[Object]:
    return [
        *_access(app),
        _service(app, app.name, {"clusterIP": app.address, "type": "ClusterIP"}),
        _service(app, f"{app.name}-endpoints", {"clusterIP": "None", "type": "ClusterIP"}),
        _stateful_set(app),
    ]


def _stateful_set(app: Application) -> Object:
    selector = {"app.kubernetes.io/name": app.name}
    containers = [{"name": "charm", "image": "docker.io/jujusolutions/charm-base:ubuntu-24.04"}]
    containers += [{"name": n, "image": app.images.get(n, "")} for n in app.charm.containers]
    labels = selector | {"app.kubernetes.io/managed-by": "juju"}
    return _object("apps/v1", "StatefulSet", app.model.name, app.name, labels=labels) | {
        "spec": {
            "replicas": app.scale,
            "serviceName": f"{app.name}-endpoints",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {
                    "labels": selector,
                    "annotations": {"charm.juju.is/modified-version": str(app.charm.revision)},
                },
                "spec": {"serviceAccountName": app.name, "containers": containers},
            },
        }
    }


def _service(app: Application, name: str, spec: Object) -> Object:
    opened = sorted({port for unit in app.units.values() for port in unit.ports})
    ports = [
        {"name": f"{protocol}-{n}", "port": n, "targetPort": n, "protocol": protocol.upper()}
        for protocol, n in opened
    ]
    placeholder = {"name": "placeholder", "port": _PLACEHOLDER_PORT, "protocol": "TCP"}
    labels = {"app.kubernetes.io/name": app.name, "app.kubernetes.io/managed-by": "juju"}
    return _object("v1", "Service", app.model.name, name, labels=labels) | {
        "spec": spec
        | {"selector": {"app.kubernetes.io/name": app.name}, "ports": ports or [placeholder]}
    }


def _access(app: Application) -> list[Object]:
    """Return the ServiceAccount and its rights: all if it is trusted, otherwise few.

    An application without trust may read every namespace, not just its own.
    """
    model, both = app.model.name, f"{app.model.name}-{app.name}"
    own_namespace = _READ_NAMESPACES | {"resourceNames": [model]}
    namespaced = [_ANYTHING] if app.trust else [own_namespace, *_UNTRUSTED]
    everywhere = [_ANYTHING] if app.trust else [_READ_NAMESPACES]
    return [
        _object("v1", "ServiceAccount", model, app.name),
        _object(f"{_RBAC}/v1", "Role", model, app.name) | {"rules": namespaced},
        _object(f"{_RBAC}/v1", "RoleBinding", model, app.name) | _binding(app, "Role", app.name),
        _object(f"{_RBAC}/v1", "ClusterRole", None, both) | {"rules": everywhere},
        _object(f"{_RBAC}/v1", "ClusterRoleBinding", None, both)
        | _binding(app, "ClusterRole", both),
    ]


def _binding(app: Application, kind: str, name: str) -> Object:
    return {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": [
            {"kind": "ServiceAccount", "name": app.name, "namespace": app.model.name},
        ],
    }


def _ready(ready: bool) -> Object:
    return {"type": "Ready", "status": "True" if ready else "False"}


def _pod_status(spec: Object, address: str, started: str, *, ready: bool) -> Object:
    containers = [
        {"name": each["name"], "image": each["image"], "imageID": "", "restartCount": 0}
        | {"ready": ready, "state": {"running": {"startedAt": started}}}
        for each in spec["containers"]
    ]
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [_ready(ready)],
        "containerStatuses": containers,
    }


def _object(
    api_version: str, kind: str, namespace: str | None, name: str, labels: Object | None = None
) -> Object:
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels or {})}
    if namespace is not None:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _merge(found: Object, desired: Object) -> Object:
    """Return what was found with what is desired laid over it; lists are replaced."""
    return found | {
        key: _merge(found[key], cast("Object", value))
        if isinstance(value, dict) and isinstance(found.get(key), dict)
        else value
        for key, value in desired.items()
    }
