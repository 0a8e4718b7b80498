"""Commands about secrets: the user's own, and a look at those of the charms."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import yaml

from rehearsal.juju.cli import status
from rehearsal.juju.cli.call import Call, command, to_yaml
from rehearsal.juju.errors import JujuError, UsageError
from rehearsal.juju.model import secret
from rehearsal.juju.model.secret import Secret
from rehearsal.juju.model.state import Application, Model, Relation, Unit

_KEY = re.compile(r"([a-z](?:-?[a-z0-9]){2,})")
"""A key of a secret's content, as Juju has it."""
_ID = re.compile(r"(?:secret:(?://[0-9a-f-]+/)?)?([0-9a-z]{20})")
"""A secret's URI, or its identifier alone."""


@command("add-secret", "--info=", "--file=", usage="<name> [<key>[#file|#base64]=<value> ...]")
def add_secret(call: Call) -> None:
    """Adds a secret."""
    if not call.args:
        raise UsageError("missing secret name")
    name = call.args[0]
    content = _content(call, call.args[1:])
    if not content:
        raise UsageError("missing secret value or filename")
    with call.controller.lock:
        model = call.model()
        _refuse_taken(model, name)
        new = Secret(secret.new_id(), model, None, {1: secret.Revision(content)}, name)
        new.description = call.options.get("--info")
        model.secrets[new.id] = new
    call.out(f"secret:{new.id}")


@command(
    "update-secret",
    "--info=",
    "--name=",
    "--file=",
    "--auto-prune",
    usage="<ID|name> [<key>[#file|#base64]=<value> ...]",
)
def update_secret(call: Call) -> None:
    """Changes a secret: a new revision, its name or its description."""
    if not call.args:
        raise UsageError("missing secret URI")
    content, name = _content(call, call.args[1:]), call.options.get("--name")
    with call.controller.lock:
        changed = _own(call, call.args[0])
        if name and name != changed.label:
            _refuse_taken(changed.model, name)
        changed.label = name or changed.label
        changed.description = call.options.get("--info") or changed.description
        if call.options.get("--auto-prune"):
            changed.auto_prune = call.options.has("--auto-prune")
        if content and content != changed.revisions[changed.latest].content:
            changed.add_revision(content)
        changed.prune()
    call.controller.changed()


@command("remove-secret", "--revision=", usage="<ID|name>")
def remove_secret(call: Call) -> None:
    """Removes a secret or one of its revisions."""
    if not call.args:
        raise UsageError("missing secret URI")
    number = call.options.number("--revision", 0)
    with call.controller.lock:
        removed = _own(call, call.args[0])
        if number and number not in removed.revisions:
            raise _not_found(f"{removed.id}/{number}")
        removed.revisions.pop(number, None)
        if not number or not removed.revisions:
            del removed.model.secrets[removed.id]


@command("grant-secret", usage="<ID|name> <application>[,<application> ...]")
def grant_secret(call: Call) -> None:
    """Lets applications read a secret."""
    _for_each_app(call, lambda granted, app: granted.grants.add((app, None)))


@command("revoke-secret", usage="<ID|name> <application>[,<application> ...]")
def revoke_secret(call: Call) -> None:
    """Lets applications no longer read a secret."""
    _for_each_app(call, lambda revoked, app: revoked.grants.discard((app, None)))


def _for_each_app(call: Call, change: Callable[[Secret, Application], None]) -> None:
    if len(call.args) < 2:
        raise UsageError("missing secret URI or application name")
    with call.controller.lock:
        changed, names = _own(call, call.args[0]), call.args[1].split(",")
        apps = call.model().apps
        missing = [f'application "{name}" not found' for name in names if name not in apps]
        for name in names:
            if name in apps:
                change(changed, apps[name])
    call.controller.changed()
    if missing:
        raise JujuError(f"failed to grant/revoke secret: {', '.join(missing)}")


@command("secrets", "--format=", "--owner=", "--revisions", aliases=("list-secrets",))
def list_secrets(call: Call) -> None:
    """Lists the secrets of a model."""
    owner = call.options.get("--owner")
    with call.controller.lock:
        shown = [
            each
            for each in secret.known(call.model()).values()
            if owner is None or _tag(each.owner) == owner
        ]
        shown.sort(key=lambda each: (_owner(each), -each.latest))
        document = {each.id: _document(call, each) for each in sorted(shown, key=lambda s: s.id)}
    call.answer(document, status.table([_HEADERS, *(_row(each) for each in shown)], right=[4]))


_HEADERS = ("ID", "Name", "Owner", "Rotation", "Revision", "Last updated")


def _row(shown: Secret) -> tuple[str, ...]:
    name = (shown.label if shown.owner is None else None) or "-"
    return shown.id, name, _owner(shown), "never", str(shown.latest), _date(shown.updated)


@command("show-secret", "--format=", "--reveal", "--revisions", "--revision=", usage="<ID|name>")
def show_secret(call: Call) -> None:
    """Shows a secret."""
    if not call.args:
        raise UsageError("secret ID is required")
    number = call.options.number("--revision", 0)
    for name, given in (("reveal", call.options.has("--reveal")), ("revision", number > 0)):
        if given and call.options.has("--revisions"):
            raise UsageError(f"specify either --revisions or --{name} but not both")
    if number < 0:
        raise UsageError("revision must be a positive integer")
    with call.controller.lock:
        shown = _find(call, call.args[0])
        if number and number not in shown.revisions:
            raise _not_found(f"{shown.id}/{number}")
        document = _document(call, shown) | _content_of(call, shown, number or shown.latest)
        document |= {"access": access} if (access := _access(shown)) else {}
    as_json = call.options.get("--format") == "json"
    call.answer({shown.id: document}, to_yaml({shown.id: document})) if not as_json else call.out(
        json.dumps({shown.id: _with_data(document)}, separators=(",", ":"))
    )


def _with_data(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as JSON has it: the content under `Data`, unlike in YAML."""
    content = {"content": {"Data": document["content"]}} if "content" in document else {}
    return document | content


def _document(call: Call, shown: Secret) -> dict[str, Any]:
    label = "name" if shown.owner is None else "label"
    return {
        "revision": shown.latest,
        "rotation": "never",
        "owner": _owner(shown),
        **({"description": shown.description} if shown.description else {}),
        **({label: shown.label} if shown.label else {}),
        "created": _date(min(r.created for r in shown.revisions.values())),
        "updated": _date(shown.updated),
        **({"revisions": _revisions(shown)} if call.options.has("--revisions") else {}),
    }


def _revisions(shown: Secret) -> list[dict[str, Any]]:
    return [
        {"revision": number, "created": _date(r.created), "updated": _date(r.created)}
        for number, r in sorted(shown.revisions.items())
    ]


def _content_of(call: Call, shown: Secret, number: int) -> dict[str, Any]:
    if not call.options.has("--reveal"):
        return {}
    content = shown.revisions[number].content
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {"checksum": checksum, "content": dict(content)}


def _access(shown: Secret) -> list[dict[str, str]]:
    return sorted(
        (
            {"target": _tag(grantee), "scope": _scope(shown, relation), "role": "view"}
            for grantee, relation in shown.grants
        ),
        key=lambda each: each["target"],
    )


def _scope(shown: Secret, relation: Relation | None) -> str:
    return relation.key(shown.model) if relation else f"model-{shown.model.uuid}"


def _tag(owner: Application | Unit | None) -> str:
    if isinstance(owner, Unit):
        return f"unit-{owner.name.replace('/', '-')}"
    return f"application-{owner.name}" if owner else ""


def _owner(shown: Secret) -> str:
    return shown.owner.name if shown.owner else "<model>"


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _find(call: Call, name: str) -> Secret:
    """Return a secret by its URI, its identifier, or the name that the user gave it."""
    there = secret.known(call.model())
    match = _ID.fullmatch(name)
    if match and match[1] in there:
        return there[match[1]]
    named = [s for s in there.values() if s.owner is None and s.label == name]
    if not named:
        raise _not_found(match[1] if match else name)
    return named[0]


def _own(call: Call, name: str) -> Secret:
    """Return a secret of the user; those of charms only they can change."""
    found = _find(call, name)
    if found.owner is not None:
        raise JujuError("permission denied (unauthorized access)")
    return found


def _not_found(name: str) -> JujuError:
    return JujuError(f'secret "{name}" not found')


def _refuse_taken(model: Model, name: str) -> None:
    if any(s.owner is None and s.label == name for s in model.secrets.values()):
        raise JujuError(f'secret with name "{name}" already exists')


def _content(call: Call, words: list[str]) -> dict[str, str]:
    """Return the content that the words and the file give.

    Raises:
        UsageError: a key that Juju does not take, or a value that cannot be read.
    """
    given = dict(_pair(word) for word in words)
    file = call.options.get("--file")
    given |= _of_file(call.path(file)) if file else {}
    return {key.partition("#")[0]: _value(call, key, text) for key, text in given.items()}


def _pair(word: str) -> tuple[str, str]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise UsageError(f'key value "{word}" not valid')
    return key, text


def _of_file(file: Path) -> dict[str, str]:
    try:
        content: Any = yaml.safe_load(file.read_text())
    except OSError as error:
        raise UsageError(f"reading secret data file: open {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"reading secret data file: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"reading secret data file: {file} has no keys with values")
    return {str(k): str(v) for k, v in cast("dict[Any, Any]", content).items()}


def _value(call: Call, key: str, text: str) -> str:
    name, _, form = key.partition("#")
    if not _KEY.fullmatch(name):
        raise UsageError(f'key "{name}" not valid')
    try:
        if form == "base64":
            return base64.b64decode(text, validate=True).decode()
        return call.path(text).read_text() if form == "file" else text
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UsageError(f'value of "{name}" is not text in base64: {error}') from error
    except OSError as error:
        raise UsageError(f'reading content for secret key "{name}": {error}') from error
