"""The action `explain`: whether the mesh allows a call, and why."""

from collections.abc import Iterable, Mapping
from typing import Any

import lightkube
import ops
from lightkube.operators import exists
from lightkube.resources.core_v1 import Pod

from actions.call import Call
from actions.decision import Mesh
from configuration import Config
from enforcement import Outcome


class UnknownApplicationError(Exception):
    """The target does not exist, so the mesh cannot decide about a call to it."""


def results(call: Call, model: ops.Model, options: Config, outcome: Outcome) -> dict[str, str]:
    """Return the verdict and its reason, as results of the action.

    Raises:
        UnknownApplicationError: names the applications that exist.
        lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
    """
    _check_target(call, model, outcome)
    members = _apps({model.name, call.source_model}, options.labels)
    verdict = Mesh(model.name, members, options.hardened, outcome).decide(call)
    return {"verdict": "allowed" if verdict.allowed else "denied", "reason": verdict.reason}


def _check_target(call: Call, model: ops.Model, outcome: Outcome) -> None:
    """Raise an error unless the target has pods, is related, or is a Service in a policy."""
    related = {relation.app.name for relation in model.relations["service-mesh"]}
    apps = related | {app for _, app in _apps({model.name}, {})}
    services = {policy.target_service for policy in outcome.accepted}
    if call.app not in apps | services:
        known = ", ".join(sorted(apps))
        raise UnknownApplicationError(
            f"to={call.target}: model {model.name} has no application {call.app}, only {known}"
        )


def _apps(models: Iterable[str], labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Return the model and name of each application with pods that have these labels."""
    client: Any = lightkube.Client()  # lightkube does not type its methods in full
    name = "app.kubernetes.io/name"
    return frozenset(
        (model, pod.metadata.labels[name])
        for model in models
        for pod in client.list(Pod, namespace=model, labels={**labels, name: exists()})
    )
