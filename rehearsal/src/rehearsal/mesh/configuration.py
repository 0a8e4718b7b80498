"""Envoy's configuration, and the steps between two configurations that lose no call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rehearsal.mesh import envoy, inbound
from rehearsal.mesh.envoy import Json


@dataclass(frozen=True)
class Configuration:
    """The resources of Envoy, by name.

    Attributes:
        clusters: the destinations of all listeners.
        routes: the routes of inbound listeners, with the rules of policies.
        tables: the route tables of egress listeners.
        listeners: the egress and inbound listeners.
    """

    clusters: Mapping[str, Json]
    routes: Mapping[str, Json]
    tables: Mapping[str, Json]
    listeners: Mapping[str, Json]

    @property
    def files(self) -> dict[str, Sequence[Json]]:
        """The files by name, in the order in which to write them: a target before its route."""
        return {
            envoy.CLUSTERS: list(self.clusters.values()),
            **inbound.tables(list(self.routes.values())),
            **{name: [table] for name, table in self.tables.items()},
            envoy.LISTENERS: list(self.listeners.values()),
        }


def steps(old: Configuration, new: Configuration) -> Iterator[Configuration]:
    """Yield the configurations to apply, one after the other, to get from one to another.

    A new resource is there before another one refers to it. A resource is removed after the last
    reference to it.
    """
    if old.listeners.keys() != new.listeners.keys():
        step = Configuration(
            {**old.clusters, **new.clusters},
            old.routes or new.routes,
            {**new.tables, **old.tables},
            {**old.listeners, **new.listeners},
        )
        yield step
        yield (step := replace(step, routes={**old.routes, **new.routes}))
        yield replace(step, tables={**old.tables, **new.tables})
    yield new
