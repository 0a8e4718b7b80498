"""Command lines."""

import pytest

from rehearsal.juju.cli.options import parse
from rehearsal.juju.errors import UsageError


def test_options_may_stand_anywhere_and_in_both_forms():
    options = parse(["a", "--model", "demo", "b", "--format=json"], ["--model=", "--format="])

    assert options.args == ["a", "b"]
    assert (options.get("--model"), options.get("--format")) == ("demo", "json")


def test_after_two_dashes_all_are_arguments():
    assert parse(["--", "--model", "demo"], ["--model="]).args == ["--model", "demo"]


def test_an_option_given_twice_keeps_both_values():
    options = parse(["--config", "a=1", "--config", "b=2"], ["--config="])

    assert options.all("--config") == ["a=1", "b=2"]


def test_a_switch_is_off_unless_given_and_may_be_switched_off():
    assert parse(["--trust"], ["--trust"]).has("--trust")
    assert not parse([], ["--trust"]).has("--trust")
    assert not parse(["--trust=false"], ["--trust"]).has("--trust")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--what"], "option provided but not defined: --what"),
        (["--model"], "option needs an argument: --model"),
    ],
)
def test_a_wrong_option_is_refused_in_jujus_words(words: list[str], message: str):
    with pytest.raises(UsageError) as error:
        parse(words, ["--model="])

    assert str(error.value) == message
