"""Keeps the objects of models, applications and units in Kubernetes."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import cast

from rehearsal.juju.model.state import Application, Model, Unit
from rehearsal.juju.pods import events, objects
from rehearsal.kubernetes.store import Change, Object, Store
from rehearsal.machine.addresses import Network


class Cluster:
    """Writes the objects of applications, and starts and removes the pods of units.

    Args:
        store: the objects.
        network: gives the addresses.
        changed: is called if the pod template of a StatefulSet may have changed.
    """

    def __init__(self, store: Store, network: Network, changed: Callable[[], None]) -> None:
        self._store = store
        self._network = network
        self._changed = changed
        self._revisions: dict[tuple[str, str], str] = {}
        self._deleted: set[str] = set()
        self._lock = threading.Lock()
        self._unsubscribe = store.subscribe(self._on_change)
        store.put(events.node())

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def add_model(self, model: Model) -> None:
        """Add the namespace of a model."""
        self._store.put(objects.namespace(model))

    def remove_model(self, model: Model) -> None:
        """Remove the namespace with all its objects."""
        self._store.delete("Namespace", None, model.name)

    def has_namespace(self, name: str) -> bool:
        """Return whether a namespace exists."""
        return self._store.get("Namespace", None, name) is not None

    def apply(self, app: Application) -> None:
        """Write the objects of an application, and keep the fields that other clients have set."""
        if not app.address:
            app.address = self._network.next_service()
        for desired in objects.of_application(app):
            with self._store.lock:
                metadata = desired["metadata"]
                found = self._store.get(
                    desired["kind"], metadata.get("namespace"), metadata["name"]
                )
                self._store.put(_merge(found or {}, desired))

    def remove(self, app: Application) -> None:
        """Remove an application's objects."""
        for made in reversed(objects.of_application(app)):
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
            self.apply(app)  # a user has deleted it
        stateful_set = self._store.get("StatefulSet", app.model.name, app.name) or {}
        template, address = stateful_set["spec"]["template"], self._network.next_pod()
        revision = _revision(template)
        pod = objects.pod(unit, template, f"{app.name}-{revision}")
        started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = _pod_status(pod["spec"], address, started, ready=True)
        stored = self._store.put(pod | {"status": status})
        self._count_pods(app)
        self._report(events.of_start(stored, stateful_set))
        return address, revision

    def _report(self, happened: Iterable[Object]) -> None:
        """Write events."""
        for event in happened:
            self._store.put(event)

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
                if not ready and status != pod["status"]:
                    self._report([events.of_failed_check(pod)])

    def remove_pod(self, unit: Unit) -> None:
        """Remove a unit's pod."""
        model, app = unit.app.model.name, unit.app.name
        pod = self._store.delete("Pod", model, unit.pod_name)
        self._count_pods(unit.app)
        if pod:
            self._report(events.of_end(pod, self._store.get("StatefulSet", model, app)))

    def _count_pods(self, app: Application) -> None:
        """Write the number of pods into the status of the StatefulSet."""
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


def _merge(found: Object, desired: Object) -> Object:
    """Return the found object with the desired fields merged into it. Lists are replaced."""
    return found | {
        key: _merge(found[key], cast("Object", value))
        if isinstance(value, dict) and isinstance(found.get(key), dict)
        else value
        for key, value in desired.items()
    }
