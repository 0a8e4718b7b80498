"""How tables come out on terminals of several widths."""

import io

import pytest
from rich.console import Console

from rehearsal.commands.report import console, print_calls, print_policies
from rehearsal.kubernetes.store import Object
from rehearsal.traffic.calls import Call

CALLS = [Call("web", 80, "GET", f"/{n}") for n in range(4)]


def printed(results: dict[str, str]) -> str:
    """Return the table where each caller has one result for each call, `.` for a denial."""
    out = Console(file=io.StringIO(), width=100, force_terminal=False)
    observed = {
        (caller, call): "denied" if result == "." else f"20{result}"
        for caller, row in results.items()
        for call, result in zip(CALLS, row, strict=True)
    }
    print_calls(out, "web", CALLS, observed)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_callers_of_whom_all_is_the_same_share_a_column():
    lines = printed({"a": "0...", "b": "....", "c": "...."}).splitlines()

    assert lines[0].split() == ["b"]
    assert lines[1].split() == ["web", "a", "c"]
    assert lines[3].split() == ["GET", ":80", "/0", "200", "denied"]


def test_where_all_is_the_same_for_all_there_is_one_column():
    assert "every application" in printed({"a": "....", "b": "...."})


@pytest.mark.parametrize("columns", ["80", "100"])
def test_a_console_is_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch, columns: str):
    monkeypatch.setenv("COLUMNS", columns)

    assert console().width == int(columns)


def test_a_console_is_never_wider_than_100_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")

    assert console().width == 100


def test_a_single_caller_is_named():
    text = printed({"a": "...."})

    assert text.split()[:2] == ["web", "a"]


def test_ten_applications_with_different_results_fit():
    callers = {f"application-number-{n}": f"{n:04b}".replace("0", ".") for n in range(10)}
    text = printed(callers)

    assert max(map(len, text.splitlines())) <= 100
    assert all(text.count(f"{caller} ") == 1 for caller in callers)
    assert text.count("GET :80 /3") == 4  # tables below each other


def test_a_long_name_of_a_caller_does_not_hide_its_results():
    text = printed({"a" * 90: "0...", "b": "...."})

    assert max(map(len, text.splitlines())) <= 100
    assert "200" in text
    assert "denied" in text


def test_a_cluster_without_policies_is_open_and_that_is_said():
    out = Console(file=io.StringIO(), width=100)

    print_policies(out, [])

    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue() == "No policies: everything may call everything.\n\n"


def test_a_network_policy_is_listed_with_its_pods():
    out = Console(file=io.StringIO(), width=100)
    spec: Object = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
        "ingress": [{}, {}],
    }

    print_policies(out, [{"metadata": {"name": "some"}, "spec": spec}])

    assert isinstance(out.file, io.StringIO)
    lines = [" ".join(line.split()) for line in out.file.getvalue().splitlines()[2:]]
    everywhere = "ingress from everywhere: every port"
    assert lines == [f"pods name=web {everywhere}", everywhere, "some", ""]
