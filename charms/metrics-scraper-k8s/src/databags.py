"""What the scraper reads from its relations, as the interfaces have it.

`prometheus_scrape`: https://documentation.ubuntu.com/charmlibs/reference/interfaces/prometheus_scrape/v0
"""

import dataclasses
import logging
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import TypeVar

import ops
import pydantic

import workload

logger = logging.getLogger(__name__)

_Bag = TypeVar("_Bag", bound=pydantic.BaseModel)


class StaticConfig(pydantic.BaseModel):
    """Targets, each a host and a port; the host `*` stands for every unit."""

    targets: list[str]


class ScrapeJob(pydantic.BaseModel):
    """What to scrape."""

    metrics_path: str = "/metrics"
    static_configs: list[StaticConfig]


class Topology(pydantic.BaseModel):
    """Whose metrics they are."""

    application: str
    model: str


class ScrapeJobs(pydantic.BaseModel):
    """The application's bag of `prometheus_scrape`, empty until its leader has filled it."""

    scrape_jobs: list[ScrapeJob] = []
    scrape_metadata: Topology | None = None


class ScrapeUnit(pydantic.BaseModel):
    """A unit's bag of `prometheus_scrape`: plain strings, empty until the unit has filled it."""

    prometheus_scrape_unit_address: str = ""
    prometheus_scrape_unit_path: str = ""


class HttpData(pydantic.BaseModel):
    """The application's bag of `http_data`, empty until its leader has filled it."""

    url: str = ""


@dataclasses.dataclass(frozen=True)
class Producer:
    """A producer under its own names; seen from another model, Juju may call it something else."""

    app: str
    model: str
    units: int = 1


def _load(relation: ops.Relation, kind: type[_Bag], source: ops.Unit | ops.Application) -> _Bag:
    """Return a bag, or an empty one where it cannot be read: it is somebody else's to put right."""
    decoder = str if isinstance(source, ops.Unit) else None
    try:
        return relation.load(kind, source, decoder=decoder)
    except (ValueError, RecursionError) as error:
        logger.warning("Cannot read what %s says over %s: %s", source.name, relation.name, error)
        return kind()


def metrics_targets(relation: ops.Relation) -> Iterator[workload.Target]:
    """Yield what a `metrics` relation asks to be scraped."""
    units = sorted(relation.units, key=lambda unit: unit.name)
    bags = [_load(relation, ScrapeUnit, unit) for unit in units]
    ready = [bag for bag in bags if bag.prometheus_scrape_unit_address]
    for job in _load(relation, ScrapeJobs, relation.app).scrape_jobs:
        for config in job.static_configs:
            for target in config.targets:
                for url in _urls(target, job.metrics_path, ready):
                    yield workload.Target("metrics", url)


def _urls(target: str, path: str, units: Sequence[ScrapeUnit]) -> list[str]:
    """Return the URLs of one target, of which `*:9090` has one for each unit."""
    if not target.startswith("*"):
        return [f"http://{target}{path}"]
    port = target.removeprefix("*")
    return [
        f"http://{unit.prometheus_scrape_unit_address}{port}{unit.prometheus_scrape_unit_path}{path}"
        for unit in units
    ]


def data_targets(relation: ops.Relation) -> Iterator[workload.Target]:
    """Yield what a `data` relation asks to be scraped."""
    if url := _load(relation, HttpData, relation.app).url:
        yield workload.Target("data", url)


def first_producer(relations: Sequence[ops.Relation]) -> Producer:
    """Return whom the first of some relations leads to that says so.

    Raises:
        LookupError: if none says so yet.
    """
    if found := next(filter(None, map(_producer, relations)), None):
        return found
    raise LookupError(
        f"{relations[0].app.name}, to which this is related over {relations[0].name}, "
        "has published no address yet; or name one: app=<application>"
    )


def _producer(relation: ops.Relation) -> Producer | None:
    """Return whom a `metrics` or `data` relation leads to, as soon as it says so."""
    if topology := _load(relation, ScrapeJobs, relation.app).scrape_metadata:
        return Producer(topology.application, topology.model, len(relation.units))
    if url := _load(relation, HttpData, relation.app).url:
        app, model, *_ = (urllib.parse.urlsplit(url).hostname or "").split(".")
        return Producer(app, model, len(relation.units))
    return None
