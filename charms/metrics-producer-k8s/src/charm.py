#!/usr/bin/env python3
"""A charm that says who may call its workload, and leaves it to the mesh to see to it."""

import contextlib

import ops

import databags
import workload
from charms.istio_beacon_k8s.v0.service_mesh import (
    AppPolicy,
    Endpoint,
    Method,
    ServiceMeshConsumer,
    UnitPolicy,
)


class ProducerCharm(ops.CharmBase):
    """Serves metrics and data."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.container = self.unit.get_container(workload.CONTAINER)
        self.mesh = ServiceMeshConsumer(
            self,
            policies=[
                # A scraper that goes through the Service gets the metrics of one unit or another.
                AppPolicy(
                    relation="metrics",
                    endpoints=[
                        Endpoint(
                            ports=[workload.METRICS_PORT], methods=[Method.get], paths=["/metrics"]
                        )
                    ],
                ),
                # Prometheus goes to every unit, where a mesh knows ports, but no methods or paths.
                UnitPolicy(relation="metrics", ports=[workload.METRICS_PORT]),
                # Readers read; nobody writes, and nobody administers.
                AppPolicy(
                    relation="data",
                    endpoints=[
                        Endpoint(ports=[workload.DATA_PORT], methods=[Method.get], paths=["/data"])
                    ],
                ),
            ],
        )
        for event in (
            self.on.install,
            self.on[workload.CONTAINER].pebble_ready,
            self.on.config_changed,
            self.on.leader_elected,
            self.on.upgrade_charm,
            self.on["metrics"].relation_created,
            self.on["data"].relation_created,
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)

    def _reconcile(self, _: ops.EventBase) -> None:
        """Make the ports, the relations and the workload what they should be, whatever happened."""
        self.unit.set_ports(workload.METRICS_PORT, workload.DATA_PORT)
        self._publish_metrics()
        self._publish_data()
        if self.container.can_connect():
            workload.start(self.container)
            self.unit.set_workload_version(workload.VERSION)

    def _publish_metrics(self) -> None:
        address = databags.scrape_unit(self.unit, self.model.name)
        jobs = databags.scrape_jobs(self, workload.METRICS_PORT, "/metrics")
        for relation in self.model.relations["metrics"]:
            # Juju still lists a relation that it is removing, but does not take its data any more.
            with contextlib.suppress(ops.RelationNotFoundError):
                relation.save(address, self.unit, encoder=str)
                if self.unit.is_leader():
                    relation.save(jobs, self.app)

    def _publish_data(self) -> None:
        host = f"{self.app.name}.{self.model.name}.svc.cluster.local"
        data = databags.HttpData(url=f"http://{host}:{workload.DATA_PORT}/data")
        for relation in self.model.relations["data"]:
            with contextlib.suppress(ops.RelationNotFoundError):
                if self.unit.is_leader():
                    relation.save(data, self.app)

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(self.mesh.status())
        event.add_status(workload.status(self.container))


if __name__ == "__main__":
    ops.main(ProducerCharm)
