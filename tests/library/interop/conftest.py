"""Gives the two libraries their names in the ids of tests."""

from two_libraries import OURS, PUBLISHED


def pytest_make_parametrize_id(val: object) -> str | None:
    if val is OURS:
        return "ours"
    return "theirs" if val is PUBLISHED else None
