"""The logs of a pod's containers."""

from collections.abc import Callable, Mapping

from rehearsal.kubernetes.status import bad_request, not_done
from rehearsal.kubernetes.store import Object

Logs = Callable[[str, str, str], str | None]
"""Returns the log of a container, by namespace, pod and container, or None if there is none."""

_NOT_DONE = {
    "follow",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "stream",
    "timestamps",
}


def log(pod: Object, query: Mapping[str, str], logs: Logs | None) -> str:
    """Return the log of a container, or its last lines.

    Raises:
        StatusError: 400 if the pod has no such container, 501 if it has no log, and for options
            that are not known here.
    """
    for name in sorted(_NOT_DONE & query.keys()):
        if query[name] not in ("false", "All"):
            raise not_done(f"logs with {name}")
    metadata, container = pod["metadata"], _container(pod, query.get("container"))
    text = logs(metadata["namespace"], metadata["name"], container) if logs else None
    if text is None:
        raise not_done(f"the log of container {container}")
    lines = text.splitlines(keepends=True)
    return "".join(lines[max(0, len(lines) - int(query.get("tailLines", len(lines)))) :])


def _container(pod: Object, wanted: str | None) -> str:
    name = pod["metadata"]["name"]
    containers: list[str] = [each["name"] for each in pod["spec"]["containers"]]
    if wanted is None and len(containers) > 1:
        choice = f"choose one of: [{' '.join(containers)}]"
        raise bad_request(f"a container name must be specified for pod {name}, {choice}")
    if wanted not in (None, *containers):
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    return wanted or containers[0]
