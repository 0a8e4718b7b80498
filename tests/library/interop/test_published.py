"""Behaviour of the published library (1.0.2) that ours does not share, one test for each.

The name of a test describes the published library, unless it says `ours`. A test that names the
cluster needs Kubernetes. If a case leaves something behind there, each library runs it on a cluster
of its own, with the rows `(PUBLISHED, the result there)` and `(OURS, the correct result)`.
"""

import contextlib
import importlib.metadata
import json
from dataclasses import replace
from typing import Any

import httpx
import lightkube
import pytest
from ops import testing
from small_charms import (
    ALIAS,
    LABELS,
    Event,
    ambient,
    entry,
    identity,
    mesh,
    related,
    requesting,
    state,
)
from small_cluster import APP, LEDGER, MODEL, SmallCluster, connected
from two_libraries import (
    OURS,
    PUBLISHED,
    PUBLISHED_LABELS,
    Library,
    consumer_on,
    provider_on,
    reconcile_on,
)

# The published library leaves its connections open.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

ON = testing.CharmEvents()
MESH = ambient()
READER = related("data", "reader")
SCRAPER = related("metrics", "scraper")
STRANGER = related("metrics", ALIAS)
IDENTITY = identity(ALIAS, "scraper", "far")
SAAS = related("require-cmr-mesh", "saas")
JUJU_LABELS = {"app.kubernetes.io/name": APP}


def run(library: Library, event: Event, before: testing.State, **rest: bool) -> testing.State:
    try:
        return consumer_on(library, **rest).run(event, before)
    except testing.errors.UncaughtCharmError as error:
        raise error.__cause__ or error from None


def joined(library: Library, relation: testing.Relation = MESH, **rest: Any) -> testing.State:
    return run(library, ON.relation_changed(relation), state(relation, **rest))


def leave(library: Library, before: testing.State) -> testing.State:
    [relation] = before.get_relations("service-mesh")
    left = run(library, ON.relation_broken(relation), before)
    return replace(left, relations=set())


def allowed_callers(out: testing.State) -> list[tuple[str, str]]:
    """Return the application and model of each caller in the published policies."""
    bag = out.get_relation(MESH.id).local_app_data
    published = json.loads(bag.get("policies", "[]"))
    return [(each["source_app_name"], each["source_namespace"]) for each in published]


def mesh_info(library: Library, *relations: testing.Relation) -> list[dict[str, Any]]:
    with provider_on(library)(ON.start(), state(*relations)) as manager:
        return [each.model_dump(mode="json") for each in manager.charm.mesh.mesh_info()]


def accepted(*relations: testing.Relation) -> list[Any]:
    """Return the policies that our provider accepts after a check of their targets."""
    with provider_on(OURS)(ON.start(), state(*relations)) as manager:
        return manager.charm.mesh.review().accepted


def reconcile_labels(library: Library, labels: dict[str, str]) -> None:
    labels_of = PUBLISHED_LABELS if library is PUBLISHED else library
    with connected(APP) as client:
        labels_of.reconcile_charm_labels(client, APP, MODEL, LEDGER, labels)


def test_the_first_join_with_lightkube_1(cluster: SmallCluster):
    """The published charm library expects the 404 for its ledger as an error of httpx."""
    old = importlib.metadata.version("lightkube").startswith("0.")
    assert issubclass(lightkube.ApiError, httpx.HTTPStatusError) == old

    joined(OURS)

    assert cluster.pod_labels() == {**JUJU_LABELS, **LABELS}


@pytest.mark.parametrize(
    "bag",
    [
        pytest.param("{", id="not JSON"),
        pytest.param("null", id="null"),
        pytest.param(json.dumps([entry(), {}]), id="one bad entry"),
        pytest.param(
            json.dumps([entry(), entry(endpoints=[{"methods": ["get"]}])]), id="a lower-case method"
        ),
    ],
)
def test_a_malformed_databag_costs_others_their_policies(bag: str):
    other = entry(target_app_name="other")
    relations = (
        related("service-mesh", "producer", remote_app_data={"policies": bag}),
        requesting("other", other),
    )

    with pytest.raises((ValueError, TypeError)):
        mesh_info(PUBLISHED, *relations)
    assert other in mesh_info(OURS, *relations)


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param({}, id="no kind"),
        pytest.param({"mesh_type": '"linkerd"'}, id="unknown kind"),
        pytest.param({"mesh_type": '"istio"', "note": "hello"}, id="extra key"),
    ],
)
def test_a_missing_unknown_or_additional_key_raises_an_error(rest: dict[str, str]):
    relation = mesh(labels=json.dumps(LABELS), **rest)

    def labels(library: Library) -> dict[str, str]:
        with consumer_on(library)(ON.start(), state(relation)) as manager:
            return manager.charm.mesh.labels()

    with pytest.raises(ValueError, match=r"mesh_type|Expecting value"):
        labels(PUBLISHED)
    assert labels(OURS) == LABELS


def test_an_identity_that_is_not_json_fails_the_hook():
    bad = related("provide-cmr-mesh", "bad", remote_app_data={"cmr_data": "hello"})
    to_mesh = mesh()
    event, before = ON.relation_changed(IDENTITY), state(to_mesh, STRANGER, IDENTITY, bad)

    with pytest.raises(json.JSONDecodeError):
        run(PUBLISHED, event, before)
    out = run(OURS, event, before).get_relation(to_mesh.id)
    assert len(json.loads(out.local_app_data["policies"])) == 1


def test_a_star_as_app_name_is_accepted():
    star = entry(source_app_name="*")

    assert mesh_info(PUBLISHED, requesting("producer", star)) == [star]
    assert mesh_info(OURS, requesting("producer", star)) == []


def test_a_target_in_a_foreign_namespace_is_accepted():
    foreign = entry(target_namespace="kube-system")

    assert mesh_info(PUBLISHED, requesting("producer", foreign)) == [foreign]
    assert accepted(requesting("producer", foreign)) == []


def test_a_unit_target_without_app_or_selector_opens_a_namespace(istio: SmallCluster):
    everyone = entry(target_type="unit", target_app_name=None, endpoints=[])

    reconcile_on(PUBLISHED, everyone)
    [opened] = istio.policies().values()
    reconcile_on(OURS, everyone, entry())

    assert "selector" not in opened["spec"]
    assert ["targetRefs" in each["spec"] for each in istio.policies().values()] == [True]
    assert accepted(requesting("producer", everyone)) == []


def test_a_unit_policy_with_paths_stops_all_others(istio: SmallCluster):
    with_paths = entry(target_type="unit")

    with pytest.raises(AttributeError):
        reconcile_on(PUBLISHED, with_paths, entry())
    assert istio.policies() == {}
    reconcile_on(OURS, with_paths, entry())
    assert len(istio.policies()) == 1


def test_a_label_in_the_selector_fails_the_hook(cluster: SmallCluster):
    relation = ambient(**{"app.kubernetes.io/name": "other", "mesh": "on"})

    with pytest.raises(lightkube.ApiError, match="selector"):
        joined(PUBLISHED, relation)
    joined(OURS, relation)

    assert cluster.pod_labels() == {**JUJU_LABELS, "mesh": "on"}


@pytest.mark.parametrize(
    ("library", "while_joined", "afterwards"),
    [(PUBLISHED, {"mesh": "on"}, {}), (OURS, {"mesh": "mine"}, {"mesh": "mine"})],
)
def test_a_users_label_is_overwritten_and_later_deleted(
    library: Library,
    while_joined: dict[str, str],
    afterwards: dict[str, str],
    cluster: SmallCluster,
):
    cluster.label_pods(mesh="mine")

    on_mesh = joined(library, ambient(mesh="on"))
    assert cluster.pod_labels() == {**JUJU_LABELS, **while_joined}
    leave(library, on_mesh)

    assert cluster.pod_labels() == {**JUJU_LABELS, **afterwards}


@pytest.mark.parametrize(
    ("library", "write", "orphaned"),
    [
        (PUBLISHED, 2, {"old": "1"}),
        (PUBLISHED, 3, {"old": "1"}),
        *((OURS, write, {}) for write in range(4)),
    ],
)
def test_a_crash_between_two_calls_orphans_labels(
    library: Library, write: int, orphaned: dict[str, str], cluster: SmallCluster
):
    cluster.drop(at_write=write)
    with contextlib.suppress(OURS.kubernetes_errors()):
        reconcile_labels(library, {"old": "1"})
    cluster.recover()

    reconcile_labels(library, {})

    assert cluster.pod_labels() == {**JUJU_LABELS, **orphaned}


def test_a_damaged_ledger_fails_the_hook(cluster: SmallCluster):
    cluster.put_ledger(labels="{")

    with pytest.raises(json.JSONDecodeError):
        joined(PUBLISHED)
    joined(OURS)

    assert cluster.ledger() == LABELS


def test_two_units_that_join_at_once_conflict(cluster: SmallCluster):
    cluster.before_write(0, lambda: reconcile_labels(PUBLISHED, LABELS))

    with pytest.raises(lightkube.ApiError, match="exists"):
        reconcile_labels(PUBLISHED, LABELS)


@pytest.mark.parametrize("write", range(4))
def test_two_units_of_ours_can_join_at_once(write: int, cluster: SmallCluster):
    cluster.before_write(write, lambda: reconcile_labels(OURS, LABELS))

    reconcile_labels(OURS, LABELS)

    assert cluster.pod_labels() == {**JUJU_LABELS, **LABELS}
    assert cluster.ledger() == LABELS


@pytest.mark.parametrize(
    ("library", "written"),
    [(PUBLISHED, ["patch statefulsets", "patch services", "patch configmaps"]), (OURS, [])],
)
@pytest.mark.parametrize("leader", [True, False])
def test_every_unit_patches_unchanged_objects(
    library: Library, leader: bool, written: list[str], cluster: SmallCluster
):
    joined(library)
    cluster.forget_calls()

    joined(library, leader=leader)

    assert cluster.writes() == written


@pytest.mark.parametrize(
    ("library", "policies", "cmr_data", "labels"),
    [
        (PUBLISHED, [], {}, {}),
        (
            OURS,
            [("scraper", "prod")],
            {"cmr_data": '{"app_name": "producer", "juju_model_name": "prod"}'},
            LABELS,
        ),
    ],
)
def test_a_new_leader_does_not_publish_or_join(
    library: Library, policies: Any, cmr_data: Any, labels: Any, cluster: SmallCluster
):
    before = run(library, ON.relation_created(MESH), state(MESH, SCRAPER, SAAS, leader=False))

    out = run(library, ON.leader_elected(), replace(before, leader=True))

    assert allowed_callers(out) == policies
    assert out.get_relation(SAAS.id).local_app_data == cmr_data
    assert cluster.pod_labels() == {**JUJU_LABELS, **labels}


@pytest.mark.parametrize(
    ("library", "published"),
    [
        (PUBLISHED, {}),
        (OURS, {"cmr_data": '{"app_name": "producer", "juju_model_name": "prod"}'}),
    ],
)
def test_an_upgrade_does_not_publish_lost_cmr_data_again(
    library: Library, published: dict[str, str]
):
    out = run(library, ON.upgrade_charm(), state(SAAS))

    assert out.get_relation(SAAS.id).local_app_data == published


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("library", "left"), [(PUBLISHED, [("scraper", "far")]), (OURS, [])])
def test_a_caller_with_a_withdrawn_identity_stays_allowed(library: Library, left: list[Any]):
    identified = run(library, ON.relation_changed(IDENTITY), state(MESH, STRANGER, IDENTITY))
    assert allowed_callers(identified) == [("scraper", "far")]

    out = run(library, ON.relation_broken(IDENTITY), identified)

    assert allowed_callers(out) == left


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("library", "allowed"), [(PUBLISHED, [(ALIAS, "prod")]), (OURS, [])])
def test_an_alias_is_allowed_before_its_identity_is_known(library: Library, allowed: list[Any]):
    out = run(library, ON.relation_created(STRANGER), state(MESH, STRANGER))

    assert allowed_callers(out) == allowed


@pytest.mark.parametrize(("library", "left"), [(PUBLISHED, LABELS), (OURS, {})])
def test_labels_stay_if_the_leader_is_gone_when_leaving(
    library: Library, left: dict[str, str], cluster: SmallCluster
):
    joined(library)
    follower = run(library, ON.upgrade_charm(), state(MESH, leader=False))

    alone = leave(library, follower)
    run(library, ON.leader_elected(), replace(alone, leader=True))

    assert cluster.pod_labels() == {**JUJU_LABELS, **left}


def test_leaving_without_a_stateful_set_fails_the_hook(cluster: SmallCluster):
    on_mesh = joined(PUBLISHED)
    joined_ours = run(OURS, ON.upgrade_charm(), state(MESH))
    cluster.store.delete("StatefulSet", MODEL, APP)

    with pytest.raises(lightkube.ApiError, match="not found"):
        leave(PUBLISHED, on_mesh)
    leave(OURS, joined_ours)

    assert cluster.service_labels() == {}
    assert cluster.ledger() is None


@pytest.mark.parametrize(("library", "left"), [(PUBLISHED, LABELS), (OURS, {})])
def test_labels_stay_if_an_upgrade_turns_auto_join_off(
    library: Library, left: dict[str, str], cluster: SmallCluster
):
    joined(library)

    run(library, ON.upgrade_charm(), state(MESH), auto_join=False)

    assert cluster.pod_labels() == {**JUJU_LABELS, **left}


def test_missing_trust_fails_the_hook(cluster: SmallCluster):
    cluster.distrust()

    with pytest.raises(lightkube.ApiError, match="forbidden"):
        joined(PUBLISHED)
    out = joined(OURS)

    with consumer_on(OURS)(ON.start(), out) as manager:
        assert manager.charm.mesh.status() == testing.BlockedStatus(
            f"may not get configmaps/{LEDGER}: run `juju trust producer --scope=cluster`"
        )


@pytest.mark.parametrize(
    ("library", "order"), [(PUBLISHED, ["delete", "patch"]), (OURS, ["patch", "delete"])]
)
def test_old_policies_are_deleted_before_new_ones_are_applied(
    library: Library, order: list[str], istio: SmallCluster
):
    reconcile_on(library, entry(source_app_name="old"))
    istio.forget_calls()

    reconcile_on(library, entry(source_app_name="new"))

    assert istio.writes() == [f"{verb} authorizationpolicies" for verb in order]


@pytest.mark.parametrize(("library", "kept"), [(PUBLISHED, False), (OURS, True)])
def test_the_same_ports_in_another_order_rename_a_policy(
    library: Library, kept: bool, istio: SmallCluster
):
    reconcile_on(library, entry(endpoints=[{"ports": [1, 2]}]))
    before = istio.policies()

    reconcile_on(library, entry(endpoints=[{"ports": [2, 1]}]))

    assert (istio.policies().keys() == before.keys()) == kept


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("library", "times"), [(PUBLISHED, 2), (OURS, 1)])
def test_two_relations_to_one_app_give_the_same_policy_twice(library: Library, times: int):
    again = related("metrics", "scraper")

    out = run(library, ON.relation_created(again), state(MESH, SCRAPER, again))

    assert allowed_callers(out) == [("scraper", "prod")] * times
