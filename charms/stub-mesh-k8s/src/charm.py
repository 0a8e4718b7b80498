#!/usr/bin/env python3
"""A mesh provider: takes in who may call whom, and writes it down for Istio."""

from collections.abc import Mapping
from typing import Any

import ops
import pydantic

import config
import istio
import mesh
from charms.istio_beacon_k8s.v0.service_mesh import (
    ServiceMeshProvider,
    kubernetes_errors,
    kubernetes_status,
)


class StubMeshCharm(ops.CharmBase):
    """Keeps Istio's AuthorizationPolicies what the related applications ask for."""

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

    def _reconcile(self, _: ops.EventBase) -> None:
        """Make the cluster have the policies that are asked for now, whatever happened."""
        if self.obstacle or not self.unit.is_leader():
            return
        apps = [relation.app.name for relation in self.model.relations["service-mesh"]]
        try:
            self.outcome = istio.enforce(self, self.options, self.provider.review(), apps)
        except kubernetes_errors() as error:
            self.obstacle = kubernetes_status(error, self.app.name)

    def _on_gone(self, _: ops.EventBase) -> None:
        """Leave nothing behind with the last unit, at a time when there may be no leader."""
        if self.app.planned_units() == 0:
            istio.clean_up(self)

    def _on_policies(self, event: ops.ActionEvent) -> None:
        if outcome := self._outcome(event):
            event.set_results(mesh.listing(outcome, event.params["format"]))

    def _on_explain(self, event: ops.ActionEvent) -> None:
        if outcome := self._outcome(event):
            members = istio.members(self.model.name, self.options.labels)
            here = mesh.Mesh(self.model.name, members, self.options.hardened, outcome)
            verdict = here.decide(self._call(event.params))
            word = "allowed" if verdict.allowed else "denied"
            event.set_results({"verdict": word, "reason": verdict.reason})

    def _call(self, params: Mapping[str, Any]) -> mesh.Call:
        return mesh.Call(
            source=params["from"],
            source_model=params.get("model", self.model.name),
            target=params["to"],
            port=params["port"],
            method=params["method"],
            path=params["path"],
        )

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
        if outcome.unenforced and self.options.enforcement == "authorization-policy":
            return ops.BlockedStatus(f"enforcement=authorization-policy: {outcome.unenforced}")
        if outcome.unenforced:
            return ops.ActiveStatus(f"nothing is enforced: {outcome.unenforced}")
        if refused := len(outcome.refused):
            return ops.ActiveStatus(f"refused policies: {refused}; run the action policies")
        return ops.ActiveStatus()


if __name__ == "__main__":
    ops.main(StubMeshCharm)
