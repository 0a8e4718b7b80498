"""What Pebble does not take as a plan, in its words."""

import shlex
from collections.abc import Mapping
from typing import Any

from rehearsal.juju.durations import seconds

_KINDS = ("http", "tcp", "exec")
_DURATIONS = ("period", "timeout")


def validate(plan: Mapping[str, Any]) -> None:
    """Find what is wrong with a plan.

    Raises:
        ValueError: a service or a check lacks something, or has what cannot be read.
    """
    for name, service in plan.get("services", {}).items():
        if not shlex.split(service.get("command", "")):
            raise ValueError(f'plan must define "command" for service "{name}"')
    for name, check in plan.get("checks", {}).items():
        _validate_check(name, check)


def _validate_check(name: str, check: Mapping[str, Any]) -> None:
    if sum(kind in check for kind in _KINDS) != 1:
        raise ValueError(f'plan must specify one of "http", "tcp", or "exec" for check "{name}"')
    if "exec" in check and not shlex.split(check["exec"].get("command", "")):
        raise ValueError(f'plan must set "command" for exec check "{name}"')
    for duration in _DURATIONS:
        if check.get(duration):
            seconds(str(check[duration]))
    int(check.get("threshold", 0))
