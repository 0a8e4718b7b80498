"""The packed charm on a Juju controller, through the `juju` on PATH."""

import os
from collections.abc import Iterator

import jubilant
import pytest

CHARM = os.environ.get("CHARM_PATH", "./metrics-scraper-k8s.charm")
IMAGES = {"scraper-image": "docker.io/library/python:3.12-slim"}


@pytest.fixture(scope="module")
def juju() -> Iterator[jubilant.Juju]:
    with jubilant.temp_model() as juju:
        juju.deploy(CHARM, "scraper", resources=IMAGES, trust=True)
        juju.wait(jubilant.all_active, error=jubilant.any_error, timeout=600, successes=10)
        yield juju


def test_without_a_producer_it_serves_an_empty_list(juju: jubilant.Juju):
    task = juju.exec("curl -s http://localhost:8080/api/targets", unit="scraper/0")

    assert task.stdout == "[]"


def test_an_invalid_interval_blocks_it_until_corrected(juju: jubilant.Juju):
    juju.config("scraper", {"scrape-interval": 0})
    juju.wait(jubilant.all_blocked)
    message = juju.status().apps["scraper"].units["scraper/0"].workload_status.message
    assert "scrape-interval" in message

    juju.config("scraper", {"scrape-interval": 10})
    juju.wait(jubilant.all_active)
