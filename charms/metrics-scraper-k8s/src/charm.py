#!/usr/bin/env python3
"""Charm that scrapes other applications through the service mesh."""

import logging

import ops
import pydantic

import config
import databags
import scraper
from charms.istio_beacon_k8s.v0.service_mesh import ServiceMeshConsumer

# Both log every request, and ops starts a juju-log process for each line.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class ScraperCharm(ops.CharmBase):
    """Scrapes the producers that it is related to."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.container = self.unit.get_container(scraper.CONTAINER)
        # No policies, as no application calls the scraper. It joins the mesh to get the identity
        # by which producers recognise it.
        auto_join = self.load_config(config.MeshConfig).auto_join
        self.mesh = ServiceMeshConsumer(self, auto_join=auto_join)
        for event in (
            self.on.install,
            self.on[scraper.CONTAINER].pebble_ready,
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
        """Bring the port and the workload to the desired state, regardless of the event."""
        self.unit.set_ports(scraper.PORT)
        try:
            options = self.load_config(config.Config)
        except pydantic.ValidationError:
            return  # The workload keeps its last valid options. The status names the invalid one.
        if self.container.can_connect():
            name = f"{self.app.name} in model {self.model.name}"
            scraper.start(self.container, name, self._targets(), options.scrape_interval)
            self.unit.set_workload_version(scraper.VERSION)

    def _on_probe(self, event: ops.ActionEvent) -> None:
        """Call the producer from this pod. Only the demo needs this action."""
        import probe  # Here, because it imports httpx, for which no hook should have to wait.

        params = event.load_params(config.ProbeParams, errors="fail")
        try:
            producer = self._producer(params)
        except LookupError as error:
            event.fail(str(error))
            return
        results = probe.results(probe.run(producer), params.format)
        event.set_results({"app": producer.app, "model": producer.model, **results})

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        try:
            self.load_config(config.Config)
        except pydantic.ValidationError as error:
            event.add_status(ops.BlockedStatus(config.problem(error)))
        event.add_status(self.mesh.status())
        event.add_status(scraper.status(self.container))

    def _targets(self) -> list[scraper.Target]:
        targets: list[scraper.Target] = []
        for relation in self.model.relations["metrics"]:
            targets.extend(databags.metrics_targets(relation))
        for relation in self.model.relations["data"]:
            targets.extend(databags.data_targets(relation))
        return targets

    def _producer(self, params: config.ProbeParams) -> databags.Producer:
        """Return the producer that the parameters name, or else the first related producer.

        Raises:
            LookupError: if the parameters name no producer, and none is related or has published
                its address.
        """
        if params.app:
            return databags.Producer(params.app, params.model or self.model.name)
        relations = [*self.model.relations["metrics"], *self.model.relations["data"]]
        if params.model or not relations:
            raise LookupError(
                "no producer to probe: set app=<application>, "
                "and model=<model> if it is in another model"
            )
        return databags.first_producer(relations)


if __name__ == "__main__":
    ops.main(ScraperCharm)
