"""The table of the story on terminals of different widths, and its mark for a difference."""

import pytest

from demo.table import AUTHORIZATION_POLICIES, NOTHING, Line, Row
from demo.telling import Teller

RELATED = AUTHORIZATION_POLICIES.related


def told(capsys: pytest.CaptureFixture[str], observed: Row) -> list[str]:
    """Return the lines of a table with one expected result and one that differs."""
    teller = Teller()
    lines = [
        Line("scraper without data", RELATED, observed),
        Line("outsider", NOTHING, NOTHING),
    ]
    teller.table(lines)
    return capsys.readouterr().out.splitlines()


@pytest.fixture(params=["80", "100"])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", request.param)
    return int(request.param)


def test_the_table_fits_the_terminal(capsys: pytest.CaptureFixture[str], columns: int):
    opposite = {call: "200" if RELATED[call] == "denied" else "denied" for call in RELATED}

    for observed in (RELATED, opposite):
        lines = told(capsys, observed)

        assert max(map(len, lines)) <= columns
        assert "…" not in "".join(lines)


def test_a_narrow_table_has_each_call_in_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")

    heading = [line.split() for line in told(capsys, RELATED)[1:4]]

    assert heading == [
        ["GET", "GET", "POST", "GET"],
        [":9090", ":8080", ":8080", ":8080", "unit", "unit"],
        ["caller", "/metrics", "/data", "/data", "/admin", ":9090", ":8080"],
    ]


def test_a_difference_is_marked_without_colour(capsys: pytest.CaptureFixture[str]):
    lines = told(capsys, {**RELATED, "GET :8080/data": "denied"})

    [marked] = [line for line in lines if "✗" in line]
    assert marked.split() == ["observed", "200", "✗", "denied", "denied", "denied", "200", "denied"]
