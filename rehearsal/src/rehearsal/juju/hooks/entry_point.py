"""The class that a charm gives to `ops.main`."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import ops

from rehearsal.juju.hooks.real_containers import replaced


class NotACharmError(Exception):
    """`src/charm.py` ran to its end and defines no charm."""


class _Main:
    """Stands in for `ops.main`, the function and the module, and keeps the class."""

    charm: type[ops.CharmBase] | None = None

    def __call__(self, charm_class: type[ops.CharmBase], *_: Any, **__: Any) -> None:
        self.charm = charm_class

    def main(self, charm_class: type[ops.CharmBase], *_: Any, **__: Any) -> None:
        """Keep the class; many charms call `ops.main.main`."""
        self.charm = charm_class


def find_charm(root: Path) -> tuple[type[ops.CharmBase], list[str]]:
    """Run `src/charm.py` as Juju does and return the class that it gives to `ops.main`.

    If it gives none, return the class that it defines, and a warning.

    Raises:
        NotACharmError: it defines none.
    """
    code, main = root / "src" / "charm.py", _Main()
    module = ModuleType("__main__")
    module.__file__ = str(code)
    sys.modules["__main__"], sys.argv = module, [str(code)]
    with replaced(ops, {"main": main}), replaced(sys.modules["ops.main"], {"main": main}):
        _execute(code, module)
    if main.charm is not None:
        return main.charm, []
    warning = "src/charm.py does not call ops.main: on Juju its hooks do nothing"
    return _defined(module), [warning]


def _execute(code: Path, module: ModuleType) -> None:
    """Run a program; `sys.exit(ops.main(...))` is a proper end."""
    try:
        exec(compile(code.read_bytes(), code, "exec"), vars(module))  # noqa: S102 - the charm
    except SystemExit as end:
        if end.code:
            raise


def _defined(module: ModuleType) -> type[ops.CharmBase]:
    for item in vars(module).values():
        is_own = isinstance(item, type) and item.__module__ == "__main__"
        if is_own and issubclass(item, ops.CharmBase):
            return item
    raise NotACharmError("src/charm.py does not call ops.main: end it with ops.main(YourCharm)")
