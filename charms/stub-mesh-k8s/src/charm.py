#!/usr/bin/env python3
"""A mesh provider: takes in who may call whom, and writes it down for Kubernetes to enforce."""

import ops
import pydantic

import calls
import config
import enforcement
import listing
import mesh
from charms.istio_beacon_k8s.v0.service_mesh import (
    ServiceMeshProvider,
    is_leaving,
    kubernetes_errors,
    kubernetes_status,
)


class StubMeshCharm(ops.CharmBase):
    """Keeps the cluster's policies what the related applications ask for."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        # What this event found out: what is enforced, or what stands in the way.
        self.outcome: mesh.Outcome | None = None
        self.obstacle: ops.StatusBase | None = None
        framework.observe(self.on.stop, self._on_gone)
        framework.observe(self.on.remove, self._on_gone)
        framework.observe(self.on.policies_action, self._on_policies)
        framework.observe(self.on.explain_action, self._on_explain)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)
        try:
            self.options = self.load_config(config.Config)
        except pydantic.ValidationError as error:
            # Nothing more is observed: what is published and enforced stands until this is right.
            self.obstacle = ops.BlockedStatus(config.problem(error))
            return
        self.provider = ServiceMeshProvider(self, self.options.labels)
        for event in (
            self.on.config_changed,
            self.on.leader_elected,
            self.on.start,
            self.on.upgrade_charm,
            self.on.update_status,
            self.on["service-mesh"].relation_created,
            self.on["service-mesh"].relation_changed,
            self.on["service-mesh"].relation_broken,
        ):
            framework.observe(event, self._reconcile)

    def _reconcile(self, event: ops.EventBase) -> None:
        """Bring the cluster's policies to those that the related applications ask for now."""
        if self.obstacle or not self.unit.is_leader():
            return
        if isinstance(event, ops.RelationBrokenEvent) and is_leaving(self):
            return  # The relation goes on for the other units; the last one cleans up.
        try:
            self.outcome = enforcement.enforce(self, self.options, self.provider.review())
        except kubernetes_errors() as error:
            self.obstacle = kubernetes_status(error, self.app.name)

    def _on_gone(self, _: ops.EventBase) -> None:
        """Leave nothing behind with the last unit, at a time when there may be no leader."""
        if self.app.planned_units() == 0:
            enforcement.clean_up(self)

    def _on_policies(self, event: ops.ActionEvent) -> None:
        if outcome := self._outcome(event):
            event.set_results(listing.listing(outcome, event.params["format"]))

    def _on_explain(self, event: ops.ActionEvent) -> None:
        call = event.load_params(calls.Call, source_model=self.model.name)
        if outcome := self._outcome(event):
            models = {self.model.name, call.source_model}
            try:
                members = enforcement.members(models, self.options.labels)
            except kubernetes_errors() as error:
                event.fail(kubernetes_status(error, self.app.name).message)
            else:
                here = mesh.Mesh(self.model.name, members, self.options.hardened, outcome)
                event.set_results(here.decide(call).results())

    def _outcome(self, event: ops.ActionEvent) -> mesh.Outcome | None:
        """Return what is enforced now, or fail the action and say why that is not known."""
        self._reconcile(event)
        if self.obstacle:
            event.fail(self.obstacle.message)
        elif self.outcome is None:
            event.fail(f"only the leader knows: juju run {self.app.name}/leader")
        return self.outcome

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        if self.obstacle:
            event.add_status(self.obstacle)
        elif self.outcome:
            event.add_status(self._status(self.outcome))
        elif not self.unit.is_leader():
            event.add_status(ops.ActiveStatus())

    def _status(self, outcome: mesh.Outcome) -> ops.StatusBase:
        if outcome.enforcement == "none" and self.options.enforcement == "authorization-policy":
            return ops.BlockedStatus(outcome.unenforced)
        notes = [outcome.unenforced] if outcome.unenforced else []
        if refused := len(outcome.refused):
            notes.append(f"refused policies: {refused}; run the action policies")
        return ops.ActiveStatus("; ".join(notes))


if __name__ == "__main__":
    ops.main(StubMeshCharm)
