"""Secrets in ops.testing's state, and the changes to them that it records wrongly or not at all."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ops
import scenario as testing

from rehearsal.juju.hooks.messages import HookContext, SecretContext
from rehearsal.juju.hooks.real_containers import replaced

_DENIED = "ERROR permission denied"
_NOT_LEADER = "ERROR this unit is not the leader"


@dataclass
class Notes:
    """Uses of secrets in a hook that the state does not record.

    Attributes:
        read: identifiers and labels by which the hook has asked for secrets.
        removed: identifiers and revisions that the hook has removed.
    """

    read: set[str] = field(default_factory=set[str])
    removed: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])


def bare(identifier: str) -> str:
    """Return the identifier in a secret's URI: `secret:<id>`, `secret://<model>/<id>` or bare."""
    return identifier.rpartition("/")[2].removeprefix("secret:")


def to_state(secret: SecretContext) -> testing.Secret:
    """Return a secret in ops.testing's form. The numbers of revisions can only be set privately."""
    there = testing.Secret(
        dict(secret.content),
        latest_content=dict(secret.latest_content),
        id=f"secret:{secret.id}",
        owner=secret.owner,
        label=secret.label,
        description=secret.description,
        remote_grants=secret.grants,
    )
    object.__setattr__(there, "_tracked_revision", secret.tracked)
    object.__setattr__(there, "_latest_revision", secret.latest)
    return there


def from_state(
    hook: HookContext, secrets: frozenset[testing.Secret], notes: Notes
) -> list[SecretContext]:
    """Return the secrets that a hook left behind."""
    before = {secret.id: secret for secret in hook.secrets}
    return [_left(before.get(bare(secret.id)), secret, notes) for secret in secrets]


def not_rehearsed(secrets: frozenset[testing.Secret]) -> list[tuple[str, str]]:
    """Return warnings for secrets with rotation or expiry, which the rehearsal does not support."""
    return [
        ("WARNING", f"{secret.id}: that secrets rotate and expire is not rehearsed")
        for secret in secrets
        if secret.expire or secret.rotate not in (None, ops.SecretRotate.NEVER)
    ]


def _left(before: SecretContext | None, secret: testing.Secret, notes: Notes) -> SecretContext:
    latest = before.latest if before else 1
    if before and secret.latest_content != before.latest_content:
        latest += 1
    identifier = bare(secret.id)
    return SecretContext(
        id=identifier,
        owner=secret.owner,
        label=secret.label,
        description=secret.description,
        tracked=_tracked(before, secret, latest),
        latest=latest,
        content=dict(secret.tracked_content),
        latest_content=dict(secret.latest_content),
        grants={number: set(names) for number, names in secret.remote_grants.items()},
        read=bool(notes.read & {identifier, secret.label}),
    )


def _tracked(before: SecretContext | None, secret: testing.Secret, latest: int) -> int:
    """Return the revision that the unit reads now. ops.testing also counts changes of labels."""
    if before is None:
        return 1
    if getattr(secret, "_tracked_revision") == before.tracked:  # noqa: B009 - private there
        return before.tracked
    return latest if secret.tracked_content == secret.latest_content else before.latest


@contextmanager
def live_secrets(hook: HookContext, notes: Notes) -> Generator[None]:
    """Find secrets by every form of their URI, refuse them as Juju does, and record their use."""
    model = {"get_secret": _get_secret(ops.Model.get_secret, hook, notes)}
    secret = {"remove_revision": _remove_revision(ops.Secret.remove_revision, notes)}
    app = {"add_secret": _add_secret(ops.Application.add_secret, hook)}
    with replaced(ops.Model, model), replaced(ops.Secret, secret), replaced(ops.Application, app):
        yield


def _get_secret(
    original: Callable[..., ops.Secret], hook: HookContext, notes: Notes
) -> Callable[..., ops.Secret]:
    def get_secret(
        model: ops.Model,
        *,
        id: str | None = None,  # noqa: A002 - as ops calls it
        label: str | None = None,
    ) -> ops.Secret:
        if id is not None and bare(id) in hook.denied:
            raise ops.ModelError(_DENIED)
        uri = None if id is None else f"secret:{bare(id)}"
        secret = original(model, id=uri, label=label)
        notes.read.add(bare(id) if id is not None else label or "")
        return secret

    return get_secret


def _remove_revision(original: Callable[..., None], notes: Notes) -> Callable[..., None]:
    def remove_revision(secret: ops.Secret, revision: int) -> None:
        original(secret, revision)
        notes.removed.append((bare(secret.get_info().id), revision))

    return remove_revision


def _add_secret(
    original: Callable[..., ops.Secret], hook: HookContext
) -> Callable[..., ops.Secret]:
    def add_secret(app: ops.Application, *args: Any, **options: Any) -> ops.Secret:
        if not hook.leader:
            raise ops.ModelError(_NOT_LEADER)
        return original(app, *args, **options)

    return add_secret
