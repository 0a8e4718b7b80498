"""Durations as Go writes them."""

import pytest

from rehearsal.juju.durations import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("250us", 0.00025)],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, expected: float):
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "10", "abc", "1m30", "s", "-1s"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(ValueError, match="invalid duration"):
        seconds(text)
