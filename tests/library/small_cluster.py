"""A Kubernetes API on loopback that holds the objects of one Juju application."""

import contextlib
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import lightkube
import yaml

from rehearsal.kubernetes.requests import Answer, Request
from rehearsal.kubernetes.server import Handle, Server
from rehearsal.kubernetes.status import StatusError
from rehearsal.kubernetes.store import Object, Store

APP, MODEL = "producer", "prod"
LEDGER = "juju-service-mesh-producer-labels"
_JUJU_LABELS = {"app.kubernetes.io/name": APP}
# The definition of AuthorizationPolicies. The API uses it as a real one does.
ISTIO = Path(__file__).parents[2] / "rehearsal/src/rehearsal/mesh/authorizationpolicies.yaml"
_WRITES = {"create", "delete", "patch", "update"}


class SmallCluster:
    """A cluster that tests call, change and inspect.

    Args:
        kubeconfig: the file to which `running` writes the address of the cluster.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.store = Store()
        self._server = Server(self.store, "127.0.0.1", 0)
        self._kubeconfig = kubeconfig
        self.put_namespace(MODEL)
        self.store.put(_stateful_set())
        self.store.put(_service())
        self.store.put(_object("v1", "ServiceAccount", APP))

    @contextlib.contextmanager
    def running(self) -> Generator["SmallCluster"]:
        self._server.start()
        self._kubeconfig.write_text(self._server.kubeconfig(MODEL))
        try:
            yield self
        finally:
            self._server.stop()

    def distrust(self) -> None:
        """Authenticate later calls as the application, which has no permissions."""
        self._kubeconfig.write_text(self._server.kubeconfig(MODEL, APP))

    def install_istio(self) -> None:
        self.store.put(yaml.safe_load(ISTIO.read_text()))

    def put_namespace(self, name: str, uuid: str = "") -> None:
        """Add a namespace, labelled as Juju labels that of a model with this UUID."""
        metadata = {"name": name, "labels": {"model.juju.is/id": uuid} if uuid else {}}
        self.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def put_policy(self, name: str, labels: dict[str, str]) -> None:
        policy = _object("security.istio.io/v1", "AuthorizationPolicy", name, spec={})
        policy["metadata"]["labels"] = labels
        self.store.put(policy)

    def put_ledger(self, **data: str) -> None:
        self.store.put(_object("v1", "ConfigMap", LEDGER, data=data))

    def ledger(self) -> dict[str, str] | None:
        """Return the `labels` of the ConfigMap, or None if there is no ConfigMap."""
        found = self.store.get("ConfigMap", MODEL, LEDGER)
        return json.loads(found["data"]["labels"]) if found else None

    def pod_labels(self) -> dict[str, str]:
        return self._get("StatefulSet")["spec"]["template"]["metadata"]["labels"]

    def service_labels(self) -> dict[str, str]:
        return self._get("Service")["metadata"].get("labels", {})

    def label_pods(self, **labels: str) -> None:
        """Add labels to the pods, as a user might."""
        stateful_set = self._get("StatefulSet")
        stateful_set["spec"]["template"]["metadata"]["labels"].update(labels)
        self.store.put(stateful_set)

    def label(self, kind: str, key: str, value: str) -> None:
        """Add a label to the Service, or to the pods of the StatefulSet, as a user might."""
        if kind == "StatefulSet":
            self.label_pods(**{key: value})
        else:
            service = self._get(kind)
            service["metadata"].setdefault("labels", {})[key] = value
            self.store.put(service)

    def unlabel_pods(self, key: str) -> None:
        """Remove a label from the pods, as a user might."""
        stateful_set = self._get("StatefulSet")
        del stateful_set["spec"]["template"]["metadata"]["labels"][key]
        self.store.put(stateful_set)

    def select_pods(self, **labels: str) -> None:
        """Add labels to the selector of the Service."""
        service = self._get("Service")
        service["spec"]["selector"].update(labels)
        self.store.put(service)

    def _get(self, kind: str) -> Object:
        found = self.store.get(kind, MODEL, APP)
        assert found
        return found

    def policies(self) -> dict[str, Object]:
        return {each["metadata"]["name"]: each for each in self.store.list("AuthorizationPolicy")}

    def calls(self) -> list[str]:
        """Return the requests so far, such as `get configmaps`."""
        return [f"{entry.verb} {entry.resource}" for entry in self._server.log]

    def writes(self) -> list[str]:
        return [call for call in self.calls() if call.split()[0] in _WRITES]

    def forget_calls(self) -> None:
        self._server.log.clear()

    def go_through(self, around: Callable[[Request, Handle], Answer]) -> None:
        """Pass every request through this function, the Server's `around`."""
        self._server.around = around

    def recover(self) -> None:
        self._server.around = lambda request, handle: handle(request)

    def fail(self, code: int, verb: str = "", plural: str = "") -> None:
        """Answer requests with an error, all of them or those with this verb and resource."""

        def around(request: Request, handle: Handle) -> Answer:
            if verb in ("", request.verb) and plural in ("", request.target.plural):
                raise StatusError(code, "Reason", f"the reason for {code}")
            return handle(request)

        self._server.around = around

    def before_write(self, number: int, act: Callable[[], object]) -> None:
        """Run an action just before a write, as another client might. Writes count from 0."""
        done = 0

        def interrupts(request: Request, handle: Handle) -> Answer:
            nonlocal done
            if request.verb in _WRITES:
                if done == number:
                    self.recover()
                    act()
                done += 1
            return handle(request)

        self._server.around = interrupts

    def drop(self, at_write: int | None = None) -> None:
        """Drop every connection without an answer, or only writes after the first `at_write`."""
        done = 0

        def drops(request: Request, handle: Handle) -> Answer:
            nonlocal done
            if at_write is not None and (request.verb not in _WRITES or done < at_write):
                done += request.verb in _WRITES
                return handle(request)
            raise ConnectionError

        self._server.around = drops


@contextlib.contextmanager
def connected(field_manager: str) -> Generator[lightkube.Client]:
    """Yield a client of the cluster, and close it afterwards."""
    client = lightkube.Client(namespace=MODEL, field_manager=field_manager)
    try:
        yield client
    finally:
        disconnect(client)


def disconnect(client: lightkube.Client) -> None:
    """Close a client if lightkube supports it, as 1.0 and later do."""
    if close := getattr(client, "close", None):
        close()


def _object(api: str, kind: str, name: str, **rest: Any) -> Object:
    metadata = {"name": name, "namespace": MODEL}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _stateful_set() -> Object:
    template = {
        "metadata": {"labels": dict(_JUJU_LABELS)},
        "spec": {"containers": [{"name": "charm", "image": "charm"}]},
    }
    spec = {
        "selector": {"matchLabels": dict(_JUJU_LABELS)},
        "serviceName": "",
        "template": template,
    }
    return _object("apps/v1", "StatefulSet", APP, spec=spec, status={"replicas": 1})


def _service() -> Object:
    ports = [{"port": 65535, "protocol": "TCP"}]
    spec = {"clusterIP": "10.152.183.1", "ports": ports, "selector": dict(_JUJU_LABELS)}
    return _object("v1", "Service", APP, spec=spec)
