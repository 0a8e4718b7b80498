"""Whether Kubernetes is replacing, adding or removing the pods of an application.

Joining or leaving a mesh changes the labels in the pod template, so every pod is replaced.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lightkube.resources.apps_v1 import StatefulSet

from demo import cluster


def unfinished(namespace: str, scales: Mapping[str, int]) -> list[str]:
    """Return a sentence for each StatefulSet that has pods of an older template, or too many.

    Args:
        namespace: the namespace of the StatefulSets.
        scales: the number of units that Juju shows, by application.

    Raises:
        UnknownError: there is no KUBECONFIG, or the API does not answer.
    """
    with cluster.ask(namespace) as client:
        found = cluster.objects(client, StatefulSet)
    return [sentence for each in found for sentence in _differences(each, scales)]


def replicas(namespace: str, app: str) -> int:
    """Return the number of pods that the StatefulSet of an application asks for.

    Raises:
        UnknownError: there is no KUBECONFIG, no such StatefulSet, or the API does not answer.
    """
    with cluster.ask(namespace) as client:
        found = client.get(StatefulSet, app)
    return (found.spec and found.spec.replicas) or 0


def _differences(found: dict[str, Any], scales: Mapping[str, int]) -> Iterator[str]:
    name = cluster.name(found)
    status: dict[str, Any] = found.get("status") or {}
    if not _is_complete(found):
        count = f"{status.get('updatedReplicas', 0)} of {status.get('replicas', 0)}"
        yield f"pods of {name}: expected all of the newest template, observed {count}"
    # Juju shows that a unit is gone before it removes the pod.
    wanted = found["spec"].get("replicas", 1)
    if wanted != scales.get(name, wanted):
        yield f"pods of {name}: expected {scales[name]}, as Juju has units, observed {wanted}"


def _is_complete(found: dict[str, Any]) -> bool:
    """Return whether every pod has the newest template and is ready.

    Kubernetes makes the newest revision the current one only then. The rehearsal replaces pods
    at once and has no revisions.
    """
    status: dict[str, Any] = found.get("status") or {}
    generation = found["metadata"].get("generation")
    seen = status.get("observedGeneration", generation) == generation
    return seen and status.get("currentRevision") == status.get("updateRevision")
