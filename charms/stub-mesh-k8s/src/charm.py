#!/usr/bin/env python3
"""A mesh provider: collects policies from related applications and applies them to the cluster."""

import logging

import ops
import pydantic

import enforcement
from actions import explain, policies
from actions.call import Call
from charms.istio_beacon_k8s.v0.service_mesh import (
    ServiceMeshProvider,
    is_leaving,
    kubernetes_errors,
    kubernetes_status,
)
from configuration import Config, describe

# Juju starts a process for every line that a charm logs, and HTTP clients log a dozen per request.
for http_client in ("httpcore", "httpcore2", "httpx", "httpx2"):
    logging.getLogger(http_client).setLevel(logging.WARNING)


class StubMeshCharm(ops.CharmBase):
    """Applies the policies of the related applications, and nothing else: it has no workload."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        # The result of this event: the outcome, or else the obstacle.
        self.outcome: enforcement.Outcome | None = None
        self.obstacle: ops.StatusBase | None = None
        try:
            self.options = self.load_config(Config)
            self.provider = ServiceMeshProvider(self, self.options.labels)
        except pydantic.ValidationError as error:
            # Relation data and policies stay as they are until somebody corrects the option.
            self.obstacle = ops.BlockedStatus(describe(error))
        mesh = self.on["service-mesh"]
        for event in (
            self.on.config_changed,
            self.on.leader_elected,
            self.on.start,
            self.on.upgrade_charm,
            self.on.update_status,
            mesh.relation_created,
            mesh.relation_changed,
            mesh.relation_broken,
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.stop, self._on_last_unit_gone)
        framework.observe(self.on.remove, self._on_last_unit_gone)
        framework.observe(self.on.policies_action, self._on_policies)
        framework.observe(self.on.explain_action, self._on_explain)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)

    def _reconcile(self, event: ops.EventBase) -> None:
        """Bring the cluster's policies to the desired state, regardless of the event."""
        if isinstance(event, ops.RelationEvent) and is_leaving(self):
            # Juju 4 may end the last unit before its hook stop is done, so clean up now.
            self._on_last_unit_gone(event)
            return
        if self.obstacle or not self.unit.is_leader():
            return
        try:
            self.outcome = enforcement.enforce(self, self.options, self.provider.review())
        except kubernetes_errors() as error:
            self.obstacle = kubernetes_status(error, self.app.name)

    def _on_last_unit_gone(self, _: ops.EventBase) -> None:
        """Delete all policies with the last unit, which need not be the leader any more."""
        if self.app.planned_units() == 0:
            enforcement.clean_up(self)

    def _on_policies(self, event: ops.ActionEvent) -> None:
        if outcome := self._outcome(event):
            event.set_results(policies.results(outcome, event.params["format"]))

    def _on_explain(self, event: ops.ActionEvent) -> None:
        call = event.load_params(Call, errors="fail", source_model=self.model.name)
        try:
            if outcome := self._outcome(event):
                event.set_results(explain.results(call, self.model, self.options, outcome))
        except explain.UnknownApplicationError as error:
            event.fail(str(error))
        except kubernetes_errors() as error:
            event.fail(kubernetes_status(error, self.app.name).message)

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        if self.obstacle:
            event.add_status(self.obstacle)
        elif self.outcome:
            event.add_status(enforcement.status(self.outcome, self.options))
        elif not self.unit.is_leader():
            event.add_status(ops.ActiveStatus())

    def _outcome(self, event: ops.ActionEvent) -> enforcement.Outcome | None:
        """Return the policies in force, or fail the action with the reason why they are unknown."""
        self._reconcile(event)
        if self.obstacle:
            event.fail(self.obstacle.message)
        elif not self.outcome:
            event.fail(f"only the leader knows the policies: juju run {self.app.name}/leader")
        return self.outcome


if __name__ == "__main__":
    ops.main(StubMeshCharm)
