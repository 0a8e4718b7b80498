"""Fixtures that run the charm in a simulated Juju."""

import pytest
from ops import testing

from charm import ProducerCharm


@pytest.fixture
def context() -> testing.Context[ProducerCharm]:
    return testing.Context(ProducerCharm, app_name="producer")


@pytest.fixture
def container() -> testing.Container:
    return testing.Container("producer", can_connect=True)
