"""The objects of models and applications in Kubernetes, and the rights of applications."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rehearsal.kubernetes.store import Object
from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import Typist, write_charm
from tests.juju.test_commands import STATUS, is_active
from tests.kubernetes.kube import (
    ConfigMap,
    Event,
    Kube,
    Namespace,
    Node,
    Pod,
    Service,
    ServiceAccount,
    StatefulSet,
    names,
    outcome,
)

OPENING = """
import ops


class Opening(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.start, self._on_start)

    def _on_start(self, _):
        self.unit.set_ports(8080, ops.Port("udp", 53))
        self.unit.status = ops.ActiveStatus()
"""
METRICS = """
name: metrics
type: charm
summary: has a container and a resource of different names
containers:
  producer: {resource: producer-image}
resources:
  producer-image: {type: oci-image}
"""
REAL = Path(__file__).with_name("stateful_set.yaml")
NO_CHANGE: Object = {"metadata": {"labels": {}}}


@pytest.fixture
def model(juju: Typist) -> str:
    """The name of a model in which the application web is deployed."""
    juju("deploy ./small web")
    return json.loads(juju.until(STATUS, is_active("web/0")))["model"]["name"]


@pytest.fixture
def admin(rehearsal: Rehearsal, model: str) -> Iterator[Kube]:
    client = Kube((rehearsal.directory / "kubeconfig").read_text(), model)
    yield client
    client.close()


@pytest.fixture
def web(rehearsal: Rehearsal, model: str) -> Iterator[Kube]:
    """A client with the service account of web."""
    config = (rehearsal.directory / "kubeconfig").read_text()
    client = Kube(config, model, "web")
    yield client
    client.close()


def shown(juju: Typist, model: str) -> dict[str, str]:
    return json.loads(juju(f"show-model {model} --format json").stdout)[model]


def test_a_namespace_tells_its_model_and_controller(juju: Typist, admin: Kube, model: str):
    found, told = admin.get(Namespace, model)["metadata"], shown(juju, model)

    assert found["labels"] == {
        "app.kubernetes.io/managed-by": "juju",
        "kubernetes.io/metadata.name": model,
        "model.juju.is/id": told["model-uuid"],
        "model.juju.is/name": model,
    }
    assert found["annotations"] == {
        "controller.juju.is/id": told["controller-uuid"],
        "model.juju.is/id": told["model-uuid"],
    }


def test_a_stateful_set_is_labelled_more_than_its_pods(juju: Typist, admin: Kube, model: str):
    stateful_set, told = admin.get(StatefulSet, "web"), shown(juju, model)
    template = stateful_set["spec"]["template"]["metadata"]
    annotations = {
        "controller.juju.is/id": told["controller-uuid"],
        "juju.is/version": told["agent-version"],
        "model.juju.is/id": told["model-uuid"],
    }

    managed = {"app.kubernetes.io/managed-by": "juju"}
    assert stateful_set["metadata"]["labels"] == {"app.kubernetes.io/name": "web"} | managed
    assert template == {"labels": {"app.kubernetes.io/name": "web"}, "annotations": annotations}
    assert admin.get(Pod, "web-0")["metadata"]["annotations"] == annotations


def test_all_pods_run_on_the_only_node(admin: Kube):
    [node] = admin.list(Node)

    assert node["metadata"]["name"] == admin.get(Pod, "web-0")["spec"]["nodeName"]
    assert [each["status"] for each in node["status"]["conditions"]] == ["True"]


def told(admin: Kube, name: str) -> set[str]:
    """Return the reasons and messages of the events of an object."""
    found = admin.list(Event, fieldSelector=f"involvedObject.name={name}")
    return {f"{each['reason']}: {each['message']}" for each in found}


def test_events_tell_of_the_start_of_a_pod(admin: Kube, model: str):
    assert told(admin, "web-0") == {
        f"Scheduled: Successfully assigned {model}/web-0 to rehearsal",
        "Created: Container created",
        "Started: Container started",
    }
    assert told(admin, "web") == {
        "SuccessfulCreate: create Pod web-0 in StatefulSet web successful"
    }


def test_events_tell_of_the_end_of_a_pod_alone(juju: Typist, admin: Kube, model: str):
    juju("scale-application web 0")
    juju.until(STATUS, lambda output: "web/0" not in output)

    assert "Killing: Stopping container charm" in told(admin, "web-0")
    assert "SuccessfulDelete: delete Pod web-0 in StatefulSet web successful" in told(admin, "web")


def test_a_pod_has_30_seconds_to_end_and_an_account(admin: Kube):
    spec = admin.get(Pod, "web-0")["spec"]

    assert spec["terminationGracePeriodSeconds"] == 30
    account = admin.get(ServiceAccount, spec["serviceAccountName"])
    assert account["metadata"]["name"] == "web"


def test_a_refresh_changes_an_argument_of_the_init_container(juju: Typist, admin: Kube):
    before = admin.get(StatefulSet, "web")["spec"]["template"]

    juju("refresh web --path ./small")

    after = admin.get(StatefulSet, "web")["spec"]["template"]
    [old], [new] = (each["spec"].pop("initContainers") for each in (before, after))
    for args, version in ((old["args"], "0"), (new["args"], "1")):
        assert args[args.index("--charm-modified-version") + 1] == version
    assert before == after


def test_a_stateful_set_is_as_juju_writes_it(juju: Typist, admin: Kube):
    write_charm(juju.folder / "metrics", METRICS, OPENING)
    image = "docker.io/library/python:3.12-slim"
    juju(f"deploy ./metrics producer --num-units 2 --resource producer-image={image}")

    spec = admin.get(StatefulSet, "producer")["spec"]

    spec["template"].pop("metadata")
    [init] = spec["template"]["spec"]["initContainers"]
    init["image"] = init["image"].rpartition(":")[0] + ":4.0.15"
    assert spec == yaml.safe_load(REAL.read_text())


def test_a_service_has_a_placeholder_until_ports_are_open(juju: Typist, admin: Kube):
    write_charm(
        juju.folder / "opening", "name: opening\ntype: charm\nsummary: opens ports", OPENING
    )
    juju("deploy ./opening")
    juju.until(STATUS, is_active("opening/0"))

    closed, opened = (admin.get(Service, name)["spec"]["ports"] for name in ("web", "opening"))

    assert [(port["name"], port["port"]) for port in closed] == [("placeholder", 65535)]
    assert [(port["name"], port["port"]) for port in opened] == [
        ("juju-8080-tcp", 8080),
        ("juju-53-udp", 53),
    ]
    assert "ports" not in admin.get(Service, "opening-endpoints")["spec"]


def test_an_untrusted_application_reads_every_namespace(web: Kube, model: str):
    assert outcome(lambda: web.get(Namespace, model)) == 200
    assert outcome(lambda: web.get(Namespace, "elsewhere")) == 404  # and not 403
    selector = f"model.juju.is/name={model}"
    assert names(web.list(Namespace, labelSelector=selector)) == [model]
    assert model in names(web.list(Namespace))


def test_an_untrusted_application_changes_no_namespace(web: Kube, model: str):
    assert outcome(lambda: web.patch(Namespace, model, NO_CHANGE)) == 403
    assert outcome(lambda: next(web.watch(Namespace))) == 403


def test_an_untrusted_application_changes_pods_and_services(web: Kube):
    assert outcome(lambda: web.patch(Pod, "web-0", NO_CHANGE)) == 200
    assert outcome(lambda: web.patch(Service, "web", NO_CHANGE)) == 200
    assert outcome(lambda: web.delete(Pod, "web-0")) == 403
    assert outcome(lambda: web.list(Pod, "elsewhere")) == 403
    assert outcome(lambda: web.list(StatefulSet)) == 403
    assert outcome(lambda: web.list(ConfigMap)) == 403


def test_a_trusted_application_may_do_everything(juju: Typist, web: Kube, model: str):
    juju("trust web --scope=cluster")

    assert outcome(lambda: web.patch(Namespace, model, NO_CHANGE)) == 200
    assert outcome(lambda: web.list(StatefulSet)) == 200
    assert outcome(lambda: web.list(ConfigMap, "*")) == 200
