"""The library raises no error for any data of others, and logs only text that Juju accepts.

A line of the log and a status are arguments of a hook tool, which is a process. A NUL in one, or
half of a surrogate pair, would fail the hook.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import testing
from small_charms import ALIAS, consumer, entry, mesh, provider, related, state
from small_cluster import SmallCluster

ON = testing.CharmEvents()
ODD = st.sampled_from(["", "*", "a/b", "\0", "\ud800", "x" * 64, "prod", "producer", "lb", "1"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ODD
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | ODD, inner, max_size=3),
    max_leaves=8,
)
DEEP = st.integers(1, 1200).map(lambda depth: "[" * depth + "]" * depth)
HUGE = st.just("1" * 5000)


def like(good: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return objects with some of these keys, and other values for some of them."""
    strange: dict[str, st.SearchStrategy[Any]] = {
        key: st.just(value) | JSON for key, value in good.items()
    }
    return st.fixed_dictionaries({}, optional=strange)


def texts(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """Return values for a databag: any text, any JSON, and values that are almost correct."""
    valid = st.one_of(JSON, *strategies).map(json.dumps)
    return st.text() | valid | valid.map(lambda text: text[:-1]) | DEEP | HUGE


ENDPOINT = {"hosts": None, "ports": [9090], "methods": ["GET"], "paths": ["/metrics"]}
ENTRY = like({**entry(), "endpoints": [ENDPOINT]}) | like(ENDPOINT).map(
    lambda endpoint: entry(endpoints=[endpoint])
)
POLICIES = texts(st.lists(ENTRY, max_size=3), st.lists(DEEP.map(json.loads)))
IDENTITY = texts(like({"app_name": "scraper", "juju_model_name": "far"}))
LABELS = texts(st.dictionaries(st.text() | ODD, SCALARS | ODD))
BAG = {"labels": LABELS, "mesh_type": texts(st.just("istio")), "more": st.text()}
LEDGER = {"labels": LABELS, "replaced": texts(st.dictionaries(ODD, st.lists(ODD) | JSON))}


def check_messages(context: testing.Context[Any], out: testing.State) -> None:
    for message in [out.unit_status.message, *(line.message for line in context.juju_log)]:
        assert "\0" not in message
        message.encode()


@given(bag=st.fixed_dictionaries({}, optional={**BAG, "policies": POLICIES}))
def test_a_provider_reads_any_databag(bag: dict[str, str]):
    charm = provider()
    relation = testing.Relation("service-mesh", remote_app_name="producer", remote_app_data=bag)

    with charm(ON.relation_changed(relation), state(relation)) as manager:
        infos, review = manager.charm.mesh.mesh_info(), manager.charm.mesh.review()
        out = manager.run()

    assert len(review.accepted) <= len(infos)
    check_messages(charm, out)


@given(bag=st.fixed_dictionaries({}, optional=BAG), cmr_data=IDENTITY)
@pytest.mark.usefixtures("cluster")
def test_a_consumer_reads_any_databag(bag: dict[str, str], cmr_data: str):
    charm = consumer()
    relation = mesh(**bag)
    stranger = related("provide-cmr-mesh", ALIAS, remote_app_data={"cmr_data": cmr_data})
    before = state(relation, stranger, related("data", ALIAS), related("metrics", "scraper"))

    out = charm.run(ON.relation_changed(relation), before)

    sources = json.loads(out.get_relation(relation.id).local_app_data["policies"])
    assert all(source["source_app_name"] not in ("", "*") for source in sources)
    check_messages(charm, out)


@given(ledger=st.fixed_dictionaries({}, optional=LEDGER), leaves=st.booleans())
def test_a_ledger_may_have_any_content(ledger: dict[str, str], leaves: bool, cluster: SmallCluster):
    charm = consumer()
    relation = mesh(labels=json.dumps({"mesh": "on"}))
    joined = charm.run(ON.relation_changed(relation), state(relation))
    cluster.put_ledger(**ledger)

    event = ON.relation_broken(joined.get_relation(relation.id)) if leaves else ON.update_status()
    out = charm.run(event, joined)

    assert out.unit_status.name == "active"
    assert cluster.ledger() == (None if leaves else {"mesh": "on"})
    check_messages(charm, out)
    cluster.put_ledger(labels='{"mesh": "on"}')
