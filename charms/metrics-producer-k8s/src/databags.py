"""What the producer writes into its relations, as the interfaces have it.

`prometheus_scrape`: https://documentation.ubuntu.com/charmlibs/reference/interfaces/prometheus_scrape/v0
"""

from typing import Any

import ops
import pydantic


class ScrapeJobs(pydantic.BaseModel):
    """The application's bag of `prometheus_scrape`: each field is one key, and its value JSON."""

    scrape_jobs: list[dict[str, Any]]
    scrape_metadata: dict[str, str]
    alert_rules: dict[str, Any]


class ScrapeUnit(pydantic.BaseModel):
    """A unit's bag of `prometheus_scrape`: plain strings. There is no prefix to the path."""

    prometheus_scrape_unit_address: str
    prometheus_scrape_unit_name: str
    prometheus_scrape_unit_path: str = ""


class HttpData(pydantic.BaseModel):
    """The application's bag of `http_data`."""

    url: str


def scrape_jobs(charm: ops.CharmBase, port: int, path: str) -> ScrapeJobs:
    """Return one job for every unit of this application, and an alert for a unit that is down."""
    metadata = {
        "model": charm.model.name,
        "model_uuid": charm.model.uuid,
        "application": charm.app.name,
        "unit": charm.unit.name,
        "charm_name": charm.meta.name,
    }
    return ScrapeJobs(
        scrape_jobs=[{"metrics_path": path, "static_configs": [{"targets": [f"*:{port}"]}]}],
        scrape_metadata=metadata,
        alert_rules={"groups": [{"name": charm.app.name, "rules": [_unit_down(metadata)]}]},
    )


def _unit_down(metadata: dict[str, str]) -> dict[str, Any]:
    """Return an alert for any unit of this application, with Prometheus' labels for it."""
    topology = {
        "juju_model": metadata["model"],
        "juju_model_uuid": metadata["model_uuid"],
        "juju_application": metadata["application"],
    }
    selector = ", ".join(f'{label}="{value}"' for label, value in topology.items())
    return {
        "alert": "ProducerDown",
        "expr": f"up{{{selector}}} == 0",
        "for": "1m",
        "labels": {"severity": "critical", **topology},
        "annotations": {"summary": "{{ $labels.juju_unit }} cannot be scraped."},
    }


def scrape_unit(unit: ops.Unit, model: str) -> ScrapeUnit:
    """Return the name of the unit's pod, which stays when the pod and its address are replaced."""
    app = unit.app.name
    pod = unit.name.replace("/", "-")
    return ScrapeUnit(
        prometheus_scrape_unit_address=f"{pod}.{app}-endpoints.{model}.svc.cluster.local",
        prometheus_scrape_unit_name=unit.name,
    )
