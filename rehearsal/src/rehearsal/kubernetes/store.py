"""The objects of the cluster, in memory, and the subscribers to their changes."""

import copy
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

Object = dict[str, Any]
"""A Kubernetes object as it is in JSON, with `apiVersion` and `kind`."""

_Key = tuple[str, str, str]

_RBAC = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
_CORE = {"ConfigMap", "Event", "Namespace", "Node", "Secret", "Service", "ServiceAccount"}
_WITHOUT_GENERATION = _RBAC | _CORE
"""Kinds on which Kubernetes sets no `metadata.generation`."""

_REMEMBERED = 10_000
"""Changes kept for watches that start at an older resourceVersion."""


@dataclass(frozen=True)
class Change:
    """One change of one object.

    Attributes:
        type: the type of the event in a Kubernetes watch.
        object: the object after the change; its last state when deleted. Not to be written to.
        previous: the object before the change, if there was one.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object
    previous: Object | None = None


class Store:
    """Every object of the cluster, by kind, namespace (None if the kind has none) and name.

    The store is thread-safe. It copies objects that are put in or taken out.

    Attributes:
        lock: hold it to read and write as one step.
        version: the resourceVersion of the last change; grows by one with each.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.version = 0
        self._objects: dict[_Key, Object] = {}
        self._changes: deque[Change] = deque(maxlen=_REMEMBERED)
        self._callbacks: list[Callable[[Change], None]] = []

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Return an object, or None if there is none."""
        with self.lock:
            return copy.deepcopy(self._objects.get((kind, namespace or "", name)))

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """Return the objects of a kind, sorted by namespace and name.

        Args:
            kind: the kind of the objects.
            namespace: only those in this namespace; None for those of all namespaces.
            labels: only those that carry all of these labels.
        """
        with self.lock:
            found = [
                self._objects[key]
                for key in sorted(self._objects)
                if key[0] == kind and namespace in (None, key[1])
            ]
            return [copy.deepcopy(obj) for obj in found if _labelled(obj, labels or {})]

    def put(self, obj: Object) -> Object:
        """Create an object, or replace the one of its kind, namespace and name.

        Returns it as it is stored: uid, creationTimestamp, resourceVersion and generation are set
        here, not taken from `obj`. Equal content is no change.
        """
        new = copy.deepcopy(obj)
        with self.lock:
            old = self._objects.get(_key(new))
            new["metadata"] = _metadata(new, old)
            if new != old:
                self._count(new, old)
                self._objects[_key(new)] = new
                self._tell(Change("MODIFIED" if old else "ADDED", new, old))
            return copy.deepcopy(new)

    def delete(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Delete an object and return its last state, or None if there was none.

        A Namespace is deleted with all objects in it, a CustomResourceDefinition with its
        resources, and any object with those that it alone owns.
        """
        with self.lock:
            old = self._objects.get((kind, namespace or "", name))
            if old is None:
                return None
            for key in [key for key, obj in self._objects.items() if _belongs(obj, old)]:
                self.delete(*key)
            return self._remove(old)

    def subscribe(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call back after each change, in order, and return a function that ends the subscription.

        Args:
            callback: is called while the store is locked, so it only sets a flag or fills a queue.
        """
        with self.lock:
            self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def changes(self, since: int) -> Sequence[Change] | None:
        """Return the changes after a resourceVersion, or None if the store no longer has them."""
        with self.lock:
            missed = self.version - since
            if missed > len(self._changes):
                return None
            return list(self._changes)[len(self._changes) - max(missed, 0) :]

    @property
    def oldest(self) -> int:
        """The resourceVersion after which the store has all changes."""
        return self.version - len(self._changes)

    def _count(self, new: Object, old: Object | None) -> None:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        if new["kind"] in _WITHOUT_GENERATION:
            return
        if old is None or _desired(new) != _desired(old):
            new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1

    def _remove(self, old: Object) -> Object:
        last = copy.deepcopy(old)
        self.version += 1
        last["metadata"]["resourceVersion"] = str(self.version)
        del self._objects[_key(old)]
        self._tell(Change("DELETED", last, old))
        return copy.deepcopy(last)

    def _tell(self, change: Change) -> None:
        change = copy.deepcopy(change)
        self._changes.append(change)
        for callback in tuple(self._callbacks):
            callback(change)


def _key(obj: Object) -> _Key:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace") or "", metadata["name"]


def _metadata(new: Object, old: Object | None) -> Object:
    """Return the metadata of a new object with the fields that only the server sets."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    set_here = {"uid": str(uuid.uuid4()), "creationTimestamp": now}
    for field in ("uid", "creationTimestamp", "generation", "resourceVersion"):
        if old and field in old["metadata"]:
            set_here[field] = old["metadata"][field]
    metadata = {
        k: v for k, v in new["metadata"].items() if k not in ("generation", "resourceVersion")
    }
    metadata |= set_here
    if old and "managedFields" in old["metadata"]:
        metadata.setdefault("managedFields", old["metadata"]["managedFields"])
    if new["kind"] == "Namespace":
        labels = metadata.get("labels", {})
        metadata["labels"] = {**labels, "kubernetes.io/metadata.name": metadata["name"]}
    return metadata


def _labelled(obj: Object, labels: Mapping[str, str]) -> bool:
    return labels.items() <= obj["metadata"].get("labels", {}).items()


def _desired(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in ("apiVersion", "metadata", "status")}


def _belongs(obj: Object, owner: Object) -> bool:
    """Return whether an object is deleted with its Namespace, its definition or its owner."""
    if [owner["metadata"]["uid"]] == [o["uid"] for o in obj["metadata"].get("ownerReferences", ())]:
        return True
    if owner["kind"] == "Namespace":
        return obj["metadata"].get("namespace") == owner["metadata"]["name"]
    if owner["kind"] == "CustomResourceDefinition":
        spec = owner["spec"]
        group = obj["apiVersion"].rpartition("/")[0]
        return (group, obj["kind"]) == (spec["group"], spec["names"]["kind"])
    return False
