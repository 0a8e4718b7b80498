"""Databag models for the relations that the producer provides.

They are written by hand to keep the demo small. A charm for production uses the library of each
interface, for example `charms.prometheus_k8s.v0.prometheus_scrape`.

`prometheus_scrape`: https://documentation.ubuntu.com/charmlibs/reference/interfaces/prometheus_scrape/v0
"""

from typing import Any

import ops
import pydantic


class ScrapeJobs(pydantic.BaseModel):
    """The application databag of `prometheus_scrape`. Each value is encoded as JSON."""

    scrape_jobs: list[dict[str, Any]]
    scrape_metadata: dict[str, str]
    alert_rules: dict[str, Any]


class ScrapeUnit(pydantic.BaseModel):
    """The unit databag of `prometheus_scrape`. Its values are plain strings."""

    prometheus_scrape_unit_address: str
    prometheus_scrape_unit_name: str
    # A prefix for the path of each job, for units behind an ingress. This charm needs none.
    prometheus_scrape_unit_path: str = ""


class HttpData(pydantic.BaseModel):
    """The application databag of `http_data`."""

    url: str


def scrape_jobs(charm: ops.CharmBase, port: int, path: str) -> ScrapeJobs:
    """Return one scrape job for all units of this application, and an alert for units down."""
    metadata = {
        "model": charm.model.name,
        "model_uuid": charm.model.uuid,
        "application": charm.app.name,
        "unit": charm.unit.name,
        "charm_name": charm.meta.name,
    }
    # A scraper replaces `*` by the address of each unit.
    job = {"metrics_path": path, "static_configs": [{"targets": [f"*:{port}"]}]}
    group = {"name": charm.app.name, "rules": [_unit_down(metadata)]}
    return ScrapeJobs(scrape_jobs=[job], scrape_metadata=metadata, alert_rules={"groups": [group]})


def scrape_unit(unit: ops.Unit, model: str) -> ScrapeUnit:
    """Return the DNS name of the unit's pod, which outlives the pod and its IP address."""
    app = unit.app.name
    pod = unit.name.replace("/", "-")
    return ScrapeUnit(
        prometheus_scrape_unit_address=f"{pod}.{app}-endpoints.{model}.svc.cluster.local",
        prometheus_scrape_unit_name=unit.name,
    )


def _unit_down(metadata: dict[str, str]) -> dict[str, Any]:
    """Return an alert rule for any unit of this application that cannot be scraped."""
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
