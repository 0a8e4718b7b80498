"""Two charms that use the library and nothing else, and states for them."""

import json
from typing import Any

import ops
import pydantic
from ops import testing
from small_cluster import APP, MODEL

from charms.istio_beacon_k8s.v0.service_mesh import (
    AppPolicy,
    Endpoint,
    Method,
    Policy,
    ServiceMeshConsumer,
    ServiceMeshProvider,
    UnitPolicy,
)

LABELS = {"istio.io/dataplane-mode": "ambient"}
ALIAS = "remote-" + "0123456789abcdef" * 2

CONSUMER: dict[str, Any] = {
    "name": APP,
    "requires": {
        "service-mesh": {"interface": "service_mesh", "limit": 1},
        "require-cmr-mesh": {"interface": "cross_model_mesh"},
        "upstream": {"interface": "upstream"},
    },
    "provides": {
        "provide-cmr-mesh": {"interface": "cross_model_mesh"},
        "data": {"interface": "http_data"},
        "metrics": {"interface": "prometheus_scrape"},
    },
}
PROVIDER: dict[str, Any] = {
    "name": "mesh",
    "provides": {"service-mesh": {"interface": "service_mesh"}},
}

# ops.testing has no public name for the type of its events.
Event = Any


class Config(pydantic.BaseModel):
    auto_join: bool = True


class ConsumerCharm(ops.CharmBase):
    """Allows related applications to read its data and to scrape each unit."""

    policies: tuple[Policy | AppPolicy | UnitPolicy, ...] = (
        AppPolicy(
            relation="data",
            endpoints=[Endpoint(ports=[8080], methods=[Method.get], paths=["/data"])],
        ),
        UnitPolicy(relation="metrics", ports=[9090]),
    )

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        config = self.load_config(Config)
        self.mesh = ServiceMeshConsumer(self, policies=self.policies, auto_join=config.auto_join)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)

    def _on_collect_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(self.mesh.status())


class ProviderCharm(ops.CharmBase):
    """Provides a mesh with the labels from its config."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        labels = json.loads(str(self.config["labels"]))
        self.mesh = ServiceMeshProvider(self, labels=labels)


OPTIONS = {"options": {"auto-join": {"type": "boolean", "default": True}}}


def consumer(juju_version: str = "3.6.14", unit: int = 0) -> testing.Context[ConsumerCharm]:
    return testing.Context(
        ConsumerCharm,
        meta=CONSUMER,
        config=OPTIONS,
        app_name=APP,
        unit_id=unit,
        juju_version=juju_version,
    )


def provider(app: str = "mesh") -> testing.Context[ProviderCharm]:
    options = {"labels": {"type": "string", "default": json.dumps(LABELS)}}
    return testing.Context(ProviderCharm, meta=PROVIDER, config={"options": options}, app_name=app)


def state(*relations: testing.RelationBase, leader: bool = True, **rest: Any) -> testing.State:
    """Return the state of a unit in the model `prod`."""
    model = testing.Model(MODEL, uuid="11111111-1111-4111-8111-111111111111")
    return testing.State(relations=relations, leader=leader, model=model, **rest)


def mesh(**remote_app_data: str) -> testing.Relation:
    return testing.Relation("service-mesh", remote_app_name="mesh", remote_app_data=remote_app_data)


def ambient(**labels: str) -> testing.Relation:
    """Return the relation to a mesh that published its labels."""
    return mesh(labels=json.dumps(labels or LABELS), mesh_type='"istio"')


def related(endpoint: str, app: str, **rest: Any) -> testing.Relation:
    return testing.Relation(endpoint, remote_app_name=app, **rest)


def identity(alias: str, app: str, model: str) -> testing.Relation:
    data = json.dumps({"app_name": app, "juju_model_name": model})
    return related("provide-cmr-mesh", alias, remote_app_data={"cmr_data": data})


def requesting(app: str, *entries: dict[str, Any]) -> testing.Relation:
    """Return the relation of an application that requests these policies from the mesh."""
    data = {"policies": json.dumps(entries)}
    return testing.Relation("service-mesh", remote_app_name=app, remote_app_data=data)


def entry(**changes: Any) -> dict[str, Any]:
    """Return a policy in the form that relation data has."""
    wire = {
        "source_namespace": MODEL,
        "source_app_name": "scraper",
        "target_namespace": MODEL,
        "target_app_name": APP,
        "target_selector_labels": None,
        "target_service": None,
        "target_type": "app",
        "endpoints": [{"hosts": None, "ports": [9090], "methods": ["GET"], "paths": ["/metrics"]}],
    }
    return {**wire, **changes}
