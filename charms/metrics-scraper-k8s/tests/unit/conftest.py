"""Fixtures that run the charm in a simulated Juju."""

import pytest
from ops import testing

from charm import ScraperCharm


@pytest.fixture
def context() -> testing.Context[ScraperCharm]:
    return testing.Context(ScraperCharm, app_name="scraper")


@pytest.fixture
def container() -> testing.Container:
    return testing.Container("scraper", can_connect=True)
