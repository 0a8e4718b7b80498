"""The packed charm on a Juju controller, through the `juju` on PATH."""

import os
from collections.abc import Iterator

import jubilant
import pytest

CHARM = os.environ.get("CHARM_PATH", "./metrics-producer-k8s.charm")
IMAGES = {"producer-image": "docker.io/library/python:3.12-slim"}


@pytest.fixture(scope="module")
def juju() -> Iterator[jubilant.Juju]:
    with jubilant.temp_model() as juju:
        juju.deploy(CHARM, "producer", resources=IMAGES, trust=True)
        juju.wait(jubilant.all_active, error=jubilant.any_error, timeout=600, successes=10)
        yield juju


def get(juju: jubilant.Juju, url: str) -> str:
    return juju.exec(f"curl -s {url}", unit="producer/0").stdout


def test_each_port_serves_its_own_path(juju: jubilant.Juju):
    assert "producer_items 0" in get(juju, "http://localhost:9090/metrics")
    assert '{"items": []}' in get(juju, "http://localhost:8080/data")


def test_no_port_serves_the_path_of_the_other(juju: jubilant.Juju):
    assert "GET /data is not served here" in get(juju, "http://localhost:9090/data")
    assert "GET /metrics is not served here" in get(juju, "http://localhost:8080/metrics")
