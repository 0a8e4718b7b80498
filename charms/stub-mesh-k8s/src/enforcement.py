"""Which kind of policies the cluster gets; what was written of the other kind is deleted."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import lightkube
import ops
from lightkube.resources.core_v1 import Pod

import config
import mesh
from charms.istio_beacon_k8s.v0.service_mesh import (
    IstioNotInstalledError,
    Refusal,
    Review,
)
from istio import AuthorizationPolicies, IstioNotRunningError
from network_policies import NetworkPolicies

logger = logging.getLogger(__name__)

Kind = AuthorizationPolicies | NetworkPolicies


def enforce(charm: ops.CharmBase, options: config.Config, review: Review) -> mesh.Outcome:
    """Make the cluster have the policies that the options and the review ask for, and no others.

    Raises:
        lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
    """
    kinds = _kinds(charm)
    wanted = [kind for kind in kinds if options.enforcement in ("auto", kind.name)]
    used, outcome = _write(wanted, options, review)
    # Not before the others are there: whoever is allowed by both is never denied.
    for kind in kinds:
        if kind is not used:
            kind.delete()
    return outcome


def clean_up(charm: ops.CharmBase) -> None:
    """Delete all that the charm made. Who is not trusted has made nothing.

    Raises:
        lightkube.ApiError: Kubernetes failed.
    """
    for kind in _kinds(charm):
        try:
            kind.delete()
        except lightkube.ApiError as error:
            if error.status.code != 403:
                raise
            logger.warning("No %s deleted: %s", kind.name, error)


def members(models: Iterable[str], labels: Mapping[str, str]) -> frozenset[mesh.Member]:
    """Return who has a pod with these labels in these models, whoever put them there.

    Raises:
        lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
    """
    client: Any = lightkube.Client()  # what lightkube does not type in full is Any
    return frozenset(
        (model, pod.metadata.labels.get("app.kubernetes.io/name", ""))
        for model in models
        for pod in client.list(Pod, namespace=model, labels=dict(labels))
    )


def _kinds(charm: ops.CharmBase) -> Sequence[Kind]:
    """Return both kinds, in the order in which `auto` tries them."""
    client = lightkube.Client(field_manager=charm.app.name)
    return AuthorizationPolicies(charm, client), NetworkPolicies(charm, client)


def _write(
    kinds: Sequence[Kind], options: config.Config, review: Review
) -> tuple[Kind | None, mesh.Outcome]:
    """Write the first kind that the cluster enforces, and return it with what came of it."""
    obstacle, idle = f"enforcement={options.enforcement}", ""
    for kind in kinds:
        try:
            refused = kind.reconcile(review.accepted, options)
        except IstioNotInstalledError as error:
            obstacle = f"{obstacle}, and {error}"
        except IstioNotRunningError as error:
            idle = str(error)
        else:
            unenforced = "; ".join(filter(None, (idle, kind.unenforced)))
            return kind, _outcome(kind, unenforced, review, refused)
    unenforced = f"nothing is enforced: {obstacle}"
    return None, mesh.Outcome(review.accepted, review.refused, "none", unenforced)


def _outcome(
    kind: Kind, unenforced: str, review: Review, refused: Sequence[Refusal]
) -> mesh.Outcome:
    unfit = [refusal.policy for refusal in refused]
    accepted = [policy for policy in review.accepted if policy not in unfit]
    return mesh.Outcome(accepted, [*review.refused, *refused], kind.name, unenforced)
