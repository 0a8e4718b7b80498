"""Relations between models: offered in one, consumed in another, ended on either side."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from tests.juju.conftest import Typist
from tests.juju.test_commands import STATUS, is_active

OFFERING = "offering"
URL = f"admin/{OFFERING}.db"


@pytest.fixture
def two(juju: Typist) -> Generator[Typist]:
    """`juju` with `web` in the model in focus, and an offer of `db` in another."""
    assert juju(f"add-model {OFFERING} --no-switch").returncode == 0
    for line in (f"deploy --model {OFFERING} ./small db", "deploy ./small web"):
        assert juju(line).returncode == 0
    made = juju(f"offer {OFFERING}.db:server")
    assert made.stderr == f'Application "db" endpoints [server] available at "{URL}"\n'
    juju.until(STATUS, is_active("web/0"))
    juju.until(f"status --model {OFFERING} --format json", is_active("db/0"))
    yield juju
    assert juju(f"destroy-model {OFFERING} --no-prompt --force").returncode == 0


def relate(juju: Typist) -> None:
    assert juju(f"consume {URL}").stderr == f"Added {URL} as db\n"
    assert juju("integrate web:db db:server").returncode == 0
    juju.until(STATUS, lambda output: '"message":"secret"' in output)


def shown(juju: Typist, unit: str, model: str = "") -> Any:
    """Return the relations of a unit that are not with its own application."""
    words = f"show-unit {unit} --format json" + (f" --model {model}" if model else "")
    relations = json.loads(juju(words).stdout)[unit]["relation-info"]
    return [relation for relation in relations if relation["endpoint"] != "replicas"]


def test_data_crosses_between_models(two: Typist):
    relate(two)

    [relation] = shown(two, "web/0")
    assert relation["cross-model"] is True
    assert relation["application-data"] == {"password": "secret"}
    assert list(relation["related-units"]) == ["db/0"]


def test_the_offering_side_knows_the_other_by_an_alias_alone(two: Typist):
    relate(two)

    [relation] = shown(two, "db/0", OFFERING)
    [remote] = relation["related-units"]
    alias, _, number = remote.partition("/")
    assert (alias[:7], len(alias), number) == ("remote-", 39, "0")


def test_status_shows_what_is_consumed_and_who_is_connected(two: Typist):
    relate(two)

    here = two("status --relations").stdout
    there = two(f"status --model {OFFERING}").stdout

    assert f"SAAS  Status  Store      URL\ndb    active  rehearsal  {URL}\n" in here
    assert "db:server             web:db        db           regular  " in here
    assert "db     db           small  0    1/1        server    db         provider" in there
    document = json.loads(two(STATUS).stdout)["application-endpoints"]["db"]
    assert (document["url"], document["relations"]) == (f"rehearsal:{URL}", {"server": ["web"]})


def test_an_offer_can_be_named_where_it_is_used(two: Typist):
    assert two(f"integrate web:db {URL}").returncode == 0

    two.until(STATUS, lambda output: '"message":"secret"' in output)
    assert two("offers --model offering --format json").stdout.count('"relation-id"') == 1


@pytest.mark.parametrize(
    "command",
    ["remove-relation web:db db:server", "remove-saas db", "remove-application web --no-prompt"],
)
def test_the_consuming_side_ends_it(two: Typist, command: str):
    relate(two)

    assert two(command).returncode == 0

    two.until(f"status --model {OFFERING}", lambda output: "0/0" in output)
    assert shown(two, "db/0", OFFERING) == []


def test_the_offering_side_ends_it(two: Typist):
    relate(two)

    refused = two(f"remove-offer {URL}")
    forced = two(f"remove-offer {URL} --force")

    used = 'ERROR cannot delete application offer "db": offer has 1 relation\n'
    assert (refused.returncode, refused.stderr) == (1, used)
    assert forced.returncode == 0
    two.until("status --relations", lambda output: "web:db" not in output)
    assert "db    terminated  rehearsal" in two("status").stdout
    again = two("integrate web:db db:server")
    assert again.stderr.startswith('ERROR Offer "db" has been removed from the remote model.')


def test_destroying_the_offering_model_ends_it(two: Typist):
    relate(two)

    assert two(f"destroy-model {OFFERING} --no-prompt").returncode == 0

    assert shown(two, "web/0") == []
    two(f"add-model {OFFERING} --no-switch")  # which is destroyed in the end


def test_an_application_that_is_offered_stays(two: Typist):
    done = two(f"remove-application db --no-prompt --model {OFFERING}")

    assert done.returncode == 1
    assert "application is used by 1 offer" in done.stderr


def test_an_endpoint_that_is_used_stays_in_its_offer(two: Typist):
    relate(two)

    used = two(f"offer {OFFERING}.db:replicas db")
    more = two(f"offer {OFFERING}.db:server,juju-info db")

    assert 'would remove endpoint "server" which has active consumers' in used.stderr
    assert more.returncode == 0


def test_a_bundle_consumes(two: Typist):
    (two.folder / "remote.yaml").write_text(
        f"bundle: kubernetes\nsaas: {{store: {{url: {URL}}}}}\n"
        "applications: {app: {charm: ./small, scale: 1}}\nrelations: [[app:db, store:server]]\n"
    )

    done = two("deploy ./remote.yaml")

    assert f"- consume offer store at {URL}\n- add relation app:db - store:server\n" in done.stdout
    assert f"Added {URL} as store\n" in done.stderr
    two.until(STATUS, lambda output: '"message":"secret"' in output)


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("consume", 2, "ERROR no remote offer specified"),
        ("consume db", 1, "ERROR application offer URL has invalid form, must be"),
        ("consume nope.db", 1, 'ERROR model "admin/nope" not found'),
        ("consume offering.nope", 1, 'ERROR application offer "admin/offering.nope" not found'),
        ("consume offering.db:server", 1, "shouldn't include endpoint"),
        ("consume offering.db web", 1, "local application with same name already exists"),
        ("remove-saas nope", 1, 'removing SAAS application nope failed: saas application "nope"'),
        ("show-offer offering.nope", 1, 'ERROR application offer "admin/offering.nope" not found'),
        ("offer web:", 1, 'ERROR specify endpoints for web" '),
        ("integrate offering.db x.y", 2, "ERROR providing more than one remote endpoints"),
        ("integrate web:db offering.db:nope", 1, 'saas application "db" has no "nope" relation'),
    ],
)
def test_what_is_wrong_is_said_in_jujus_words(two: Typist, line: str, status: int, message: str):
    done = two(line)

    assert (done.returncode, message in done.stderr) == (status, True), done.stderr


def test_offers_are_found(two: Typist):
    assert f"rehearsal  {URL}" in two("find-offers").stdout
    assert "offer-url: admin/offering.db" in two("show-offer offering.db").stdout
