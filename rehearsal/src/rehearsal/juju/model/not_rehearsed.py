"""The declarations of a charm that the rehearsal does not support."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NOTICE = "pebble_custom_notice"


def not_rehearsed(meta: Mapping[str, Any], code: Path) -> Iterator[str]:
    """Yield a line for each declaration that has no effect, with the consequence.

    Args:
        meta: the metadata of the charm.
        code: its `src/charm.py`.
    """
    storage: dict[str, Any] = meta.get("storage") or {}
    for name in storage:
        yield (
            f'storage "{name}" is not supported: none is attached, its hooks do not run, and the '
            "files in it are lost with their pod"
        )
    resources: dict[str, Any] = meta.get("resources") or {}
    for name, resource in resources.items():
        if resource.get("type") == "file":
            yield f'resource "{name}" is not supported, since it is a file: fetching it fails'
    if code.exists() and _NOTICE in code.read_text(errors="replace"):
        yield f"{_NOTICE} is not supported: no hook tells of the notices of a workload"
