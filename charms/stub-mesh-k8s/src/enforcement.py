"""Enforcement of policies: selects AuthorizationPolicies or NetworkPolicies and applies them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import lightkube
import ops

from charms.istio_beacon_k8s.v0.service_mesh import (
    IstioNotInstalledError,
    MeshPolicy,
    Refusal,
    Review,
)
from configuration import Config
from istio import AuthorizationPolicies, IstioNotRunningError
from network_policies import NetworkPolicies

logger = logging.getLogger(__name__)

Enforcement = Literal["authorization-policy", "network-policy", "none"]
Manager = AuthorizationPolicies | NetworkPolicies


@dataclass(frozen=True)
class Outcome:
    """The policies that the cluster has after an event.

    Args:
        enforcement: the kind of policies that enforces them.
        accepted: the policies in force; with the enforcement `none`, those that would be.
        refused: the policies that are not applied, with reasons.
        unenforced: the limits of the enforcement, in words, if there are any.
    """

    enforcement: Enforcement
    accepted: Sequence[MeshPolicy]
    refused: Sequence[Refusal]
    unenforced: str = ""


def enforce(charm: ops.CharmBase, options: Config, review: Review) -> Outcome:
    """Apply the accepted policies as the options say, and delete all other policies of the charm.

    Raises:
        lightkube.ApiError: Kubernetes refused or failed; see `kubernetes_errors`.
    """
    managers = _managers(charm)
    selected = [each for each in managers if options.enforcement in ("auto", each.kind)]
    outcome = _apply(selected, options, review)
    # Delete last, so that an update never denies a call that is allowed before and after it.
    for manager in managers:
        if manager.kind != outcome.enforcement:
            manager.delete()
    return outcome


def status(outcome: Outcome, options: Config) -> ops.StatusBase:
    """Return the status of a unit that has applied policies."""
    if outcome.enforcement == "none" and options.enforcement != "none":
        return ops.BlockedStatus(outcome.unenforced)
    notes = [outcome.unenforced] if outcome.unenforced else []
    if outcome.refused:
        notes.append(f"refused policies: {len(outcome.refused)}; run the action policies")
    return ops.ActiveStatus("; ".join(notes))


def clean_up(charm: ops.CharmBase) -> None:
    """Delete all policies of the charm. A charm without trust cannot have created any.

    Raises:
        lightkube.ApiError: Kubernetes failed.
    """
    for manager in _managers(charm):
        try:
            manager.delete()
        except lightkube.ApiError as error:
            if error.status.code != 403:
                raise
            logger.warning("Cannot delete policies of kind %s: %s", manager.kind, error)


def _managers(charm: ops.CharmBase) -> Sequence[Manager]:
    """Return the managers of both kinds, in the order in which `auto` tries them."""
    client = lightkube.Client(field_manager=charm.app.name)
    return AuthorizationPolicies(charm, client), NetworkPolicies(charm, client)


def _apply(managers: Sequence[Manager], options: Config, review: Review) -> Outcome:
    """Apply the policies with the first manager whose kind of policies the cluster enforces."""
    obstacles: list[str] = []
    for manager in managers:
        try:
            refused, limits = manager.reconcile(review.accepted, options)
        except (IstioNotInstalledError, IstioNotRunningError) as error:
            obstacles.append(str(error))
        else:
            unfit = [refusal.policy for refusal in refused]
            accepted = [policy for policy in review.accepted if policy not in unfit]
            unenforced = "; ".join([*obstacles, *limits])
            return Outcome(manager.kind, accepted, [*review.refused, *refused], unenforced)
    reasons = ", and ".join([f"enforcement={options.enforcement}", *obstacles])
    return Outcome("none", review.accepted, review.refused, f"nothing is enforced: {reasons}")
