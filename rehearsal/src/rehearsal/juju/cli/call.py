"""One command line of `juju`: what it has to work with, and how it comes to an exit status."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from rehearsal.juju.cli import status
from rehearsal.juju.cli.options import Options, parse
from rehearsal.juju.errors import JujuError, SilentError, UsageError
from rehearsal.juju.model.controller import Controller
from rehearsal.juju.model.state import USER, Application, Model
from rehearsal.juju.pods.unit_command import UnitCommand

Stream = Literal["stdout", "stderr"]


class Terminal(Protocol):
    """Where a command was typed."""

    def write(self, stream: Stream, text: str) -> None:
        """Print a text there."""
        ...

    def ask(self, question: str) -> str:
        """Print a question and return the line that is typed; nothing at the end of the input."""
        ...

    def become(self, program: UnitCommand) -> None:
        """Have a program take over, with the terminal as its own."""
        ...


@dataclass
class Session:
    """What outlives a command: the model in focus.

    Attributes:
        controller: the controller.
        focus: name of the model that commands without `--model` are for.
    """

    controller: Controller
    focus: str | None = None


@dataclass(frozen=True)
class Call:
    """One command being carried out."""

    session: Session
    options: Options
    environment: Mapping[str, str]
    folder: Path
    terminal: Terminal

    @property
    def controller(self) -> Controller:
        """The controller."""
        return self.session.controller

    @property
    def args(self) -> list[str]:
        """The arguments that are not options."""
        return self.options.args

    def model(self, name: str | None = None) -> Model:
        """Return the model: by name, by `--model`, by JUJU_MODEL, or the one in focus."""
        chosen = (
            name
            or self.options.get("--model")
            or self.environment.get("JUJU_MODEL")
            or self.session.focus
        )
        if not chosen:
            raise JujuError(
                'No model in focus.\n\nPlease use "juju models" to see models available to you.\n'
                'You can set current model by running "juju switch"\n'
                'or specify any other model on the command line using the "-m" option.'
            )
        short = chosen.rpartition(":")[2].rpartition("/")[2]
        if short not in self.controller.models:
            raise JujuError(f"model {status.CONTROLLER}:{USER}/{short} not found")
        return self.controller.models[short]

    def app(
        self, name: str, missing: str = 'application "{}" not found (not found)'
    ) -> Application:
        """Return an application of the model."""
        app = self.model().apps.get(name)
        if app is None:
            raise JujuError(missing.format(name))
        return app

    def path(self, text: str) -> Path:
        """Return a path as the user meant it."""
        return self.folder / Path(text).expanduser()

    @staticmethod
    def pairs(settings: Iterable[str]) -> dict[str, str]:
        """Return what `key=value` settings say."""
        return {key: value for key, _, value in (s.partition("=") for s in settings)}

    def out(self, text: str) -> None:
        """Write a line of the answer."""
        self.terminal.write("stdout", text + "\n")

    def info(self, text: str) -> None:
        """Write a line about what is done, which Juju keeps off standard output."""
        if not self.options.has("--quiet"):
            self.terminal.write("stderr", text + "\n")

    def confirm(self, question: str, accepted: Sequence[str], what: str) -> None:
        """Have what cannot be undone confirmed, unless nobody wants to be asked.

        Raises:
            JujuError: it is not; `what` is given up.
        """
        if self.options.has("--no-prompt"):
            return
        if self.terminal.ask(question).strip() not in accepted:
            raise JujuError(f"{what}: aborted")

    def answer(self, document: Any, text: str, *formats: str) -> None:
        """Write an answer in the format that was asked for."""
        chosen = self.options.get("--format", "tabular")
        if chosen == "json":
            self.out(json.dumps(document, separators=(",", ":")))
        elif chosen == "yaml":
            self.terminal.write("stdout", to_yaml(document))
        elif chosen in ("tabular", "plain", *formats):
            self.terminal.write("stdout", text)
        else:
            raise UsageError(
                f'invalid value "{chosen}" for option --format: unknown format "{chosen}"'
            )


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such."""


def _text(_dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    """Return a document as Juju writes it: keys in their order, lines as long as they are."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100_000)


Handler = Callable[[Call], None]


@dataclass(frozen=True)
class _Command:
    handler: Handler
    options: tuple[str, ...]
    anywhere: bool

    def parse(self, words: Sequence[str]) -> Options:
        """Parse the words after its name."""
        return parse(words, (*_MODEL_OPTIONS, *self.options), anywhere=self.anywhere)


_COMMANDS: dict[str, _Command] = {}
_HELP = ("help", "-h", "--help")
_NOT_REHEARSED = frozenset(
    {
        *("actions", "attach-resource", "bootstrap", "clouds"),
        *("controllers", "export-bundle", "expose", "grant", "info"),
        *("list-models", "login", "operations", "resources", "scp"),
        *("show-action", "show-application"),
        *("show-operation", "show-status-log", "show-task", "storage"),
        *("suspend-relation", "unexpose", "users", "whoami"),
    }
)
"""Commands of juju that somebody may try here, and that would be wrongly called unknown."""
_MODEL_OPTIONS = ("--model=", "--controller=")


def command(name: str, *options: str, anywhere: bool = True) -> Callable[[Handler], Handler]:
    """Register a command.

    Args:
        name: its name.
        options: its own options; one that takes a value ends in `=`.
        anywhere: whether they may come after the first argument, too.
    """

    def register(handler: Handler) -> Handler:
        _COMMANDS[name] = _Command(handler, options, anywhere)
        return handler

    return register


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
        terminal: where it was typed.

    Returns:
        The exit status: 1 when the command failed, 2 when the command line was wrong.
    """
    if not words or words[0] in _HELP:
        terminal.write("stdout", _help())
        return 0
    try:
        found = _find(words[0])
        options = found.parse(words[1:])
        if options.has("-h") or options.has("--help"):
            text = f"Usage: juju {words[0]} [options]\n\nSummary:\n{found.handler.__doc__}\n"
            terminal.write("stdout", text)
        else:
            found.handler(Call(session, options, environment, folder, terminal))
    except SilentError as error:
        return error.status
    except JujuError as error:
        terminal.write("stderr", f"ERROR {error}\n")
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _find(name: str) -> _Command:
    if name in _COMMANDS:
        return _COMMANDS[name]
    if name in _NOT_REHEARSED:
        raise JujuError(f'"juju {name}" is not rehearsed. See "juju --help" for what is.')
    near = difflib.get_close_matches(name, _COMMANDS, n=1)
    hint = f"\n\nDid you mean:\n\t{near[0]}" if near else ""
    raise JujuError(f'juju: "{name}" is not a juju command. See "juju --help".{hint}')


def _help() -> str:
    summaries = {name: each.handler.__doc__ for name, each in sorted(_COMMANDS.items())}
    width = max(map(len, summaries)) + 2
    lines = [f"    {name:{width}}{summary}" for name, summary in summaries.items()]
    return "The commands of juju that are rehearsed:\n\n" + "\n".join(lines) + "\n"
