"""The objects of models and applications in Kubernetes, and the rights of applications."""

import json
from collections.abc import Iterator

import pytest

from rehearsal.kubernetes.store import Object
from rehearsal.rehearsal import Rehearsal
from tests.rehearsal.juju.conftest import Typist
from tests.rehearsal.juju.test_commands import STATUS, is_active
from tests.rehearsal.kubernetes.kube import (
    ConfigMap,
    Kube,
    Namespace,
    Pod,
    Service,
    StatefulSet,
    names,
    outcome,
)

NO_CHANGE: Object = {"metadata": {"labels": {}}}


@pytest.fixture
def model(juju: Typist) -> str:
    """The name of a model in which the application web is deployed."""
    juju("deploy ./small web")
    return json.loads(juju.until(STATUS, is_active("web/0")))["model"]["name"]


@pytest.fixture
def web(rehearsal: Rehearsal, model: str) -> Iterator[Kube]:
    """A client with the service account of web."""
    config = (rehearsal.directory / "kubeconfig").read_text()
    client = Kube(config, model, "web")
    yield client
    client.close()


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
