"""Names the two libraries in reports."""

from two_libraries import OURS, PUBLISHED


def pytest_make_parametrize_id(val: object) -> str | None:
    if val is OURS:
        return "ours"
    return "theirs" if val is PUBLISHED else None
