"""Command lines as Juju's commands take them: options anywhere, unknown ones refused.

A command names its options as in `-n,--num-units=`: another spelling, and a value after the `=`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.juju.errors import UsageError

COMMON = ("--debug", "--verbose", "--quiet", "--show-log", "-h,--help", "--logging-config=")


@dataclass(frozen=True)
class Option:
    """An option of a command.

    Attributes:
        spellings: the ways to give it; the last one is its name.
        has_value: whether a value follows. A switch has none.
    """

    spellings: tuple[str, ...]
    has_value: bool

    @property
    def name(self) -> str:
        """The name."""
        return self.spellings[-1]


@dataclass(frozen=True)
class Options:
    """A parsed command line: its arguments, and the values given to each option."""

    args: list[str]
    given: Mapping[str, list[str]]

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of an option given once, the last if it was given more than once."""
        return self.given[name][-1] if name in self.given else default

    def all(self, name: str) -> list[str]:
        """Return the values of an option that may be given more than once."""
        return self.given.get(name, [])

    def number(self, name: str, default: int) -> int:
        """Return the value of an option that is a whole number.

        Raises:
            UsageError: if it is not.
        """
        text = self.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.lstrip("-").isdigit()):
            raise UsageError(
                f'invalid value "{text}" for option {name}: '
                f'strconv.ParseInt: parsing "{text}": invalid syntax'
            )
        return int(text)

    def has(self, name: str) -> bool:
        """Return the value of a switch."""
        return self.get(name, "false") == "true"


def read(specs: Sequence[str]) -> list[Option]:
    """Return the options that a command names, followed by those of every command."""
    return [
        Option(tuple(spec.rstrip("=").split(",")), spec.endswith("=")) for spec in (*specs, *COMMON)
    ]


def parse(words: Sequence[str], accepted: Sequence[str], *, anywhere: bool = True) -> Options:
    """Parse the words after a command's name.

    Args:
        words: the words. After `--` all are arguments.
        accepted: the command's own options.
        anywhere: whether options may come after the first argument, too.

    Raises:
        UsageError: for an option that the command does not have or that lacks its value.
    """
    known = {spelling: option for option in read(accepted) for spelling in option.spellings}
    args: list[str] = []
    given: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        if word == "--":
            args += rest
        elif not word.startswith("-") or word == "-":
            args.append(word)
            if not anywhere:
                args += _after_dashes(list(rest))
        else:
            option, value = _option(word, known, rest)
            given.setdefault(option.name, []).append(value)
    return Options(args, given)


def _after_dashes(words: list[str]) -> list[str]:
    return words[words[:1] == ["--"] :]


def _option(word: str, known: Mapping[str, Option], rest: Iterator[str]) -> tuple[Option, str]:
    """Return an option with its value, which may be the next word."""
    spelling, equals, value = word.partition("=")
    option = known.get(spelling)
    if option is None:
        raise UsageError(f"option provided but not defined: {spelling}")
    if equals:
        return option, value
    if not option.has_value:
        return option, "true"
    for following in rest:
        return option, following
    raise UsageError(f"option needs an argument: {spelling}")
