"""Who is there: the pods and Services of the cluster, as far as they matter to a mesh."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.addresses import workload_address
from rehearsal.kubernetes.store import Object, Store
from rehearsal.mesh.identity import TRUST_DOMAIN

_MODE = "istio.io/dataplane-mode"


@dataclass(frozen=True)
class Pod:
    """A pod that has an address; `ports` are those that Services lead to."""

    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str]
    service_account: str
    on_mesh: bool
    ready: bool
    ports: Sequence[int]

    @property
    def principal(self) -> str:
        """Who it is, in the words of an AuthorizationPolicy."""
        return f"{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.service_account}"

    @property
    def workload_ip(self) -> str:
        """Where its processes listen, behind the pod's own address."""
        return workload_address(self.ip)


@dataclass(frozen=True)
class Service:
    """A Service, whose `ports` lead to those of its pods; a headless one has no address."""

    namespace: str
    name: str
    ip: str | None
    on_mesh: bool
    ports: Mapping[int, int]
    pods: Sequence[Pod]


@dataclass(frozen=True)
class Topology:
    """All pods and Services at one moment."""

    pods: Sequence[Pod]
    services: Sequence[Service]


def read(store: Store) -> Topology:
    """Read the topology from the Kubernetes API."""
    modes = {obj["metadata"]["name"]: _labels(obj).get(_MODE) for obj in store.list("Namespace")}
    services = [obj for obj in store.list("Service") if obj["spec"].get("selector")]
    found = [obj for obj in store.list("Pod") if obj.get("status", {}).get("podIP")]
    pods = [_pod(obj, services, modes) for obj in found]
    return Topology(pods, [_service(obj, pods, modes) for obj in services])


def _pod(obj: Object, services: Sequence[Object], modes: Mapping[str, str | None]) -> Pod:
    namespace, labels = obj["metadata"]["namespace"], _labels(obj)
    exposing = [service for service in services if _selects(service, namespace, labels)]
    ready = {"type": "Ready", "status": "True"}.items()
    return Pod(
        namespace=namespace,
        name=obj["metadata"]["name"],
        ip=obj["status"]["podIP"],
        labels=labels,
        service_account=obj["spec"].get("serviceAccountName", "default"),
        on_mesh=_is_on_mesh(obj, modes),
        ready=any(ready <= condition.items() for condition in obj["status"].get("conditions", [])),
        ports=sorted({port for service in exposing for port in _ports(service).values()}),
    )


def _service(obj: Object, pods: Sequence[Pod], modes: Mapping[str, str | None]) -> Service:
    ip: str = obj["spec"].get("clusterIP", "None")
    return Service(
        namespace=obj["metadata"]["namespace"],
        name=obj["metadata"]["name"],
        ip=None if ip == "None" else ip,
        on_mesh=_is_on_mesh(obj, modes),
        ports=_ports(obj),
        pods=[pod for pod in pods if _selects(obj, pod.namespace, pod.labels)],
    )


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _is_on_mesh(obj: Object, modes: Mapping[str, str | None]) -> bool:
    """Tell by an object's own label, or where it has none, by that of its namespace.

    https://istio.io/latest/docs/ambient/usage/add-workloads/
    """
    return _labels(obj).get(_MODE, modes.get(obj["metadata"]["namespace"])) == "ambient"


def _selects(service: Object, namespace: str, labels: Mapping[str, str]) -> bool:
    selector: dict[str, str] = service["spec"]["selector"]
    return service["metadata"]["namespace"] == namespace and selector.items() <= labels.items()


def _ports(service: Object) -> dict[int, int]:
    """Return where a Service's TCP ports lead; those that lead to a port by name are left out."""
    ports: list[dict[str, Any]] = service["spec"].get("ports", [])
    tcp = [port for port in ports if port.get("protocol", "TCP") == "TCP"]
    targets = {port["port"]: port.get("targetPort") or port["port"] for port in tcp}
    return {port: target for port, target in targets.items() if isinstance(target, int)}
