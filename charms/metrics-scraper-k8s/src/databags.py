"""Databag models for the relations that the scraper requires.

They are written by hand to keep the demo small. A charm for production uses the library of each
interface, for example `charms.prometheus_k8s.v0.prometheus_scrape`.

`prometheus_scrape`: https://documentation.ubuntu.com/charmlibs/reference/interfaces/prometheus_scrape/v0
"""

import dataclasses
import logging
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import TypeVar

import ops
import pydantic

import scraper

logger = logging.getLogger(__name__)

_Bag = TypeVar("_Bag", bound=pydantic.BaseModel)


class StaticConfig(pydantic.BaseModel):
    """Targets, each a host and a port. The host `*` stands for every unit."""

    targets: list[str]


class ScrapeJob(pydantic.BaseModel):
    """Targets that share a path."""

    metrics_path: str = "/metrics"
    static_configs: list[StaticConfig]


class Topology(pydantic.BaseModel):
    """The application that the metrics belong to."""

    application: str
    model: str


class ScrapeJobs(pydantic.BaseModel):
    """The application databag of `prometheus_scrape`, empty until the remote leader fills it."""

    scrape_jobs: list[ScrapeJob] = []
    scrape_metadata: Topology | None = None


class ScrapeUnit(pydantic.BaseModel):
    """The unit databag of `prometheus_scrape`: plain strings, empty until the unit fills it."""

    prometheus_scrape_unit_address: str = ""
    prometheus_scrape_unit_path: str = ""


class HttpData(pydantic.BaseModel):
    """The application databag of `http_data`, empty until the remote leader fills it."""

    url: str = ""


@dataclasses.dataclass(frozen=True)
class Producer:
    """A producer by the names in its own model. In another model, Juju may show an alias."""

    app: str
    model: str
    units: int = 1


def metrics_targets(relation: ops.Relation) -> Iterator[scraper.Target]:
    """Yield the targets that a `metrics` relation publishes."""
    units = sorted(relation.units, key=lambda unit: unit.name)
    bags = [_load(relation, ScrapeUnit, unit) for unit in units]
    ready = [bag for bag in bags if bag.prometheus_scrape_unit_address]
    for job in _load(relation, ScrapeJobs, relation.app).scrape_jobs:
        for config in job.static_configs:
            for target in config.targets:
                for url in _urls(target, job.metrics_path, ready):
                    yield scraper.Target("metrics", url)


def data_targets(relation: ops.Relation) -> Iterator[scraper.Target]:
    """Yield the target that a `data` relation publishes."""
    if url := _load(relation, HttpData, relation.app).url:
        yield scraper.Target("data", url)


def first_producer(relations: Sequence[ops.Relation]) -> Producer:
    """Return the producer behind the first relation that has published its address.

    Raises:
        LookupError: if none has published an address yet.
    """
    for relation in relations:
        if producer := _producer(relation):
            return producer
    raise LookupError(
        f"{relations[0].app.name}, related over {relations[0].name}, has not published its "
        "address yet: try again later, or set app=<application>"
    )


def _producer(relation: ops.Relation) -> Producer | None:
    """Return the producer behind a `metrics` or `data` relation, or None until it publishes."""
    if topology := _load(relation, ScrapeJobs, relation.app).scrape_metadata:
        return Producer(topology.application, topology.model, len(relation.units))
    if url := _load(relation, HttpData, relation.app).url:
        app, model, *_ = (urllib.parse.urlsplit(url).hostname or "").split(".")
        return Producer(app, model, len(relation.units))
    return None


def _urls(target: str, path: str, units: Sequence[ScrapeUnit]) -> list[str]:
    """Return the URLs of one target: one for each unit if its host is `*`."""
    if not target.startswith("*"):
        return [f"http://{target}{path}"]
    port = target.removeprefix("*")
    return [
        f"http://{unit.prometheus_scrape_unit_address}{port}{unit.prometheus_scrape_unit_path}{path}"
        for unit in units
    ]


def _load(relation: ops.Relation, kind: type[_Bag], source: ops.Unit | ops.Application) -> _Bag:
    """Return a databag, or an empty one if it is invalid: only the remote charm can correct it."""
    decoder = str if isinstance(source, ops.Unit) else None
    try:
        return relation.load(kind, source, decoder=decoder)
    except (ValueError, RecursionError) as error:
        logger.warning("Ignored invalid data of %s in %s: %s", source.name, relation.name, error)
        return kind()
