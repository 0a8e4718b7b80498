#!/usr/bin/env python3
"""A charm that calls others through a service mesh, and finds out who lets it."""

import ops
import pydantic

import config
import databags
import workload
from charms.istio_beacon_k8s.v0.service_mesh import ServiceMeshConsumer


class ScraperCharm(ops.CharmBase):
    """Scrapes the producers that it is related to."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.container = self.unit.get_container(workload.CONTAINER)
        # It has no policies, as nothing calls it: on the mesh it has an identity to call with.
        self.mesh = ServiceMeshConsumer(self, auto_join=bool(self.config["auto-join"]))
        for event in (
            self.on.install,
            self.on[workload.CONTAINER].pebble_ready,
            self.on.config_changed,
            self.on.upgrade_charm,
            self.on["metrics"].relation_changed,
            self.on["metrics"].relation_departed,
            self.on["metrics"].relation_broken,
            self.on["data"].relation_changed,
            self.on["data"].relation_broken,
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.probe_action, self._on_probe)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)

    def _reconcile(self, _: ops.EventBase) -> None:
        """Make the port and the workload what they should be, whatever happened."""
        self.unit.set_ports(workload.PORT)
        try:
            options = self.load_config(config.Config)
        except pydantic.ValidationError:
            return  # The workload goes on as it was; the status says what is wrong.
        if self.container.can_connect():
            name = f"{self.app.name} in model {self.model.name}"
            workload.start(self.container, name, self._targets(), options.scrape_interval)
            self.unit.set_workload_version(workload.VERSION)

    def _targets(self) -> list[workload.Target]:
        metrics, data = self.model.relations["metrics"], self.model.relations["data"]
        return [
            *(target for relation in metrics for target in databags.metrics_targets(relation)),
            *(target for relation in data for target in databags.data_targets(relation)),
        ]

    def _on_probe(self, event: ops.ActionEvent) -> None:
        import probe  # httpx takes 50 ms to import, which no hook need wait for.

        params = event.load_params(config.ProbeParams, errors="fail")
        try:
            producer = self._producer(params)
        except LookupError as error:
            event.fail(str(error))
            return
        results = probe.results(probe.run(producer), params.format)
        event.set_results({"app": producer.app, "model": producer.model, **results})

    def _producer(self, params: config.ProbeParams) -> databags.Producer:
        """Return whom to probe: whom the parameters name, or else the first related producer.

        Raises:
            LookupError: if nobody is named, and no relation leads to anybody.
        """
        if params.app:
            return databags.Producer(params.app, params.model or self.model.name)
        relations = [*self.model.relations["metrics"], *self.model.relations["data"]]
        if params.model or not relations:
            raise LookupError(
                "say which producer: app=<application>, and model=<model> if not in this one"
            )
        return databags.first_producer(relations)

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        try:
            self.load_config(config.Config)
        except pydantic.ValidationError as error:
            event.add_status(ops.BlockedStatus(config.problem(error)))
        event.add_status(self.mesh.status())
        event.add_status(workload.status(self.container))


if __name__ == "__main__":
    ops.main(ScraperCharm)
