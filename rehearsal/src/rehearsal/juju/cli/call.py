"""A command line of `juju` with its options and its terminal, and the registry of commands."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from rehearsal.juju.cli import status
from rehearsal.juju.cli.options import Options, parse
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model.controller import Controller
from rehearsal.juju.model.state import USER, Application, Model
from rehearsal.juju.pods.unit_command import UnitCommand

Stream = Literal["stdout", "stderr"]


class Terminal(Protocol):
    """The terminal or the program from which a command came.

    Attributes:
        is_interactive: whether standard output is a terminal.
    """

    is_interactive: bool

    def write(self, stream: Stream, text: str) -> None:
        """Print a text there."""
        ...

    def ask(self, question: str) -> str:
        """Print a question and return the line that is typed; nothing at the end of the input."""
        ...

    def become(self, program: UnitCommand) -> None:
        """Have a program take over, with the terminal as its own."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            BrokenPipeError: the command was interrupted.
        """
        ...


@dataclass
class Session:
    """The state that outlives a command: the model in focus.

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
        """Return the settings of `key=value` texts."""
        return {key: value for key, _, value in (s.partition("=") for s in settings)}

    def out(self, text: str) -> None:
        """Write a line of the answer."""
        self.terminal.write("stdout", text + "\n")

    def info(self, text: str) -> None:
        """Write a line about progress, which Juju keeps off standard output."""
        if not self.options.has("--quiet"):
            self.terminal.write("stderr", text + "\n")

    def note(self, text: str) -> None:
        """Write a line that no real Juju writes, also with `--quiet`."""
        self.terminal.write("stderr", text + "\n")

    def confirm(self, question: str, accepted: Sequence[str], what: str) -> None:
        """Have a step that cannot be undone confirmed, unless `--no-prompt` is given.

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
class Command:
    """A command of juju.

    Attributes:
        name: its name.
        handler: carries it out; its docstring is the summary.
        usage: its arguments, as `--help` shows them.
        options: its own options.
        anywhere: whether options may come after the first argument, too.
        aliases: its other names.
    """

    name: str
    handler: Handler
    usage: str
    options: tuple[str, ...]
    anywhere: bool
    aliases: tuple[str, ...]

    @property
    def accepted(self) -> tuple[str, ...]:
        """The options except those of every command."""
        return (*_MODEL_OPTIONS, *self.options)

    def parse(self, words: Sequence[str]) -> Options:
        """Parse the words after its name."""
        return parse(words, self.accepted, anywhere=self.anywhere)


COMMANDS: dict[str, Command] = {}
"""The commands, by each of their names."""
_MODEL_OPTIONS = ("-m,--model=", "-c,--controller=")


def command(
    name: str,
    *options: str,
    usage: str = "",
    anywhere: bool = True,
    aliases: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Register a command; the arguments are the attributes of a Command."""

    def register(handler: Handler) -> Handler:
        made = Command(name, handler, usage, options, anywhere, aliases)
        COMMANDS.update(dict.fromkeys((name, *aliases), made))
        return handler

    return register
