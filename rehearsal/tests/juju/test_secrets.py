"""Secrets: their readers and revisions, their hooks, and the user's commands."""

import json
from collections.abc import Callable
from typing import Any

import jubilant
import pytest

from tests.juju.conftest import Typist

VAULT = """
name: vault
type: charm
summary: owns secrets
provides:
  lent: {interface: lent}
actions:
  add: {description: adds a secret of the application and says its id}
  add-own: {description: adds a secret of the unit}
  add-and-fail: {description: adds one and raises}
  set: {description: makes another revision}
  grant: {description: lends it}
  revoke: {description: no longer does}
  remove: {description: removes it}
  rotate: {description: asks for rotation}
  info: {description: tells what is known of it}
"""

VAULT_CHARM = """
import ops

class Vault(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.secret_remove, self._on_remove)
        for name in ("add", "add_own", "add_and_fail", "set", "grant", "revoke", "remove", "rotate",
                     "info"):
            framework.observe(self.on[name].action, getattr(self, "_" + name))

    def _secret(self):
        return self.model.get_secret(label="door")

    def _relations(self):
        return self.model.relations["lent"]

    def _on_remove(self, event):
        event.remove_revision()
        self.unit.status = ops.ActiveStatus(f"removed {event.secret.label} {event.revision}")

    def _add(self, event):
        secret = self.app.add_secret({"word": "one"}, label="door", description="to get in")
        for relation in self._relations():
            relation.data[self.app]["id"] = secret.id
        event.set_results({"id": secret.id})

    def _add_own(self, event):
        event.set_results({"id": self.unit.add_secret({"word": "own"}, label="mine").id})

    def _add_and_fail(self, event):
        self.app.add_secret({"word": "lost"}, label="lost")
        raise RuntimeError("after all")

    def _set(self, event):
        secret = self.model.get_secret(label="door")
        secret.get_content(refresh=True)
        secret.set_content({"word": "two"})
        self._secret().get_content(refresh=True)

    def _grant(self, event):
        for relation in self._relations():
            self._secret().grant(relation)

    def _revoke(self, event):
        for relation in self._relations():
            self._secret().revoke(relation)

    def _remove(self, event):
        self._secret().remove_all_revisions()

    def _rotate(self, event):
        self._secret().set_info(rotate=ops.SecretRotate.HOURLY)

    def _info(self, event):
        info = self._secret().get_info()
        event.set_results({"revision": info.revision, "description": info.description})
"""

READER = """
name: reader
type: charm
summary: reads secrets
requires:
  lent: {interface: lent}
config:
  options:
    token: {type: secret, description: a secret of the user}
actions:
  read:
    description: reads a secret
    params:
      id: {type: string, description: which}
      how: {type: string, default: tracked, description: tracked, peek or refresh}
"""

READER_CHARM = """
import ops

class Reader(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.secret_changed, self._on_changed)
        framework.observe(self.on.read_action, self._on_read)

    def _on_changed(self, event):
        tracked = event.secret.get_content()["word"]
        latest = event.secret.peek_content()["word"]
        self.unit.status = ops.ActiveStatus(f"{event.secret.label}: {tracked}, now {latest}")

    def _on_read(self, event):
        try:
            secret = self.model.get_secret(
                id=event.params.get("id") or self.config["token"], label="borrowed"
            )
        except ops.ModelError as error:
            event.fail(f"{type(error).__name__}: {error}")
            return
        content = {
            "tracked": secret.get_content,
            "peek": secret.peek_content,
            "refresh": lambda: secret.get_content(refresh=True),
        }[event.params["how"]]()
        event.set_results(content)
"""

Act = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def _charms(folder: Any) -> None:
    for name, meta, code in (("vault", VAULT, VAULT_CHARM), ("reader", READER, READER_CHARM)):
        (folder / name / "src").mkdir(parents=True)
        (folder / name / "charmcraft.yaml").write_text(meta)
        (folder / name / "src" / "charm.py").write_text(code)


@pytest.fixture
def act(juju: Typist) -> Act:
    """Runs an action of a unit and returns its results, or its message if it has failed."""

    def act(unit: str, action: str, **params: str) -> dict[str, Any]:
        words = " ".join(f"{name}={value}" for name, value in params.items())
        done = juju(f"run {unit} {action} {words} --format json")
        [task] = json.loads(done.stdout).values()
        failed = {"failed": task.get("message", "")} if task["status"] == "failed" else {}
        return {**task.get("results", {}), **failed}

    return act


@pytest.fixture
def related(juju: Typist) -> Typist:
    """A vault and a reader that are related."""
    juju("deploy ./vault")
    juju("deploy ./reader")
    juju("integrate vault reader")
    juju.until("show-unit reader/0 --format json", lambda output: '"vault/0"' in output)
    return juju


def test_who_has_no_grant_is_denied(related: Typist, act: Act):
    identifier = act("vault/0", "add")["id"]

    denied = act("reader/0", "read", id=identifier)
    act("vault/0", "grant")
    granted = act("reader/0", "read", id=identifier)
    act("vault/0", "revoke")

    assert denied["failed"] == "ModelError: ERROR permission denied"
    assert granted["word"] == "one"
    assert "permission denied" in act("reader/0", "read", id=identifier)["failed"]


def test_a_secret_that_is_not_there_is_not_found(related: Typist, act: Act):
    missing = act("reader/0", "read", id="secret:00000000000000000000")

    assert missing["failed"].startswith("SecretNotFoundError")


def test_a_grant_ends_with_its_relation(related: Typist, act: Act):
    identifier = act("vault/0", "add")["id"]
    act("vault/0", "grant")
    assert act("reader/0", "read", id=identifier)["word"] == "one"

    related("remove-relation vault reader")

    related.until("status --relations", lambda output: "lent" not in output)
    assert "failed" in act("reader/0", "read", id=identifier)


def test_an_observer_keeps_its_revision_until_it_refreshes(related: Typist, act: Act):
    identifier = act("vault/0", "add")["id"]
    act("vault/0", "grant")
    act("reader/0", "read", id=identifier)

    act("vault/0", "set")

    related.until("status", lambda output: "borrowed: one, now two" in output)
    tracked = act("reader/0", "read", id=identifier)
    peeked = act("reader/0", "read", id=identifier, how="peek")
    refreshed = act("reader/0", "read", id=identifier, how="refresh")
    after = act("reader/0", "read", id=identifier)
    assert [r["word"] for r in (tracked, peeked, refreshed, after)] == ["one", "two", "two", "two"]


def test_the_owner_hears_when_nobody_reads_a_revision_any_more(related: Typist, act: Act):
    identifier = act("vault/0", "add")["id"]
    act("vault/0", "grant")
    act("reader/0", "read", id=identifier)
    act("vault/0", "set")
    related.until("status", lambda output: "borrowed: one, now two" in output)
    assert "removed" not in related("status").stdout

    act("reader/0", "read", id=identifier, how="refresh")

    related.until("status", lambda output: "removed door 1" in output)
    shown = related(f"show-secret {identifier} --revisions --format json").stdout
    [secret] = json.loads(shown).values()
    assert [revision["revision"] for revision in secret["revisions"]] == [2]


def test_the_owner_sees_what_it_has_set(related: Typist, act: Act):
    act("vault/0", "add")
    act("vault/0", "set")

    assert act("vault/0", "info")["revision"] == "2"
    assert act("vault/0", "info")["description"] == "to get in"
    act("vault/0", "remove")
    assert json.loads(related("secrets --format json").stdout) == {}


def test_a_hook_that_fails_leaves_no_secret(related: Typist, act: Act):
    act("vault/0", "add-and-fail")

    assert json.loads(related("secrets --format json").stdout) == {}


def test_only_the_leader_adds_a_secret_of_the_application(related: Typist, act: Act):
    related("add-unit vault")
    related.until("show-unit vault/1", lambda output: "vault/1" in output)

    refused = act("vault/1", "add")
    own = act("vault/1", "add-own")

    assert "failed" in refused
    assert "this unit is not the leader" in related("debug-log --replay").stdout
    assert own["id"].startswith("secret:")


def test_secrets_go_with_their_owner(related: Typist, act: Act):
    related("add-unit vault")
    related.until("show-unit vault/1", lambda output: "vault/1" in output)
    act("vault/0", "add")
    act("vault/1", "add-own")
    owners = [s["owner"] for s in json.loads(related("secrets --format json").stdout).values()]
    assert sorted(owners) == ["vault", "vault/1"]

    related("remove-unit vault --num-units 1")
    related.until("secrets", lambda output: "vault/1" not in output)
    related("remove-application --no-prompt vault")

    related.until("secrets --format json", lambda output: json.loads(output) == {})


def test_rotation_is_not_rehearsed_and_said_so(related: Typist, act: Act):
    act("vault/0", "add")

    act("vault/0", "rotate")

    assert "is not rehearsed" in related("debug-log --level WARNING --replay").stdout


def test_a_secret_is_lent_to_another_model(juju: Typist, act: Act):
    home = json.loads(juju("models --format json").stdout)["current-model"]
    juju("deploy ./vault")
    juju("offer vault:lent")
    away = f"{home.rpartition('/')[2]}away"
    juju(f"add-model {away} --no-switch")
    try:
        juju(f"deploy ./reader --model {away}")
        juju(f"integrate reader admin/{home.rpartition('/')[2]}.vault --model {away}")
        juju.until(
            f"show-unit reader/0 --format json --model {away}", lambda text: '"vault/0"' in text
        )
        identifier = act("vault/0", "add")["id"].removeprefix("secret:")
        [model] = json.loads(juju("show-model --format json").stdout).values()
        uri = f"secret://{model['model-uuid']}/{identifier}"

        before = juju(f"run reader/0 read id={uri} --model {away} --format json")
        act("vault/0", "grant")
        after = juju(f"run reader/0 read id={uri} --model {away} --format json")

        assert "permission denied" in before.stdout
        assert '"word":"one"' in after.stdout
    finally:
        juju(f"destroy-model {away} --no-prompt --force")


def test_a_user_lends_a_secret_by_configuration(juju: Typist, act: Act):
    juju("deploy ./reader")
    uri = juju("add-secret token word=one").stdout.strip()
    juju(f"config reader token={uri}")

    denied = act("reader/0", "read")
    juju("grant-secret token reader")
    granted = act("reader/0", "read")
    juju("update-secret token word=two")
    juju.until("status", lambda output: "borrowed: one, now two" in output)
    juju("revoke-secret token reader")

    assert "permission denied" in denied["failed"]
    assert granted["word"] == "one"
    assert "permission denied" in act("reader/0", "read")["failed"]


def test_an_option_of_the_type_secret_takes_nothing_else(juju: Typist):
    juju("deploy ./reader")

    done = juju("config reader token=plain")

    assert done.returncode == 1
    assert 'option "token" expected secret, got "plain"' in done.stderr


def test_a_user_reads_back_what_he_has_added(juju: Typist):
    (juju.folder / "more.yaml").write_text("other: of the file\n")

    uri = juju("add-secret door word#base64=b25l --file more.yaml --info 'to get in'").stdout

    identifier = uri.strip().removeprefix("secret:")
    assert len(identifier) == 20
    shown = json.loads(juju("show-secret door --reveal --format json").stdout)[identifier]
    assert shown["content"] == {"Data": {"word": "one", "other": "of the file"}}
    assert (shown["owner"], shown["name"], shown["description"]) == ("<model>", "door", "to get in")
    assert "content" not in juju("show-secret door").stdout
    assert "    word: one\n" in juju("show-secret door --reveal").stdout
    header, row = juju("secrets").stdout.splitlines()
    assert header.split() == ["ID", "Name", "Owner", "Rotation", "Revision", "Last", "updated"]
    assert row.split()[:5] == [identifier, "door", "<model>", "never", "1"]


def test_revisions_of_a_user_stay_unless_they_are_to_be_pruned(juju: Typist):
    def revisions() -> list[int]:
        [shown] = json.loads(juju("show-secret door --revisions --format json").stdout).values()
        return [revision["revision"] for revision in shown["revisions"]]

    juju("add-secret door word=one")
    juju("update-secret door word=two")
    kept = revisions()
    juju("update-secret door word=two --auto-prune")

    assert (kept, revisions()) == ([1, 2], [2])
    assert "two" in juju("show-secret door --revision 2 --reveal").stdout
    assert juju("show-secret door --revision 1").returncode == 1


def test_a_revision_or_all_of_a_secret_is_removed(juju: Typist):
    juju("add-secret door word=one")
    juju("update-secret door word=two --name gate")

    assert juju("remove-secret gate --revision 1").returncode == 0
    assert juju("show-secret gate --revision 1").returncode == 1
    assert juju("remove-secret gate").returncode == 0

    assert juju("show-secret gate").stderr == 'ERROR secret "gate" not found\n'


@pytest.mark.parametrize(
    ("line", "status", "error"),
    [
        ("add-secret", 2, "missing secret name"),
        ("add-secret door", 2, "missing secret value or filename"),
        ("add-secret door word", 2, 'key value "word" not valid'),
        ("add-secret door W=1", 2, 'key "W" not valid'),
        ("add-secret door word#base64=!", 2, 'value of "word" is not text in base64'),
        ("add-secret door --file nowhere.yaml", 2, "reading secret data file"),
        ("add-secret taken word=two", 1, 'secret with name "taken" already exists'),
        ("update-secret", 2, "missing secret URI"),
        ("update-secret nothing word=two", 1, 'secret "nothing" not found'),
        ("remove-secret nothing", 1, 'secret "nothing" not found'),
        ("remove-secret taken --revision 7", 1, "/7"),
        ("grant-secret taken", 2, "missing secret URI or application name"),
        ("grant-secret taken nobody", 1, 'application "nobody" not found'),
        ("show-secret", 2, "secret ID is required"),
        ("show-secret taken --revisions --reveal", 2, "specify either --revisions or --reveal"),
        ("show-secret taken --revision -1", 2, "revision must be a positive integer"),
    ],
)
def test_what_is_typed_wrongly_is_said(juju: Typist, line: str, status: int, error: str):
    juju("add-secret taken word=one")

    done = juju(line)

    assert done.returncode == status
    assert done.stderr.startswith("ERROR ")
    assert error in done.stderr


def test_a_charms_secret_is_not_the_users_to_change(related: Typist, act: Act):
    identifier = act("vault/0", "add")["id"]

    done = related(f"update-secret {identifier} word=mine")

    assert (done.returncode, "permission denied" in done.stderr) == (1, True)


def test_jubilant_reads_what_it_has_added(juju: Typist, monkeypatch: pytest.MonkeyPatch):
    for name, value in juju.environment.items():
        monkeypatch.setenv(name, value)
    calls = jubilant.Juju()
    uri = calls.add_secret("door", {"word": "one"}, info="to get in")
    calls.update_secret(uri, {"word": "two"})

    revealed = calls.show_secret(uri, reveal=True)
    listed = calls.secrets()

    assert (revealed.content, revealed.revision, revealed.name) == ({"word": "two"}, 2, "door")
    assert [secret.uri for secret in listed] == [uri]
    calls.remove_secret(uri)
    assert calls.secrets() == []
