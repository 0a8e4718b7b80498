"""The state that the modules of a charm keep in memory, such as globals and caches."""

import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

Values = dict[str, list[Any]]
"""By the name of a global, or of an attribute of a class: its value, and the items in it."""


class ModuleState:
    """Finds out whether hooks have changed the state of a charm's own modules.

    On Juju, each hook is a new process. A hook that leaves something in memory must not share a
    process with the next one.

    Args:
        root: the charm's folder.
    """

    def __init__(self, root: Path) -> None:
        self._code, self._packages = f"{root}/", f"{root}/venv/"
        self._others: set[str] = set()
        self._before = self._values()
        self._threads = threading.active_count()

    def has_changed(self) -> bool:
        """Return whether a value has changed, a module was added, or a thread has stayed."""
        after = self._values()
        return (
            self._threads != threading.active_count()
            or after.keys() != self._before.keys()
            or not all(_is_same(self._before[name], after[name]) for name in after)
        )

    def others(self) -> frozenset[str]:
        """Return the names of the imported modules that are not the charm's own."""
        self._own_modules()
        return frozenset(self._others)

    def _values(self) -> Values:
        return {
            f"{module.__name__}.{name}": content
            for module in self._own_modules()
            for name, content in _globals(module)
        }

    def _own_modules(self) -> list[ModuleType]:
        """Return the imported modules of the charm, after a look at those that are new."""
        found = {name: sys.modules[name] for name in sys.modules.keys() - self._others}
        own = {name: module for name, module in found.items() if self._is_own(module)}
        self._others |= found.keys() - own.keys()
        return list(own.values())

    def _is_own(self, module: ModuleType) -> bool:
        """Return whether a module is in the charm's folder and not one of its packages."""
        file = str(getattr(module, "__file__", None))
        return file.startswith(self._code) and not file.startswith(self._packages)


def _globals(module: ModuleType) -> Iterator[tuple[str, list[Any]]]:
    """Yield the contents of a module's globals and of the attributes of its classes."""
    for name, value in _own(vars(module)):
        yield name, _content(value, module)
        if isinstance(value, type) and value.__module__ == module.__name__:
            for attribute, each in _own(vars(value)):
                yield f"{name}.{attribute}", _content(each, module)


def _own(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values without those that Python keeps, such as `__warningregistry__`."""
    return (
        (name, value)
        for name, value in list(values.items())
        if not name.startswith(("__", "_abc_"))
    )


def _content(value: Any, module: ModuleType) -> list[Any]:
    """Return a value, and the items in it: keeping them keeps their identities apart."""
    value = getattr(value, "__func__", value)  # of a static method
    if hasattr(value, "cache_info"):
        return [value, value.cache_info().currsize]
    if isinstance(value, dict):
        return [value, *(part for pair in cast("Any", value).items() for part in pair)]
    if isinstance(value, (list, tuple, set)):
        return [value, *cast("Any", value)]
    if type(value).__module__ == module.__name__ and hasattr(value, "__dict__"):
        return [value, *cast("Any", vars(value)).values()]
    return [value]


def _is_same(before: list[Any], after: list[Any]) -> bool:
    return len(before) == len(after) and all(map(lambda a, b: a is b, before, after))
