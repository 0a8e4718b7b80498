"""The work of the libraries within a process: importing, collecting policies, rendering them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import ops
from canonical_service_mesh.k8s import resource_manager
from canonical_service_mesh.utils import istio
from charmlibs.interfaces import service_mesh as published
from juju import CHARM, charm_environment
from measure import OURS, PUBLISHED, Timed, Times, in_turn, once
from ops import testing
from small_charms import LABELS, entry, state
from small_cluster import MODEL

from charms.istio_beacon_k8s.v0 import service_mesh as ours

# The package has only some of the types.
published_istio: Any = istio

# The floor: the cost of any charm that has a pydantic model.
_BARE = "import ops, pydantic\nclass Model(pydantic.BaseModel): field: int"


def imports(times: int) -> list[Times]:
    """Return the durations of a process that imports ours, the published library, and neither."""
    return in_turn(
        times,
        _running("import charm", OURS),
        _running("import charm", PUBLISHED),
        _running(_BARE, ""),
    )


def _running(program: str, module: str) -> Timed:
    command = [sys.executable, "-c", program]
    environment = {"PATH": os.environ["PATH"], **charm_environment(module)}

    def run() -> float:
        started = time.perf_counter()
        subprocess.run(command, env=environment, cwd=CHARM / "src", check=True)
        return time.perf_counter() - started

    return run


class MeshCharm(ops.CharmBase):
    """Provides a mesh with either library, each at an endpoint of its own."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.ours = ours.ServiceMeshProvider(self, LABELS, mesh_relation_name="ours")
        self.published = published.ServiceMeshProvider(
            self, LABELS, published.MeshType.istio, "theirs"
        )


@contextmanager
def _mesh_charm(*relations: testing.Relation) -> Generator[MeshCharm]:
    endpoints = {name: {"interface": "service_mesh"} for name in ("ours", "theirs")}
    context = testing.Context(MeshCharm, meta={"name": "mesh", "provides": endpoints})
    with context(context.on.start(), state(*relations)) as running:
        yield running.charm


def _entries(app: int, number: int) -> list[dict[str, Any]]:
    """Return the policies of an application, one for each of this number of callers."""
    return [entry(source_app_name=f"caller{n}", target_app_name=f"app{app}") for n in range(number)]


def _asking(endpoint: str, app: int, number: int) -> testing.Relation:
    bag = {"policies": json.dumps(_entries(app, number))}
    return testing.Relation(endpoint, remote_app_name=f"app{app}", remote_app_data=bag)


def mesh_infos(relations: int, each: int, times: int) -> list[Times]:
    """Return the durations of collecting the policies of this number of relations."""
    asking = [_asking(name, app, each) for name in ("ours", "theirs") for app in range(relations)]
    with _mesh_charm(*asking) as charm:
        return in_turn(times, _once(charm.ours.mesh_info), _once(charm.published.mesh_info))


def reviews(relations: int, each: int, times: int) -> Times:
    """Return the durations of a review, which the published library does not have."""
    with _mesh_charm(*(_asking("ours", app, each) for app in range(relations))) as charm:
        [taken] = in_turn(times, _once(charm.ours.review))
    return taken


class Nowhere:
    """A Kubernetes client that finds no objects and writes none."""

    def list(self, *_: object, **__: object) -> list[object]:
        """Return no objects."""
        return []

    def apply(self, *_: object, **__: object) -> None:
        """Write nothing."""
        return

    def patch(self, *_: object, **__: object) -> None:
        """Write nothing."""
        return


def renderings(policies: int, times: int) -> list[Times]:
    """Return the durations of rendering, by our manager, the published one, and its builder."""
    requested = [each for app in range(policies // 10) for each in _entries(app, 10)]
    our_policies = [ours.MeshPolicy.model_validate(each) for each in requested]
    their_policies = [published.MeshPolicy.model_validate(each) for each in requested]
    nowhere: Any = Nowhere()
    with _mesh_charm() as charm:
        labels = {"managed-by": "mesh"}
        manager = ours.PolicyResourceManager(charm, nowhere, labels)
        other: Any = resource_manager.PolicyResourceManager(charm, nowhere, labels)
        build = published_istio.build_policy_resources_istio
        return in_turn(
            times,
            _once(lambda: manager.reconcile(our_policies, ours.MeshType.istio)),
            _once(lambda: other.reconcile(their_policies, published.MeshType.istio)),
            _once(lambda: build("mesh", MODEL, their_policies)),
        )


def _once(action: Callable[[], object]) -> Timed:
    return lambda: once(action)
