"""The node on which all pods run, and the events of pods in the words of Kubernetes."""

import os
import platform
import time
from collections.abc import Iterator
from datetime import datetime, timezone

from rehearsal.kubernetes.discovery import VERSION
from rehearsal.kubernetes.store import Object

NODE = "rehearsal"
"""The name of the only node: this machine."""
_KUBELET, _SCHEDULER, _STATEFUL_SETS = "kubelet", "default-scheduler", "statefulset-controller"


def node() -> Object:
    """Return the node."""
    name = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
    info = {
        "kubeletVersion": VERSION,
        "osImage": "juju-rehearsal, which runs no images",
        "kernelVersion": platform.release(),
        "containerRuntimeVersion": "none",
        "operatingSystem": "linux",
    }
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": name},
        "spec": {},
        "status": {
            "capacity": {"cpu": str(os.cpu_count())},
            "conditions": conditions,
            "nodeInfo": info,
        },
    }


def of_start(pod: Object, stateful_set: Object) -> Iterator[Object]:
    """Yield the events of a pod that has started."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    yield _of_stateful_set(stateful_set, name, "Create")
    assigned = f"Successfully assigned {namespace}/{name} to {NODE}"
    yield _event(pod, _SCHEDULER, "Scheduled", assigned)
    for container in pod["spec"]["containers"]:
        for reason in ("Created", "Started"):
            yield _event(pod, _KUBELET, reason, f"Container {reason.lower()}", container["name"])


def of_end(pod: Object, stateful_set: Object | None) -> Iterator[Object]:
    """Yield the events of a pod that is stopped."""
    if stateful_set:
        yield _of_stateful_set(stateful_set, pod["metadata"]["name"], "Delete")
    for container in pod["spec"]["containers"]:
        message = f"Stopping container {container['name']}"
        yield _event(pod, _KUBELET, "Killing", message, container["name"])


def of_failed_check(pod: Object) -> Object:
    """Return the event of a pod whose Pebble says that a check is down."""
    message = "Readiness probe failed: HTTP probe failed with statuscode: 502"
    return _event(pod, _KUBELET, "Unhealthy", message) | {"type": "Warning"}


def _of_stateful_set(stateful_set: Object, pod: str, verb: str) -> Object:
    name = stateful_set["metadata"]["name"]
    message = f"{verb.lower()} Pod {pod} in StatefulSet {name} successful"
    return _event(stateful_set, _STATEFUL_SETS, f"Successful{verb}", message)


def _event(
    subject: Object, component: str, reason: str, message: str, container: str = ""
) -> Object:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = subject["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    involved = {key: subject[key] for key in ("apiVersion", "kind")}
    involved |= {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}
    involved |= {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": namespace, "name": f"{name}.{time.time_ns():x}"},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "source": {"component": component} | ({"host": NODE} if component == _KUBELET else {}),
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": "Normal",
    }
