"""Command lines as Juju's commands take them: options anywhere, unknown ones refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rehearsal.juju.errors import UsageError

COMMON = ("--debug", "--verbose", "--quiet", "--show-log", "-h", "--help", "--logging-config=")
_SHORT = {"-m": "--model", "-c": "--controller", "-n": "--num-units", "-o": "--output"}


@dataclass(frozen=True)
class Options:
    """A parsed command line: its arguments, and the values given to each option."""

    args: list[str]
    given: Mapping[str, list[str]]

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of an option given once, the last where it was given more than once."""
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


def parse(words: Sequence[str], accepted: Sequence[str], *, anywhere: bool = True) -> Options:
    """Parse the words after a command's name.

    Args:
        words: the words. After `--` all are arguments.
        accepted: the command's own options; one that takes a value ends in `=`.
        anywhere: whether options may come after the first argument, too.

    Raises:
        UsageError: for an option that the command does not have or that lacks its value.
    """
    valued = {name[:-1] for name in (*accepted, *COMMON) if name.endswith("=")}
    switches = {name for name in (*accepted, *COMMON) if not name.endswith("=")}
    args: list[str] = []
    given: dict[str, list[str]] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            args += rest
            break
        if not word.startswith("-") or word == "-":
            args.append(word)
            if not anywhere:
                args += rest[rest[:1] == ["--"] :]
                break
            continue
        name, equals, value = word.partition("=")
        name = _SHORT.get(name, name)
        if name in switches:
            given.setdefault(name, []).append(value if equals else "true")
        elif name not in valued:
            raise UsageError(f"option provided but not defined: {name}")
        elif not equals and not rest:
            raise UsageError(f"option needs an argument: {name}")
        else:
            given.setdefault(name, []).append(value if equals else rest.pop(0))
    return Options(args, given)
