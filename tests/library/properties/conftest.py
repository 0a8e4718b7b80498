"""The number of examples: few and always the same by default, many with `tox -e deep`."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")

# Each step is HTTP over TLS, and one cluster serves all examples of a test.
EXPECTED = (
    HealthCheck.data_too_large,
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
)
COMMON = settings(deadline=None, stateful_step_count=30, suppress_health_check=EXPECTED)
# A failure is reported as it was found, because shrinking it takes minutes.
QUICK = (Phase.explicit, Phase.generate)

EXAMPLES = {"default": 30, "deep": 500}

settings.register_profile(
    "default", COMMON, max_examples=EXAMPLES["default"], derandomize=True, phases=QUICK
)
settings.register_profile("deep", COMMON, max_examples=EXAMPLES["deep"], print_blob=True)
settings.load_profile(PROFILE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"properties: up to {EXAMPLES[PROFILE]} examples each ({PROFILE})")
