"""Envoy's configuration, and the steps from one to another that lose no call."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rehearsal.mesh import envoy, inbound
from rehearsal.mesh.envoy import Json


@dataclass(frozen=True)
class Configuration:
    """All that Envoy is told, by name.

    Attributes:
        clusters: what listeners lead to.
        routes: those of inbound listeners, with what policies say.
        tables: the route tables of egress listeners.
        listeners: egress and inbound.
    """

    clusters: Mapping[str, Json]
    routes: Mapping[str, Json]
    tables: Mapping[str, Json]
    listeners: Mapping[str, Json]

    @property
    def files(self) -> dict[str, Sequence[Json]]:
        """The files by name. The target of a route comes before the route."""
        return {
            envoy.CLUSTERS: list(self.clusters.values()),
            **inbound.tables(list(self.routes.values())),
            **{name: [table] for name, table in self.tables.items()},
            envoy.LISTENERS: list(self.listeners.values()),
        }


def steps(old: Configuration, new: Configuration) -> Iterator[Configuration]:
    """Yield the configurations to apply, one after the other, to get from one to another.

    What is new is there before anything leads to it; what is gone is led to no more when it goes.
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
