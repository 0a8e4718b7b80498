"""Cross-model relations: a remote application is allowed under its verified identity, or denied."""

import json
import logging
from dataclasses import replace

import pytest
from ops import testing
from small_charms import ALIAS, ambient, consumer, identity, related, state
from small_cluster import SmallCluster

from charms.istio_beacon_k8s.v0.service_mesh import Refusal

ON = testing.CharmEvents()
MESH = ambient()
LOCAL = related("metrics", "scraper")
FAR, OTHER = "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"
SCRAPER_IP, READER_IP = "10.96.65.65", "10.96.132.129"
ALLOWED: list[tuple[str, str]] = [("scraper", "far")]
DENIED: list[tuple[str, str]] = []


@pytest.fixture(autouse=True)
def models(cluster: SmallCluster) -> None:
    """Add two more models to the cluster."""
    cluster.put_namespace("far", FAR)
    cluster.put_namespace("other", OTHER)


def alias(number: int) -> str:
    return f"remote-{number:032x}"


def calls(number: int, *, ip: str = SCRAPER_IP, model: str = FAR) -> testing.Relation:
    """Return a relation with a policy as Juju 4 shows it, with an alias of its own."""
    return _remote("metrics", number, ip, model, {})


def claims(
    number: int, app: str = "scraper", name: str = "far", *, ip: str = SCRAPER_IP, model: str = FAR
) -> testing.Relation:
    """Return a relation that publishes an identity, as Juju 4 shows it."""
    data = json.dumps({"app_name": app, "juju_model_name": name})
    return _remote("provide-cmr-mesh", number, ip, model, {"cmr_data": data})


def _remote(
    endpoint: str, number: int, ip: str, model: str, data: dict[str, str]
) -> testing.Relation:
    units = {0: {"ingress-address": ip}, 1: {"ingress-address": ip}} if ip else {}
    return related(
        endpoint,
        alias(number),
        remote_app_data=data,
        remote_units_data=units,
        remote_model_uuid=model,
    )


def reconcile(*relations: testing.RelationBase) -> testing.State:
    charm = consumer()
    return charm.run(ON.leader_elected(), state(MESH, *relations))


def allowed(out: testing.State) -> list[tuple[str, str]]:
    """Return the application and model of each caller in the published policies."""
    published = json.loads(out.get_relation(MESH.id).local_app_data["policies"])
    return [(each["source_app_name"], each["source_namespace"]) for each in published]


def waiting(*relations: testing.RelationBase) -> list[int]:
    charm = consumer()
    with charm(charm.on.start(), state(*relations)) as manager:
        return [relation.id for relation in manager.charm.mesh.waiting_for_identity()]


def refused(*relations: testing.RelationBase) -> list[Refusal]:
    charm = consumer()
    with charm(charm.on.start(), state(MESH, *relations)) as manager:
        return manager.charm.mesh.refused_identities()


class TestOneAliasPerApplication:
    """Juju 3.6 shows all relations of a remote application under one alias."""

    def test_a_caller_with_an_identity_is_allowed(self):
        relations = calls(1, ip=""), claims(1, ip="")

        assert allowed(reconcile(*relations)) == ALLOWED
        assert waiting(MESH, *relations) == []

    def test_a_caller_without_an_identity_is_denied(self):
        caller = calls(1)

        assert allowed(reconcile(caller)) == DENIED
        assert waiting(MESH, caller) == [caller.id]

    def test_a_caller_with_a_withdrawn_identity_is_denied(self):
        claim = claims(1)
        before = reconcile(calls(1), claim)

        out = consumer().run(ON.relation_broken(claim), before)

        assert (allowed(before), allowed(out)) == (ALLOWED, DENIED)

    def test_a_caller_with_an_invalid_name_is_denied(self, caplog: pytest.LogCaptureFixture):
        with caplog.at_level(logging.WARNING):
            out = reconcile(calls(1), claims(1, app="*"))

        assert allowed(out) == DENIED
        assert f"Refused the identity of {alias(1)}" in caplog.text


class TestOneAliasPerRelation:
    """Juju 4 shows each relation of a remote application under an alias of its own.

    Relations with the same model and the same address belong to the same application.
    """

    def test_the_same_model_and_address_are_allowed(self):
        relations = calls(1), claims(2)

        assert allowed(reconcile(*relations)) == ALLOWED
        assert waiting(MESH, *relations) == []

    @pytest.mark.parametrize(
        "claim",
        [claims(2, ip=READER_IP), claims(2, ip=""), claims(2, "scraper", "other", model=OTHER)],
        ids=["other address", "no address", "other model"],
    )
    def test_another_model_or_address_is_denied(self, claim: testing.Relation):
        caller = calls(1)

        assert allowed(reconcile(caller, claim)) == DENIED
        assert waiting(MESH, caller, claim) == [caller.id]

    def test_a_caller_without_an_address_is_denied(self):
        assert allowed(reconcile(calls(1, ip=""), claims(2))) == DENIED

    def test_an_unknown_model_with_an_address_is_denied(self):
        old = consumer(juju_version="3.5.0")

        out = old.run(ON.leader_elected(), state(MESH, calls(1), claims(2)))

        assert allowed(out) == DENIED

    def test_an_identity_does_not_count_for_another_application(self):
        scraper, reader = calls(1), calls(2, ip=READER_IP)
        claim = claims(3, "reader", ip=READER_IP)

        assert allowed(reconcile(scraper, reader, claim)) == [("reader", "far")]
        assert waiting(MESH, scraper, reader, claim) == [scraper.id]

    def test_each_application_is_allowed_under_its_own_identity(self):
        scraper, reader = calls(1), calls(2, ip=READER_IP)
        claim = claims(3), claims(4, "reader", ip=READER_IP)

        assert allowed(reconcile(scraper, reader, *claim)) == [*ALLOWED, ("reader", "far")]

    def test_a_caller_with_a_withdrawn_identity_is_denied(self):
        claim = claims(2)
        before = reconcile(calls(1), claim)

        out = consumer().run(ON.relation_broken(claim), before)

        assert (allowed(before), allowed(out)) == (ALLOWED, DENIED)

    def test_a_caller_is_allowed_once_its_address_arrives(self):
        late, claim = calls(1, ip=""), claims(2)
        before = reconcile(late, claim)
        there = replace(late, remote_units_data=calls(1).remote_units_data)
        others = [each for each in before.relations if each.id != late.id]

        out = consumer().run(
            ON.relation_changed(there, remote_unit=0), replace(before, relations={*others, there})
        )

        assert (allowed(before), allowed(out)) == (DENIED, ALLOWED)

    def test_one_application_may_claim_from_two_addresses(self):
        relations = calls(1), calls(2, ip=READER_IP), claims(3), claims(4, ip=READER_IP)

        assert allowed(reconcile(*relations)) == ALLOWED
        assert waiting(MESH, *relations) == []

    def test_different_claims_from_one_address_are_denied(self):
        assert allowed(reconcile(calls(1), claims(2), claims(3, "reader"))) == DENIED


class TestClaimedModel:
    """Juju gives the UUID of the remote model, which is also a label of the model's namespace."""

    @pytest.mark.parametrize("name", ["other", "prod", "nowhere"])
    @pytest.mark.parametrize("number", [1, 2], ids=["Juju 3.6", "Juju 4"])
    def test_a_claim_for_another_model_is_refused(self, number: int, name: str):
        false_claim = claims(number, name=name)
        claim = json.dumps({"app_name": "scraper", "juju_model_name": name}, separators=(",", ":"))
        reason = f"it names the model {name}, which is not its own"

        assert allowed(reconcile(calls(1), false_claim)) == DENIED
        assert refused(calls(1), false_claim) == [Refusal(alias(number), claim, reason)]

    def test_a_claim_for_its_own_model_is_not_refused(self):
        assert refused(calls(1), claims(2)) == []

    def test_a_false_claim_does_not_affect_another_application(self):
        false_claim = claims(3, "victim", "other", ip=READER_IP)

        assert (
            allowed(reconcile(calls(1), claims(2), calls(4, ip=READER_IP), false_claim)) == ALLOWED
        )

    def test_a_refusal_is_logged_once(self, caplog: pytest.LogCaptureFixture):
        with caplog.at_level(logging.WARNING):
            first = reconcile(calls(1), claims(2, name="other"))
            consumer().run(ON.leader_elected(), first)

        assert caplog.text.count("Refused the identity") == 1
        assert f"the model with UUID {FAR} is not named other" in caplog.text

    def test_without_a_uuid_a_claim_is_accepted_unchecked(self, cluster: SmallCluster):
        old = consumer(juju_version="3.5.0")

        out = old.run(ON.leader_elected(), state(MESH, calls(1), claims(1, name="other")))

        assert allowed(out) == [("scraper", "other")]
        assert "list namespaces" not in cluster.calls()

    def test_each_claim_is_checked_in_kubernetes_once(self, cluster: SmallCluster):
        first = reconcile(calls(1), claims(2))
        again = consumer().run(ON.leader_elected(), first)

        assert allowed(again) == ALLOWED
        assert cluster.calls().count("list namespaces") == 1

    def test_a_claim_within_the_model_is_not_checked(self, cluster: SmallCluster):
        reconcile(LOCAL, identity("scraper", "scraper", "far"))

        assert "list namespaces" not in cluster.calls()

    def test_a_claim_waits_while_kubernetes_fails(self, cluster: SmallCluster):
        cluster.fail(503, "list", "namespaces")
        away = reconcile(calls(1), claims(2))
        cluster.recover()
        back = consumer().run(ON.update_status(), away)

        assert (allowed(away), allowed(back)) == (DENIED, ALLOWED)
        assert "could not list namespaces (503), will try again" in away.unit_status.message
        assert back.unit_status == testing.ActiveStatus()

    def test_a_checked_claim_counts_while_kubernetes_fails(self, cluster: SmallCluster):
        checked = reconcile(calls(1), claims(2))
        cluster.fail(503, "list", "namespaces")

        assert allowed(consumer().run(ON.leader_elected(), checked)) == ALLOWED


class TestWithinTheModel:
    def test_a_local_application_needs_no_identity(self):
        assert allowed(reconcile(LOCAL)) == [("scraper", "prod")]
        assert waiting(MESH, LOCAL) == []

    def test_a_local_application_cannot_claim_another_identity(self):
        false_claim = identity("scraper", "victim", "other")

        assert allowed(reconcile(LOCAL, false_claim, calls(1))) == [("scraper", "prod")]

    def test_an_older_juju_allows_local_applications(self):
        old = consumer(juju_version="3.5.0")

        out = old.run(ON.leader_elected(), state(MESH, LOCAL))

        assert allowed(out) == [("scraper", "prod")]

    def test_nothing_waits_without_a_mesh(self):
        assert waiting(calls(1)) == []

    def test_nothing_waits_without_a_policy(self):
        assert waiting(MESH, related("upstream", ALIAS)) == []


class TestConsumingSide:
    """Juju shows a remote application under the name of the SAAS."""

    def test_a_saas_waits_for_its_identity(self):
        saas = related("metrics", "prometheus", remote_model_uuid=FAR)

        assert allowed(reconcile(saas, LOCAL)) == [("scraper", "prod")]
        assert waiting(MESH, saas, LOCAL) == [saas.id]

    def test_a_saas_with_an_identity_is_allowed(self):
        saas = related("metrics", "prometheus", remote_model_uuid=FAR)
        claim = replace(identity("prometheus", "scraper", "far"), remote_model_uuid=FAR)

        assert allowed(reconcile(saas, claim)) == ALLOWED

    def test_juju_is_asked_once_for_the_model_of_an_application(self):
        first = reconcile(LOCAL)
        moved = replace(LOCAL, remote_model_uuid=FAR)
        # An application never moves. If it did, only a second question to Juju would show it.
        again = replace(first, relations={first.get_relation(MESH.id), moved})

        assert allowed(consumer().run(ON.leader_elected(), again)) == [("scraper", "prod")]

    def test_a_new_application_under_an_old_name_is_asked_for(self):
        first = reconcile(LOCAL)
        gone = replace(first, relations={first.get_relation(MESH.id)})
        without = consumer().run(ON.leader_elected(), gone)
        saas = related("metrics", "scraper", remote_model_uuid=FAR)
        relations = {without.get_relation(MESH.id), saas}

        out = consumer().run(ON.leader_elected(), replace(without, relations=relations))

        assert allowed(out) == DENIED


class TestStatus:
    def status(self, *relations: testing.RelationBase) -> tuple[str, str]:
        out = reconcile(*relations)
        return out.unit_status.name, out.unit_status.message

    def test_identified_callers_are_not_mentioned(self):
        assert self.status(calls(1), claims(2)) == ("active", "")

    def test_waiting_relations_are_named(self):
        first, second = calls(1), calls(2)

        name, message = self.status(first, second)

        names = f"metrics:{first.id}, metrics:{second.id}"
        assert name == "active"
        assert message == f"denying callers over {names} until require-cmr-mesh identifies them"

    def test_refused_identities_are_named(self):
        name, message = self.status(calls(1), claims(2, name="other"))

        assert name == "active"
        assert message.startswith(
            f"refused the identity of {alias(2)}: it names the model other, which is not its own; "
        )

    def test_a_relation_is_not_named_once_it_is_identified(self):
        denied = reconcile(calls(1))
        claim = claims(2)

        out = consumer().run(
            ON.relation_changed(claim), replace(denied, relations={*denied.relations, claim})
        )

        assert out.unit_status == testing.ActiveStatus()
