"""Whether Kubernetes is replacing the pods of an application.

Joining or leaving a mesh changes the labels in the pod template, so every pod is replaced.
"""

from typing import Any

from lightkube.resources.apps_v1 import StatefulSet

from demo import cluster


def unfinished(namespace: str) -> list[str]:
    """Return a sentence for each StatefulSet that has pods of an older template.

    Raises:
        UnknownError: there is no KUBECONFIG, or the API does not answer.
    """
    with cluster.ask(namespace) as client:
        found = cluster.objects(client, StatefulSet)
    return [_sentence(each) for each in found if not _is_complete(each)]


def _is_complete(found: dict[str, Any]) -> bool:
    """Return whether every pod has the newest template and is ready.

    Kubernetes makes the newest revision the current one only then. The rehearsal replaces pods
    at once and has no revisions.
    """
    status: dict[str, Any] = found.get("status") or {}
    generation = found["metadata"].get("generation")
    seen = status.get("observedGeneration", generation) == generation
    return seen and status.get("currentRevision") == status.get("updateRevision")


def _sentence(found: dict[str, Any]) -> str:
    status: dict[str, Any] = found.get("status") or {}
    count = f"{status.get('updatedReplicas', 0)} of {status.get('replicas', 0)}"
    return f"pods of {cluster.name(found)}: expected all of the newest template, observed {count}"
