"""The state that modules keep in memory: those of a charm, and of the packages that it uses."""

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, cast

Values = dict[str, list[Any]]
"""By the name of a global, or of an attribute of a class: its value, and the items in it."""
_INSTALLED = "site-packages"
"""The folder of a Python in which packages are installed."""
_OF_A_HOOK = frozenset({"ops", "scenario"})
"""Packages that run a hook, and begin each one anew."""


class ModuleState:
    """Finds out whether hooks have changed the state of modules.

    On Juju, each hook is a new process. A hook that leaves something in memory must not share a
    process with the next one. In a charm's own modules, that is any value. In packages, it is a
    global with another value, such as a tracer that can be set once. A container is taken for a
    cache there, which changes nothing but the time that a hook takes.

    Args:
        root: the charm's folder.
    """

    def __init__(self, root: Path) -> None:
        self._code, self._packages = f"{root}/", f"{root}/venv/"
        self._others: set[str] = set()
        self._before = self._values()
        self._known: set[str] = set()
        self._of_packages: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._threads = threading.active_count()

    def begin(self) -> None:
        """Note the globals of the packages that are imported before the first hook."""
        self._known = set(sys.modules)
        namespaces = map(vars, self._package_modules(self._known))
        self._of_packages = [(each, _no_caches(each)) for each in namespaces]

    def has_changed(self) -> bool:
        """Return whether a value has changed, a module was added, or a thread has stayed."""
        after = self._values()
        return (
            self._threads != threading.active_count()
            or after.keys() != self._before.keys()
            or not all(_is_same(self._before[name], after[name]) for name in after)
            or any(_has_other_values(*each) for each in self._of_packages)
            or bool(self._package_modules(sys.modules.keys() - self._known))
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

    def _package_modules(self, names: Iterable[str]) -> list[ModuleType]:
        """Return those modules that are in packages, but not in one that runs each hook anew."""
        return [module for module in map(sys.modules.get, names) if self._is_of_package(module)]

    def _is_of_package(self, module: ModuleType | None) -> TypeGuard[ModuleType]:
        file, name = (str(getattr(module, each, None)) for each in ("__file__", "__name__"))
        is_installed = f"/{_INSTALLED}/" in file or file.startswith(self._packages)
        return is_installed and name.partition(".")[0] not in _OF_A_HOOK


def _no_caches(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a namespace that are not containers."""
    values = namespace.items()
    return {name: value for name, value in values if not isinstance(value, (dict, list, set))}


def _has_other_values(after: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return any(after.get(name, value) is not value for name, value in before.items())


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
