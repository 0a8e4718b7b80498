"""What goes between the controller and a charm's worker: a hook's context, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.juju.charm import ConfigValue


@dataclass(frozen=True)
class Hook:
    """One event for one unit.

    Attributes:
        kind: the kind of hook as ops.testing names it, such as `install` or `relation_changed`.
        relation: number of the relation that it is about.
        remote_unit: number of the remote unit that it is about; None for the application.
        departing_unit: number of the unit that leaves, in `relation_departed`.
        container: name of the container that it is about.
        action: name, parameters and task number of the action.
    """

    kind: str
    relation: int | None = None
    remote_unit: int | None = None
    departing_unit: int | None = None
    container: str | None = None
    action: tuple[str, Mapping[str, Any], str] | None = None


@dataclass
class RelationContext:
    """A relation as one unit sees it."""

    id: int
    endpoint: str
    interface: str
    is_peer: bool
    remote_app: str
    remote_model_uuid: str
    local_app_data: dict[str, str]
    local_unit_data: dict[str, str]
    remote_app_data: dict[str, str]
    remote_units_data: dict[int, dict[str, str]]


@dataclass
class ContainerContext:
    """A container as a hook finds it.

    Attributes:
        root: folder with its files.
        layers: its layers by label, in YAML.
        active: the services that run.
        failures: how often in a row each check has failed.
    """

    name: str
    root: Path
    layers: dict[str, str]
    active: list[str]
    failures: dict[str, int]


@dataclass
class HookContext:
    """All that the charm code of one unit sees while it runs."""

    hook: Hook
    app: str
    unit: int
    model: str
    model_uuid: str
    leader: bool
    trusted: bool
    planned_units: int
    config: dict[str, ConfigValue]
    address: str
    service_address: str
    ports: frozenset[tuple[str, int]]
    version: str
    workload: tuple[str, str]
    own_status: tuple[str, str]
    relations: list[RelationContext]
    containers: list[ContainerContext]
    environment: dict[str, str]
    memory: bytes


@dataclass
class HookResult:
    """What a hook left behind. With an `error`, Juju discards the rest but the log."""

    error: str | None = None
    log: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    workload: tuple[str, str] = ("unknown", "")
    own_status: tuple[str, str] = ("unknown", "")
    version: str = ""
    ports: frozenset[tuple[str, int]] = frozenset()
    app_data: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    unit_data: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    layers: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    memory: bytes = b""
    action_failure: str | None = None
    action_results: dict[str, Any] = field(default_factory=dict[str, Any])
    action_log: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class PebbleCall:
    """A Pebble operation that a charm asks for in the middle of a hook.

    The answer is None when it is done, or an error's text.
    """

    container: str
    operation: str
    services: tuple[str, ...]
    plan: Mapping[str, Any]
