"""Messages between the controller and a charm's worker: the context of a hook and its result."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Literal

from rehearsal.juju.pods.unit_command import Place

ACCOUNT = "REHEARSAL_SERVICE_ACCOUNT"
"""Variable of charm code: the folder with the files of its service account."""


@dataclass(frozen=True)
class Hook:
    """One event for one unit.

    Attributes:
        kind: the kind of hook as ops.testing names it, such as `install` or `relation_changed`.
        relation: number of its relation.
        remote_unit: number of its remote unit, or None if it is about the application.
        departing_unit: number of the unit that leaves, in `relation_departed`.
        container: name of its container.
        check: name of its check.
        action: name, parameters and task number of the action.
        secret: identifier of its secret.
        revision: its revision, in `secret_remove`.
    """

    kind: str
    relation: int | None = None
    remote_unit: int | None = None
    departing_unit: int | None = None
    container: str | None = None
    check: str | None = None
    action: tuple[str, Mapping[str, Any], str] | None = None
    secret: str | None = None
    revision: int | None = None


@dataclass
class RelationContext:
    """A relation as one unit sees it.

    Attributes:
        removed: whether the controller has removed it, so that writing to it fails.
    """

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
    removed: bool = False


@dataclass
class ContainerContext:
    """A container as a hook finds it.

    Attributes:
        can_connect: whether its Pebble runs.
        place: the place in which its commands run.
        layers: its layers by label, in YAML.
        active: the services that run.
        failures: how often in a row each check has failed.
    """

    name: str
    can_connect: bool
    place: Place
    layers: dict[str, str]
    active: list[str]
    failures: dict[str, int]


@dataclass
class SecretContext:
    """A secret as one unit sees it, before or after a hook.

    Attributes:
        owner: whether the unit owns it, or its application, or neither.
        label: the unit's label for it.
        tracked: the revision that the unit reads, whose content is `content`.
        latest: the latest revision, whose content is `latest_content`.
        grants: names of its readers, by the number of the relation.
        read: whether the hook has read it.
    """

    id: str
    owner: Literal["unit", "app"] | None
    label: str | None
    description: str | None
    tracked: int
    latest: int
    content: dict[str, str]
    latest_content: dict[str, str]
    grants: dict[int, set[str]]
    read: bool = False


@dataclass
class HookContext:
    """The data that the charm code of one unit sees in a hook.

    Attributes:
        charm_folder: the unit's own copy of the charm; the hook runs in it.
        juju: the number of Juju's version.
        secrets: the secrets that it may read.
        denied: identifiers of other secrets that it could learn.
    """

    hook: Hook
    charm_folder: Path
    juju: str
    app: str
    unit: int
    model: str
    model_uuid: str
    leader: bool
    trusted: bool
    planned_units: int
    config: dict[str, bool | int | float | str]
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
    secrets: list[SecretContext]
    denied: frozenset[str]


@dataclass
class HookResult:
    """The result of a hook. With an `error`, Juju discards all of it but the log."""

    error: str | None = None
    log: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    workload: tuple[str, str] = ("unknown", "")
    status_set: bool = False
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
    secrets: list[SecretContext] = field(default_factory=list[SecretContext])
    removed_revisions: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])


@dataclass(frozen=True)
class PebbleCall:
    """A Pebble operation that a charm asks for in the middle of a hook.

    The answer is None if the operation succeeded, or the text of an error.
    """

    container: str
    operation: str
    services: tuple[str, ...]
    plan: Mapping[str, Any]


def packed(message: HookContext | HookResult | PebbleCall | str | None) -> bytes:
    """Return a message as another Python reads it, which does not have the charm's code."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=4).dump(message)
    return buffer.getvalue()


def _path(text: str) -> Path:
    return Path(text)


class _Pickler(pickle.Pickler):
    """Makes plain values of the charm's own text and numbers, and of paths.

    The module of a path has another name in Python 3.13.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Return the way to restore an object. Pickle does not call it for plain values."""
        if isinstance(obj, PurePath):
            return _path, (str(obj),)
        if isinstance(obj, str):
            return str, (str.__str__(obj),)
        if isinstance(obj, int):
            return int, (int.__int__(obj),)
        if isinstance(obj, float):
            return float, (float.__float__(obj),)
        return NotImplemented
