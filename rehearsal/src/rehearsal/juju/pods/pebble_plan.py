"""The plans that Pebble refuses, with its messages."""

import shlex
from collections.abc import Mapping
from typing import Any

from rehearsal.juju.durations import seconds
from rehearsal.juju.pods.pebble_service import ON_FAILURE, ON_SUCCESS, RESTART

_KINDS = ("http", "tcp", "exec")
_DURATIONS = ("period", "timeout")


def validate(plan: Mapping[str, Any]) -> None:
    """Check a plan.

    Raises:
        ValueError: a service or a check lacks a field, or has one that cannot be parsed.
    """
    for name, service in plan.get("services", {}).items():
        if not shlex.split(service.get("command", "")):
            raise ValueError(f'plan must define "command" for service "{name}"')
        _validate_actions(name, service)
    for name, check in plan.get("checks", {}).items():
        _validate_check(name, check)


def _validate_actions(name: str, service: Mapping[str, Any]) -> None:
    for key, actions in (("on-success", ON_SUCCESS), ("on-failure", ON_FAILURE)):
        action = service.get(key) or RESTART
        if action not in actions:
            raise ValueError(f'plan service "{name}" {key} action "{action}" invalid')
    checks: Mapping[str, str] = service.get("on-check-failure") or {}
    for action in checks.values():
        if action not in ON_FAILURE:
            raise ValueError(f'plan service "{name}" on-check-failure action "{action}" invalid')
    factor = float(service.get("backoff-factor") or 1)
    if factor < 1:
        raise ValueError(
            f'plan service "{name}" backoff-factor must be 1.0 or greater, not {factor:g}'
        )
    for key in ("backoff-delay", "backoff-limit"):
        if service.get(key):
            seconds(str(service[key]))


def _validate_check(name: str, check: Mapping[str, Any]) -> None:
    if sum(kind in check for kind in _KINDS) != 1:
        raise ValueError(f'plan must specify one of "http", "tcp", or "exec" for check "{name}"')
    if "exec" in check and not shlex.split(check["exec"].get("command", "")):
        raise ValueError(f'plan must set "command" for exec check "{name}"')
    for duration in _DURATIONS:
        if check.get(duration):
            seconds(str(check[duration]))
    int(check.get("threshold", 0))
