"""The charm's workload, relations, policies and status."""

import json
import pathlib

import ops
import pytest
from ops import pebble, testing

import producer
from charm import ProducerCharm

UUID = "c2e9f4d5-dcb3-4870-8509-330eb9745ee8"

TOPOLOGY = f'juju_model="demo", juju_model_uuid="{UUID}", juju_application="producer"'
UNIT_DOWN = {
    "alert": "ProducerDown",
    "expr": f"up{{{TOPOLOGY}}} == 0",
    "for": "1m",
    "labels": {
        "severity": "critical",
        "juju_model": "demo",
        "juju_model_uuid": UUID,
        "juju_application": "producer",
    },
    "annotations": {"summary": "{{ $labels.juju_unit }} cannot be scraped."},
}

Context = testing.Context[ProducerCharm]


def state(
    container: testing.Container, *relations: testing.RelationBase, leader: bool = True
) -> testing.State:
    return testing.State(
        leader=leader,
        model=testing.Model(name="demo", uuid=UUID),
        containers=[container],
        relations=relations,
    )


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize(
    "event", ["install", "config_changed", "leader_elected", "upgrade_charm", "pebble_ready"]
)
def test_each_event_opens_the_ports_and_starts_the_workload(
    context: Context, container: testing.Container, event: str, leader: bool
):
    on = context.on
    events = {
        "install": on.install(),
        "config_changed": on.config_changed(),
        "leader_elected": on.leader_elected(),
        "upgrade_charm": on.upgrade_charm(),
        "pebble_ready": on.pebble_ready(container),
    }

    out = context.run(events[event], state(container, leader=leader))

    assert out.opened_ports == {testing.TCPPort(9090), testing.TCPPort(8080)}
    statuses = out.get_container("producer").service_statuses
    assert statuses == {"producer": pebble.ServiceStatus.ACTIVE}
    assert out.workload_version == "1.0.0"
    assert out.unit_status == testing.ActiveStatus("not on a service mesh")


def test_layer_runs_the_program_that_was_pushed(context: Context, container: testing.Container):
    out = context.run(context.on.pebble_ready(container), state(container))

    after = out.get_container("producer")
    service = after.plan.services["producer"]
    assert service.command == "python3 /opt/producer/server.py"
    assert service.environment == {
        "METRICS_PORT": "9090",
        "DATA_PORT": "8080",
        "VERSION": "1.0.0",
    }
    check = after.plan.checks["serving"]
    assert (check.level, check.http) == (
        pebble.CheckLevel.READY,
        {"url": "http://localhost:8080/health"},
    )
    program = after.get_filesystem(context) / "opt/producer/server.py"
    assert program.read_text() == pathlib.Path(producer.__file__).with_name("server.py").read_text()


def test_leader_publishes_its_scrape_jobs(context: Context, container: testing.Container):
    relation = testing.Relation("metrics", remote_app_name="scraper")

    out = context.run(context.on.relation_created(relation), state(container, relation))

    bag = out.get_relation(relation.id).local_app_data
    assert {key: json.loads(value) for key, value in bag.items()} == {
        "scrape_jobs": [
            {"metrics_path": "/metrics", "static_configs": [{"targets": ["*:9090"]}]},
        ],
        "scrape_metadata": {
            "model": "demo",
            "model_uuid": UUID,
            "application": "producer",
            "unit": "producer/0",
            "charm_name": "metrics-producer-k8s",
        },
        "alert_rules": {"groups": [{"name": "producer", "rules": [UNIT_DOWN]}]},
    }


def test_each_unit_publishes_its_pod_name_in_plain_text(
    context: Context, container: testing.Container
):
    relation = testing.Relation("metrics", remote_app_name="scraper")

    out = context.run(
        context.on.relation_created(relation), state(container, relation, leader=False)
    )

    bags = out.get_relation(relation.id)
    published = {key: value for key, value in bags.local_unit_data.items() if "scrape" in key}
    assert published == {
        "prometheus_scrape_unit_address": "producer-0.producer-endpoints.demo.svc.cluster.local",
        "prometheus_scrape_unit_name": "producer/0",
    }
    assert bags.local_app_data == {}


def test_leader_publishes_the_url_of_the_data(context: Context, container: testing.Container):
    relation = testing.Relation("data", remote_app_name="scraper")

    out = context.run(context.on.relation_created(relation), state(container, relation))

    assert out.get_relation(relation.id).local_app_data == {
        "url": '"http://producer.demo.svc.cluster.local:8080/data"'
    }


def test_follower_publishes_no_url(context: Context, container: testing.Container):
    relation = testing.Relation("data", remote_app_name="scraper")

    out = context.run(
        context.on.relation_created(relation), state(container, relation, leader=False)
    )

    assert out.get_relation(relation.id).local_app_data == {}


class RemovedBag(dict[str, str]):
    """The databag of a relation that Juju is removing: readable, but it rejects writes."""

    def __setitem__(self, key: str, value: str) -> None:
        raise ops.RelationNotFoundError


@pytest.mark.parametrize("endpoint", ["metrics", "data"])
@pytest.mark.parametrize("leader", [True, False])
def test_reconcile_skips_a_relation_that_juju_is_removing(
    context: Context, container: testing.Container, endpoint: str, leader: bool
):
    removed = testing.Relation(
        endpoint, local_app_data=RemovedBag(), local_unit_data=RemovedBag(), id=1
    )
    alive = testing.Relation(endpoint, id=2)

    out = context.run(context.on.upgrade_charm(), state(container, removed, alive, leader=leader))

    published = out.get_relation(alive.id)
    assert published.local_app_data or not leader
    assert published.local_unit_data
    assert not out.get_relation(removed.id).local_app_data
    assert out.get_container("producer").service_statuses


def policies(out: testing.State, mesh: testing.Relation) -> list[tuple[object, ...]]:
    """Return source, target type and endpoints of each published policy."""
    return [
        (
            policy["source_app_name"],
            policy["target_type"],
            *((e["methods"], e["ports"], e["paths"]) for e in policy["endpoints"]),
        )
        for policy in json.loads(out.get_relation(mesh.id).local_app_data["policies"])
    ]


SERVICE_METRICS = ("scraper", "app", (["GET"], [9090], ["/metrics"]))
UNIT_METRICS = ("scraper", "unit", (None, [9090], None))
SERVICE_DATA = ("scraper", "app", (["GET"], [8080], ["/data"]))


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        (["metrics", "data"], [SERVICE_METRICS, UNIT_METRICS, SERVICE_DATA]),
        (["metrics"], [SERVICE_METRICS, UNIT_METRICS]),
        (["data"], [SERVICE_DATA]),
        ([], []),
    ],
)
def test_each_relation_allows_its_own_calls_only(
    context: Context,
    container: testing.Container,
    endpoints: list[str],
    expected: list[tuple[object, ...]],
):
    mesh = testing.Relation("service-mesh", remote_app_name="mesh")
    related = [testing.Relation(name, remote_app_name="scraper") for name in endpoints]

    out = context.run(context.on.config_changed(), state(container, mesh, *related))

    assert policies(out, mesh) == expected


def test_broken_relation_allows_no_calls(context: Context, container: testing.Container):
    mesh = testing.Relation("service-mesh", remote_app_name="mesh")
    data = testing.Relation("data", remote_app_name="scraper")

    out = context.run(context.on.relation_broken(data), state(container, mesh, data))

    assert policies(out, mesh) == []


def test_status_is_waiting_without_pebble(context: Context):
    container = testing.Container("producer", can_connect=False)

    out = context.run(context.on.config_changed(), state(container))

    assert out.unit_status == testing.WaitingStatus("waiting for Pebble")


def test_status_is_waiting_until_the_workload_is_started(
    context: Context, container: testing.Container
):
    out = context.run(context.on.update_status(), state(container))

    assert out.unit_status == testing.WaitingStatus("the workload has not been started yet")


@pytest.mark.parametrize(
    ("check_status", "expected"),
    [
        (pebble.CheckStatus.UP, testing.ActiveStatus("not on a service mesh")),
        (
            pebble.CheckStatus.DOWN,
            testing.WaitingStatus("the workload does not answer its health check"),
        ),
    ],
)
def test_status_follows_the_health_check(
    context: Context, check_status: pebble.CheckStatus, expected: testing.ActiveStatus
):
    check = testing.CheckInfo("serving", level=pebble.CheckLevel.READY, status=check_status)
    container = testing.Container(
        "producer", can_connect=True, layers={"producer": producer.layer()}, check_infos=[check]
    )

    out = context.run(context.on.update_status(), state(container))

    assert out.unit_status == expected


def test_status_says_why_it_is_not_on_the_mesh_yet(context: Context, container: testing.Container):
    mesh = testing.Relation("service-mesh", remote_app_name="mesh")

    out = context.run(context.on.config_changed(), state(container, mesh))

    assert out.unit_status == testing.WaitingStatus("waiting for mesh to publish its labels")
