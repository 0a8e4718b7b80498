"""A Kubernetes API with one application of Juju's, over HTTP on loopback."""

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
_JUJUS = {"app.kubernetes.io/name": APP}
# The definition of the AuthorizationPolicy, of which the API makes use as a real one does.
ISTIO = Path(__file__).parents[2] / "rehearsal/src/rehearsal/mesh/authorizationpolicies.yaml"
_WRITES = {"create", "delete", "patch", "update"}


class SmallCluster:
    """The cluster that the tests talk to and look into.

    Args:
        kubeconfig: the file that says where it is.
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
        """From now on the caller is the application, and may do nothing."""
        self._kubeconfig.write_text(self._server.kubeconfig(MODEL, APP))

    def install_istio(self) -> None:
        self.store.put(yaml.safe_load(ISTIO.read_text()))

    def put_namespace(self, name: str, uuid: str = "") -> None:
        """Add a namespace, with the label that Juju gives to that of a model with this UUID."""
        metadata = {"name": name, "labels": {"model.juju.is/id": uuid} if uuid else {}}
        self.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def put_policy(self, name: str, labels: dict[str, str]) -> None:
        policy = _object("security.istio.io/v1", "AuthorizationPolicy", name, spec={})
        policy["metadata"]["labels"] = labels
        self.store.put(policy)

    def put_ledger(self, **data: str) -> None:
        self.store.put(_object("v1", "ConfigMap", LEDGER, data=data))

    def ledger(self) -> dict[str, str] | None:
        """Return what the ConfigMap has under `labels`, or None if there is no ConfigMap."""
        found = self.store.get("ConfigMap", MODEL, LEDGER)
        return json.loads(found["data"]["labels"]) if found else None

    def pod_labels(self) -> dict[str, str]:
        return self._get("StatefulSet")["spec"]["template"]["metadata"]["labels"]

    def service_labels(self) -> dict[str, str]:
        return self._get("Service")["metadata"].get("labels", {})

    def label_pods(self, **labels: str) -> None:
        """Label the pods, as somebody else might."""
        stateful_set = self._get("StatefulSet")
        stateful_set["spec"]["template"]["metadata"]["labels"].update(labels)
        self.store.put(stateful_set)

    def label(self, kind: str, key: str, value: str) -> None:
        """Label what carries the labels of this kind, as somebody else might."""
        if kind == "StatefulSet":
            self.label_pods(**{key: value})
        else:
            service = self._get(kind)
            service["metadata"].setdefault("labels", {})[key] = value
            self.store.put(service)

    def unlabel_pods(self, key: str) -> None:
        """Remove a label of the pods, as somebody else might."""
        stateful_set = self._get("StatefulSet")
        del stateful_set["spec"]["template"]["metadata"]["labels"][key]
        self.store.put(stateful_set)

    def select_pods(self, **labels: str) -> None:
        """Have the Service select by these labels too."""
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
        """Have every request go through this, as the Server's `around` says."""
        self._server.around = around

    def recover(self) -> None:
        self._server.around = lambda request, handle: handle(request)

    def fail(self, code: int, verb: str = "", plural: str = "") -> None:
        """Answer the requests of this verb and resource with an error; of all where not given."""

        def around(request: Request, handle: Handle) -> Answer:
            if verb in ("", request.verb) and plural in ("", request.target.plural):
                raise StatusError(code, "Reason", f"the reason for {code}")
            return handle(request)

        self._server.around = around

    def before_write(self, number: int, act: Callable[[], object]) -> None:
        """Have somebody else act just before the write of this number, the first being 0."""
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
        """Drop the connection without an answer; `at_write` lets so many writes through before."""
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
    """Give a client of the cluster, and close it."""
    client = lightkube.Client(namespace=MODEL, field_manager=field_manager)
    try:
        yield client
    finally:
        disconnect(client)


def disconnect(client: lightkube.Client) -> None:
    """Close a client, where lightkube can: 1.0 and later."""
    if close := getattr(client, "close", None):
        close()


def _object(api: str, kind: str, name: str, **rest: Any) -> Object:
    metadata = {"name": name, "namespace": MODEL}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def _stateful_set() -> Object:
    template = {
        "metadata": {"labels": dict(_JUJUS)},
        "spec": {"containers": [{"name": "charm", "image": "charm"}]},
    }
    spec = {"selector": {"matchLabels": dict(_JUJUS)}, "serviceName": "", "template": template}
    return _object("apps/v1", "StatefulSet", APP, spec=spec, status={"replicas": 1})


def _service() -> Object:
    ports = [{"port": 65535, "protocol": "TCP"}]
    spec = {"clusterIP": "10.152.183.1", "ports": ports, "selector": dict(_JUJUS)}
    return _object("v1", "Service", APP, spec=spec)
