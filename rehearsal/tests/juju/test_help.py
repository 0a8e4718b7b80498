"""The help of `juju`, and the commands of a real juju that the rehearsal does not do."""

import pytest

from tests.juju.conftest import Typist


@pytest.mark.parametrize("line", ["", "help", "--help", "help commands"])
def test_help_lists_the_commands(juju: Typist, line: str):
    done = juju(line)

    assert done.returncode == 0
    assert "    remove-relation        Removes a relation between two applications." in done.stdout
    assert "    list-models            Alias for 'models'." in done.stdout


@pytest.mark.parametrize("line", ["help debug-log", "debug-log --help", "debug-log -h"])
def test_help_for_a_command_lists_its_options(juju: Typist, line: str):
    done = juju(line)

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "Usage: juju debug-log [options]"
    for option in ("-i, --include VALUE", "--no-tail", "-m, --model VALUE", "-h, --help"):
        assert option in lines


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("exec", "Usage: juju exec [options] <commands>"),
        ("relate", "Usage: juju integrate [options] <application>[:<endpoint>] <application>"),
        ("deploy", "Usage: juju deploy [options] <charm or bundle> [<application>]"),
    ],
)
def test_help_for_a_command_names_its_arguments(juju: Typist, name: str, usage: str):
    assert juju(f"help {name}").stdout.startswith(usage)


@pytest.mark.parametrize(
    "name", ["find", "download", "debug-hooks", "add-storage", "spaces", "bootstrap", "expose"]
)
@pytest.mark.parametrize("line", ["{}", "help {}"])
def test_a_real_command_that_is_not_done_is_refused_as_such(juju: Typist, line: str, name: str):
    done = juju(line.format(name))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"ERROR the rehearsal does not do `juju {name}`")


def test_a_word_that_is_no_command_is_refused(juju: Typist):
    done = juju("help stauts")

    assert done.returncode == 1
    assert done.stderr.startswith('ERROR juju: "stauts" is not a juju command.')
    assert done.stderr.endswith("Did you mean:\n\tstatus\n")


def test_the_version_is_an_option_too(juju: Typist):
    assert juju("--version").stdout == juju("version").stdout != ""
