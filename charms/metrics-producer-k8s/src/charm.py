#!/usr/bin/env python3
"""Charm that declares policies for its workload and lets the service mesh enforce them."""

import contextlib

import ops

import databags
import producer
from charms.istio_beacon_k8s.v0.service_mesh import (
    AppPolicy,
    Endpoint,
    Method,
    ServiceMeshConsumer,
    UnitPolicy,
)


class ProducerCharm(ops.CharmBase):
    """Serves metrics and data to related applications."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.container = self.unit.get_container(producer.CONTAINER)
        self.mesh = ServiceMeshConsumer(
            self,
            policies=[
                # A scraper may read the metrics through the Service, which picks one of the units.
                AppPolicy(
                    relation="metrics",
                    endpoints=[
                        Endpoint(
                            ports=[producer.METRICS_PORT], methods=[Method.get], paths=["/metrics"]
                        )
                    ],
                ),
                # Prometheus scrapes each unit by its own address, and a mesh decides about these
                # calls by port alone.
                UnitPolicy(relation="metrics", ports=[producer.METRICS_PORT]),
                # Related applications may read the data. No policy allows writing or
                # administration.
                AppPolicy(
                    relation="data",
                    endpoints=[
                        Endpoint(ports=[producer.DATA_PORT], methods=[Method.get], paths=["/data"])
                    ],
                ),
            ],
        )
        for event in (
            self.on.install,
            self.on[producer.CONTAINER].pebble_ready,
            self.on.config_changed,
            self.on.leader_elected,
            self.on.upgrade_charm,
            self.on["metrics"].relation_created,
            self.on["data"].relation_created,
        ):
            framework.observe(event, self._reconcile)
        framework.observe(self.on.collect_unit_status, self._on_collect_unit_status)

    def _reconcile(self, _: ops.EventBase) -> None:
        """Bring ports, relation data and workload to the desired state, regardless of the event."""
        self.unit.set_ports(producer.METRICS_PORT, producer.DATA_PORT)
        self._publish_metrics()
        if self.unit.is_leader():
            self._publish_data()
        if self.container.can_connect():
            producer.start(self.container)
            self.unit.set_workload_version(producer.VERSION)

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(self.mesh.status())
        event.add_status(producer.status(self.container))

    def _publish_metrics(self) -> None:
        address = databags.scrape_unit(self.unit, self.model.name)
        jobs = databags.scrape_jobs(self, producer.METRICS_PORT, "/metrics")
        for relation in self.model.relations["metrics"]:
            # Juju still lists a relation that it is removing, but accepts no more data for it.
            with contextlib.suppress(ops.RelationNotFoundError):
                relation.save(address, self.unit, encoder=str)
                if self.unit.is_leader():
                    relation.save(jobs, self.app)

    def _publish_data(self) -> None:
        host = f"{self.app.name}.{self.model.name}.svc.cluster.local"
        data = databags.HttpData(url=f"http://{host}:{producer.DATA_PORT}/data")
        for relation in self.model.relations["data"]:
            with contextlib.suppress(ops.RelationNotFoundError):
                relation.save(data, self.app)


if __name__ == "__main__":
    ops.main(ProducerCharm)
