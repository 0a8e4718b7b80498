"""The charm's workload, relations, action and status."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping

import pytest
from ops import pebble, testing

import scraper
from charm import ScraperCharm

Context = testing.Context[ScraperCharm]

UNITS = "producer-{}.producer-endpoints.demo.svc.cluster.local"
DATA_URL = "http://producer.demo.svc.cluster.local:8080/data"


def state(
    container: testing.Container,
    *relations: testing.RelationBase,
    config: Mapping[str, bool | int] | None = None,
) -> testing.State:
    return testing.State(
        leader=True,
        model=testing.Model(name="demo"),
        config=dict(config or {}),
        containers=[container],
        relations=relations,
    )


def metrics_relation(*targets: str, units: int = 2) -> testing.Relation:
    job = {"metrics_path": "/metrics", "static_configs": [{"targets": list(targets or ["*:9090"])}]}
    topology = {"model": "demo", "model_uuid": "-", "application": "producer", "unit": "producer/0"}
    return testing.Relation(
        "metrics",
        remote_app_name="producer",
        remote_app_data={
            "scrape_jobs": json.dumps([job]),
            "scrape_metadata": json.dumps(topology),
        },
        remote_units_data={
            number: {"prometheus_scrape_unit_address": UNITS.format(number)}
            for number in range(units)
        },
    )


def data_relation() -> testing.Relation:
    return testing.Relation(
        "data", remote_app_name="producer", remote_app_data={"url": json.dumps(DATA_URL)}
    )


def targets(out: testing.State) -> list[tuple[str, str]]:
    """Return job and URL of each target of the workload."""
    environment = out.get_container("scraper").plan.services["scraper"].environment
    return [(target["job"], target["url"]) for target in json.loads(environment["TARGETS"])]


@pytest.mark.parametrize(
    "event", ["install", "config_changed", "upgrade_charm", "pebble_ready", "relation_changed"]
)
def test_each_event_opens_the_port_and_starts_the_workload(
    context: Context, container: testing.Container, event: str
):
    on = context.on
    relation = data_relation()
    events = {
        "install": on.install(),
        "config_changed": on.config_changed(),
        "upgrade_charm": on.upgrade_charm(),
        "pebble_ready": on.pebble_ready(container),
        "relation_changed": on.relation_changed(relation),
    }

    out = context.run(events[event], state(container, relation))

    assert out.opened_ports == {testing.TCPPort(8080)}
    statuses = out.get_container("scraper").service_statuses
    assert statuses == {"scraper": pebble.ServiceStatus.ACTIVE}
    assert out.workload_version == "1.0.0"
    assert out.unit_status == testing.ActiveStatus("not on a service mesh")


def test_layer_runs_the_program_that_was_pushed(context: Context, container: testing.Container):
    out = context.run(
        context.on.pebble_ready(container), state(container, config={"scrape-interval": 3})
    )

    after = out.get_container("scraper")
    service = after.plan.services["scraper"]
    assert service.command == "python3 /opt/scraper/server.py"
    assert service.environment == {
        "NAME": "scraper in model demo",
        "PORT": "8080",
        "TARGETS": "[]",
        "INTERVAL": "3",
        "VERSION": "1.0.0",
    }
    check = after.plan.checks["serving"]
    assert (check.level, check.http) == (
        pebble.CheckLevel.READY,
        {"url": "http://localhost:8080/health"},
    )
    program = after.get_filesystem(context) / "opt/scraper/server.py"
    assert program.read_text() == pathlib.Path(scraper.__file__).with_name("server.py").read_text()


def test_scrapes_every_unit_and_the_service(context: Context, container: testing.Container):
    relations = metrics_relation(), data_relation()

    out = context.run(context.on.config_changed(), state(container, *relations))

    assert targets(out) == [
        ("metrics", f"http://{UNITS.format(0)}:9090/metrics"),
        ("metrics", f"http://{UNITS.format(1)}:9090/metrics"),
        ("data", DATA_URL),
    ]


def test_target_with_a_host_is_scraped_unchanged(context: Context, container: testing.Container):
    relation = metrics_relation("db.example.com:9187")

    out = context.run(context.on.relation_changed(relation), state(container, relation))

    assert targets(out) == [("metrics", "http://db.example.com:9187/metrics")]


def test_path_prefix_of_a_unit_is_part_of_its_url(context: Context, container: testing.Container):
    relation = testing.Relation(
        "metrics",
        remote_app_data=metrics_relation().remote_app_data,
        remote_units_data={
            0: {
                "prometheus_scrape_unit_address": "ingress.example.com",
                "prometheus_scrape_unit_path": "/producer-0",
            }
        },
    )

    out = context.run(context.on.relation_changed(relation), state(container, relation))

    assert targets(out) == [("metrics", "http://ingress.example.com:9090/producer-0/metrics")]


def test_relation_without_an_address_adds_no_target(context: Context, container: testing.Container):
    relations = testing.Relation("metrics"), testing.Relation("data")

    out = context.run(context.on.config_changed(), state(container, *relations))

    assert targets(out) == []


@pytest.mark.parametrize(
    ("endpoint", "bag"),
    [
        ("data", {"url": "http://not.json"}),
        ("data", {"url": "[" * 100_000}),
        ("metrics", {"scrape_jobs": "null"}),
        ("metrics", {"scrape_jobs": "[{}]"}),
        ("metrics", {"scrape_metadata": '{"model": "demo"}'}),
    ],
)
def test_invalid_databag_leaves_other_targets_in_place(
    context: Context, container: testing.Container, endpoint: str, bag: dict[str, str]
):
    relation = testing.Relation(endpoint, remote_app_name="careless", remote_app_data=bag)
    relations = relation, data_relation()

    out = context.run(context.on.relation_changed(relation), state(container, *relations))

    assert targets(out) == [("data", DATA_URL)]
    assert any("careless" in line.message for line in context.juju_log)


def test_broken_relation_is_no_longer_scraped(context: Context, container: testing.Container):
    metrics, data = metrics_relation(units=1), data_relation()

    out = context.run(context.on.relation_broken(data), state(container, metrics, data))

    assert [job for job, _ in targets(out)] == ["metrics"]


@pytest.mark.parametrize("interval", [0, 3601])
def test_invalid_interval_blocks_and_keeps_the_last_valid_one(
    context: Context, container: testing.Container, interval: int
):
    running = context.run(context.on.config_changed(), state(container)).get_container("scraper")
    before = testing.Container(
        "scraper",
        can_connect=True,
        layers=running.layers,
        check_infos=running.check_infos,
        service_statuses=running.service_statuses,
    )

    out = context.run(
        context.on.config_changed(), state(before, config={"scrape-interval": interval})
    )

    assert isinstance(out.unit_status, testing.BlockedStatus)
    assert out.unit_status.message.startswith(f"scrape-interval={interval}: Input should be ")
    environment = out.get_container("scraper").plan.services["scraper"].environment
    assert environment["INTERVAL"] == "10"


@pytest.mark.parametrize("interval", [1, 3600])
def test_interval_at_its_limits_is_accepted(
    context: Context, container: testing.Container, interval: int
):
    out = context.run(
        context.on.config_changed(), state(container, config={"scrape-interval": interval})
    )

    environment = out.get_container("scraper").plan.services["scraper"].environment
    assert environment["INTERVAL"] == str(interval)


def test_status_is_waiting_without_pebble(context: Context):
    container = testing.Container("scraper", can_connect=False)

    out = context.run(context.on.config_changed(), state(container))

    assert out.unit_status == testing.WaitingStatus("waiting for Pebble")


def test_status_is_waiting_until_the_workload_is_started(
    context: Context, container: testing.Container
):
    out = context.run(context.on.update_status(), state(container))

    assert out.unit_status == testing.WaitingStatus("the workload has not been started yet")


def test_status_is_waiting_if_the_health_check_fails(context: Context):
    check = testing.CheckInfo(
        "serving", level=pebble.CheckLevel.READY, status=pebble.CheckStatus.DOWN
    )
    container = testing.Container(
        "scraper",
        can_connect=True,
        layers={"scraper": scraper.layer("scraper in model demo", [], 10)},
        check_infos=[check],
    )

    out = context.run(context.on.update_status(), state(container))

    assert out.unit_status == testing.WaitingStatus("the workload does not answer its health check")


def test_requests_no_policy(context: Context, container: testing.Container):
    mesh = testing.Relation("service-mesh", remote_app_name="mesh")

    out = context.run(context.on.config_changed(), state(container, mesh, metrics_relation()))

    assert out.get_relation(mesh.id).local_app_data == {"policies": "[]"}


@pytest.mark.parametrize(
    ("auto_join", "expected"),
    [
        (True, testing.WaitingStatus("Kubernetes is away (ConfigError), will try again")),
        (False, testing.ActiveStatus("mesh labels are left to the charm")),
    ],
)
def test_labels_its_pods_only_with_auto_join(
    context: Context,
    container: testing.Container,
    monkeypatch: pytest.MonkeyPatch,
    auto_join: bool,
    expected: testing.ActiveStatus,
):
    monkeypatch.setenv("KUBECONFIG", "/there/is/none")
    mesh = testing.Relation(
        "service-mesh",
        remote_app_name="mesh",
        remote_app_data={"labels": '{"istio.io/dataplane-mode": "ambient"}'},
    )

    out = context.run(
        context.on.config_changed(), state(container, mesh, config={"auto-join": auto_join})
    )

    assert out.unit_status == expected


@pytest.mark.parametrize("name", ["x:y", "a b", "a\n", "é", "a" * 64])
@pytest.mark.parametrize("param", ["app", "model"])
def test_probe_rejects_an_invalid_name(
    context: Context, container: testing.Container, param: str, name: str
):
    params = {"app": "producer", param: name}

    with pytest.raises(testing.ActionFailed, match=param):
        context.run(context.on.action("probe", params), state(container))


@pytest.mark.parametrize("params", [{}, {"model": "demo"}])
def test_probe_fails_without_a_producer(
    context: Context, container: testing.Container, params: dict[str, str]
):
    with pytest.raises(testing.ActionFailed, match="no producer to probe: set app=<application>"):
        context.run(context.on.action("probe", params), state(container))


@pytest.mark.parametrize("endpoint", ["metrics", "data"])
def test_probe_fails_until_the_producer_publishes_its_address(
    context: Context, container: testing.Container, endpoint: str
):
    relation = testing.Relation(endpoint, remote_app_name="producer")

    with pytest.raises(testing.ActionFailed) as failed:
        context.run(context.on.action("probe"), state(container, relation))

    assert failed.value.message == (
        f"producer, related over {endpoint}, has not published its address yet: "
        "try again later, or set app=<application>"
    )


def test_probe_with_a_model_also_needs_an_application(
    context: Context, container: testing.Container
):
    action = context.on.action("probe", {"model": "demo"})

    with pytest.raises(testing.ActionFailed, match="no producer to probe: set app=<application>"):
        context.run(action, state(container, data_relation()))


def test_hooks_do_not_wait_for_the_import_of_httpx():
    program = "import sys, charm; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert "charm" in done.stdout.split()
    assert "httpx" not in done.stdout.split()
