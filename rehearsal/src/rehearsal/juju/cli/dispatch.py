"""From the words after `juju` to a command and its exit status, and the help."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rehearsal.juju.cli import options
from rehearsal.juju.cli.call import COMMANDS, Call, Command, Session, Terminal
from rehearsal.juju.cli.not_done import NOT_DONE
from rehearsal.juju.errors import JujuError, SilentError, UsageError

_HELP = ("-h", "--help")


def run(
    session: Session,
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    terminal: Terminal,
) -> int:
    """Carry out one command line.

    Args:
        session: the controller and the model in focus.
        words: the words after `juju`.
        folder: the folder in which it was typed.
        environment: JUJU_MODEL and the like.
        terminal: the terminal or the program from which it came.

    Returns:
        The exit status: 1 when the command failed, 2 when the command line was wrong.
    """
    try:
        if not words or words[0] in ("help", *_HELP):
            terminal.write("stdout", _help(words[1:]))
        else:
            name, *rest = ["version", *words[1:]] if words[0] == "--version" else words
            found = _find(name)
            if _asks_for_help(found, rest):
                terminal.write("stdout", _help_of(found))
            else:
                found.handler(Call(session, found.parse(rest), environment, folder, terminal))
    except SilentError as error:
        return error.status
    except JujuError as error:
        terminal.write("stderr", f"ERROR {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _asks_for_help(command: Command, words: Sequence[str]) -> bool:
    return command.parse(words).has("--help")


def _find(name: str) -> Command:
    if name in COMMANDS:
        return COMMANDS[name]
    if name in NOT_DONE:
        raise JujuError(f"the rehearsal does not do `juju {name}`; `juju help` lists what it does")
    near = difflib.get_close_matches(name, [*COMMANDS, *NOT_DONE], n=1)
    hint = f"\n\nDid you mean:\n\t{near[0]}" if near else ""
    raise JujuError(f'juju: "{name}" is not a juju command. See "juju --help".{hint}')


def _help(words: Sequence[str]) -> str:
    """Return the help for a command, or the list of all commands."""
    if words and words[0] not in ("commands", *_HELP):
        return _help_of(_find(words[0]))
    width = max(map(len, COMMANDS)) + 2
    lines = [f"    {name:{width}}{_summary(name)}" for name in sorted(COMMANDS)]
    return (
        "The commands of juju that the rehearsal does:\n\n"
        + "\n".join(lines)
        + "\n\n`juju help COMMAND` shows the arguments and options of a command.\n"
    )


def _summary(name: str) -> str:
    found = COMMANDS[name]
    return found.handler.__doc__ or "" if name == found.name else f"Alias for '{found.name}'."


def _help_of(command: Command) -> str:
    """Return the help for a command in the form of juju's own."""
    usage = f"Usage: juju {command.name} [options] {command.usage}".rstrip()
    aliases = f"\nAliases: {', '.join(command.aliases)}\n" if command.aliases else ""
    lines = [_line(each) for each in options.read(command.accepted)]
    shown = "\n".join(lines)
    return f"{usage}\n\nSummary:\n{command.handler.__doc__}\n\nOptions:\n{shown}\n{aliases}"


def _line(option: options.Option) -> str:
    return ", ".join(option.spellings) + (" VALUE" if option.has_value else "")
