"""Configuration values as they are typed on a command line or in a bundle."""

from collections.abc import Mapping
from typing import Any

from rehearsal.juju.errors import JujuError
from rehearsal.juju.model.charm import Charm, ConfigValue

_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_TYPES: Mapping[str, type] = {"int": int, "float": float, "boolean": bool, "string": str}


def option(charm: Charm, name: str, value: Any) -> ConfigValue:
    """Return a value as the option's type has it; text is converted, as Juju does.

    Raises:
        JujuError: for an option that the charm does not have, or a value that is not of its type.
    """
    if name not in charm.options:
        raise JujuError(f'unknown option "{name}"')
    kind = str(charm.options[name].get("type", "string"))
    typed = _from_text(kind, value) if isinstance(value, str) else value
    if kind == "float" and type(typed) is int:
        typed = float(typed)
    is_uri = str(typed).startswith("secret:")
    if type(typed) is not _TYPES.get(kind, str) or (kind == "secret" and typed and not is_uri):
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        raise JujuError(f'option "{name}" expected {kind}, got {shown}')
    return typed


def _from_text(kind: str, text: str) -> ConfigValue:
    try:
        if kind == "int":
            return int(text, 10)
        if kind == "float":
            return float(text)
    except ValueError:
        return text
    if kind == "boolean":
        return _BOOLEANS.get(text.lower(), text)
    return text
