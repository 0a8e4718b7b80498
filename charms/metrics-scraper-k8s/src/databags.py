"""What the scraper reads from its relations, as the interfaces have it.

`prometheus_scrape`: https://documentation.ubuntu.com/charmlibs/reference/interfaces/prometheus_scrape/v0
"""

import dataclasses
import urllib.parse
from collections.abc import Iterator, Sequence

import ops
import pydantic

import workload


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


def metrics_targets(relation: ops.Relation) -> Iterator[workload.Target]:
    """Yield what a `metrics` relation asks to be scraped."""
    units = sorted(relation.units, key=lambda unit: unit.name)
    bags = [relation.load(ScrapeUnit, unit, decoder=str) for unit in units]
    ready = [bag for bag in bags if bag.prometheus_scrape_unit_address]
    for job in relation.load(ScrapeJobs, relation.app).scrape_jobs:
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
    if url := relation.load(HttpData, relation.app).url:
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
    if topology := relation.load(ScrapeJobs, relation.app).scrape_metadata:
        return Producer(topology.application, topology.model, len(relation.units))
    if url := relation.load(HttpData, relation.app).url:
        app, model, *_ = (urllib.parse.urlsplit(url).hostname or "").split(".")
        return Producer(app, model, len(relation.units))
    return None
