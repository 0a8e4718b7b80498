"""Juju state for tests: related applications and the policies that they request."""

import json
from collections.abc import Mapping
from typing import Any

from ops import testing

from charms.istio_beacon_k8s.v0.service_mesh import Endpoint, MeshPolicy, Method

READ = Endpoint(ports=[8080], methods=[Method.get], paths=["/data"])


def policy(**changes: Any) -> MeshPolicy:
    """Return a policy with some changes. Without changes, scraper may read the producer's data."""
    fields: dict[str, Any] = {
        "source_app_name": "scraper",
        "source_namespace": "demo",
        "target_app_name": "producer",
        "target_namespace": "demo",
        "endpoints": [READ],
    }
    return MeshPolicy(**{**fields, **changes})


def member(app: str, *policies: MeshPolicy) -> testing.Relation:
    """Return the relation of an application that requests these policies."""
    requested = json.dumps([each.model_dump(mode="json") for each in policies])
    return testing.Relation(
        "service-mesh", remote_app_name=app, remote_app_data={"policies": requested}
    )


def state(
    *relations: testing.RelationBase,
    leader: bool = True,
    config: Mapping[str, str | bool] | None = None,
    units: int = 1,
) -> testing.State:
    return testing.State(
        leader=leader,
        planned_units=units,
        model=testing.Model(name="demo"),
        config=dict(config or {}),
        relations=relations,
    )
