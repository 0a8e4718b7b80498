"""Events as Juju makes them, if ops.testing makes them differently."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import ops

from rehearsal.juju.hooks.messages import Hook
from rehearsal.juju.hooks.real_containers import replaced


@contextmanager
def live_events(hook: Hook) -> Generator[None]:
    """Have the event of a hook name a unit only if Juju names one.

    Juju names no unit in `relation-changed` if the data of the application has changed.
    """
    if hook.kind != "relation_changed" or hook.remote_unit is not None:
        yield
        return
    original = ops.RelationChangedEvent.__init__

    def make(event: ops.RelationChangedEvent, *args: Any, **more: Any) -> None:
        original(event, *args, **more | {"unit": None})

    with replaced(ops.RelationChangedEvent, {"__init__": make}):
        yield
