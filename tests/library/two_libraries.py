"""The same two charms on either library: code for one of them runs on the other."""

import contextlib
from collections.abc import Generator
from typing import Any

import ops
from canonical_service_mesh.k8s import resource_manager
from canonical_service_mesh.utils import istio
from charmlibs.interfaces import service_mesh as published
from ops import testing
from small_charms import CONSUMER, LABELS, PROVIDER, provider, state
from small_cluster import APP, connected

from charms.istio_beacon_k8s.v0 import service_mesh as ours

# No type describes the contents of a module. These two modules should have the same.
Library = Any

OURS: Library = ours
PUBLISHED: Library = published
# Our library has the names of these two modules in its one module.
PUBLISHED_RESOURCES: Library = resource_manager
PUBLISHED_LABELS: Library = istio


def policies_on(library: Library) -> list[Any]:
    """Return a policy of each kind."""
    get_data = library.Endpoint(ports=[8080], methods=[library.Method.get], paths=["/data"])
    return [
        library.AppPolicy(relation="data", endpoints=[get_data]),
        library.AppPolicy(
            relation="data", endpoints=[library.Endpoint(ports=[443])], service="producer-lb"
        ),
        library.UnitPolicy(relation="metrics", ports=[9090]),
        library.UnitPolicy(relation="upstream"),
    ]


def consumer_on(library: Library, auto_join: bool = True) -> testing.Context[Any]:
    class Consumer(ops.CharmBase):
        def __init__(self, framework: ops.Framework):
            super().__init__(framework)
            self.mesh = library.ServiceMeshConsumer(
                self, policies=policies_on(library), auto_join=auto_join
            )

    return testing.Context(Consumer, meta=CONSUMER, app_name=APP)


def provider_on(library: Library) -> testing.Context[Any]:
    class Provider(ops.CharmBase):
        def __init__(self, framework: ops.Framework):
            super().__init__(framework)
            self.mesh = library.ServiceMeshProvider(
                self, labels=LABELS, mesh_type=library.MeshType.istio
            )

    return testing.Context(Provider, meta=PROVIDER, app_name="mesh")


@contextlib.contextmanager
def manager_on(library: Library) -> Generator[Any]:
    """Yield a manager of the policies of the application `mesh`."""
    resources = PUBLISHED_RESOURCES if library is PUBLISHED else library
    charm = provider()
    with charm(charm.on.update_status(), state()) as running, connected("mesh") as client:
        yield resources.PolicyResourceManager(
            charm=running.charm, lightkube_client=client, labels={"managed-by": "mesh"}
        )


def reconcile_on(library: Library, *entries: dict[str, Any], **rest: Any) -> None:
    """Bring the policies of the application `mesh` in the cluster to these."""
    policies = [library.MeshPolicy.model_validate(each) for each in entries]
    with manager_on(library) as manager:
        manager.reconcile(policies=policies, mesh_type=library.MeshType.istio, **rest)
