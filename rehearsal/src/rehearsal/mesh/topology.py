"""The topology: the pods and Services of the cluster, as far as a mesh needs them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.kubernetes.store import Object, Store
from rehearsal.machine.addresses import workload_address
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
        """Its principal, in the form of an AuthorizationPolicy."""
        return f"{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.service_account}"

    @property
    def workload_ip(self) -> str:
        """The address on which its processes listen, behind the pod's own."""
        return workload_address(self.ip)


@dataclass(frozen=True)
class Service:
    """A Service, whose `ports` lead to those of its pods; a headless one has no address.

    One that is on the mesh has a waypoint.
    """

    namespace: str
    name: str
    ip: str | None
    on_mesh: bool
    ports: Mapping[int, int]
    pods: Sequence[Pod]

    @property
    def ready(self) -> Sequence[Pod]:
        """The pods that get calls to its address."""
        return [pod for pod in self.pods if pod.ready]


@dataclass(frozen=True)
class Topology:
    """All pods and Services at one moment, and the labels of each namespace."""

    pods: Sequence[Pod]
    services: Sequence[Service]
    labels: Mapping[str, Mapping[str, str]]


def read(store: Store, *, istio: bool) -> Topology:
    """Read the topology from the Kubernetes API; without Istio, nothing is on a mesh."""
    labels = {obj["metadata"]["name"]: _labels(obj) for obj in store.list("Namespace")}
    services = [obj for obj in store.list("Service") if obj["spec"].get("selector")]
    found = [obj for obj in store.list("Pod") if obj.get("status", {}).get("podIP")]
    selected = _select(services, found)
    ports: defaultdict[int, set[int]] = defaultdict(set)
    for service, numbers in zip(services, selected, strict=True):
        for number in numbers:
            ports[number].update(_ports(service).values())

    def on_mesh(obj: Object) -> bool:
        return istio and _is_on_mesh(obj, labels)

    pods = [_pod(obj, sorted(ports[n]), on_mesh=on_mesh(obj)) for n, obj in enumerate(found)]
    behind = [[pods[number] for number in numbers] for numbers in selected]
    return Topology(
        pods,
        [_service(o, b, on_mesh=on_mesh(o)) for o, b in zip(services, behind, strict=True)],
        labels,
    )


def _select(services: Sequence[Object], pods: Sequence[Object]) -> list[list[int]]:
    """Return the numbers of the pods that each Service selects."""
    carrying: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    for number, pod in enumerate(pods):
        for key, value in _labels(pod).items():
            carrying[pod["metadata"]["namespace"], key, value].add(number)

    def select(service: Object) -> list[int]:
        namespace: str = service["metadata"]["namespace"]
        selector: dict[str, str] = service["spec"]["selector"]
        first, *others = [carrying[namespace, key, value] for key, value in selector.items()]
        return sorted(first.intersection(*others))

    return [select(service) for service in services]


def _pod(obj: Object, ports: Sequence[int], *, on_mesh: bool) -> Pod:
    ready = {"type": "Ready", "status": "True"}.items()
    return Pod(
        namespace=obj["metadata"]["namespace"],
        name=obj["metadata"]["name"],
        ip=obj["status"]["podIP"],
        labels=_labels(obj),
        service_account=obj["spec"].get("serviceAccountName", "default"),
        on_mesh=on_mesh,
        ready=any(ready <= condition.items() for condition in obj["status"].get("conditions", [])),
        ports=ports,
    )


def _service(obj: Object, pods: Sequence[Pod], *, on_mesh: bool) -> Service:
    ip: str = obj["spec"].get("clusterIP", "None")
    return Service(
        namespace=obj["metadata"]["namespace"],
        name=obj["metadata"]["name"],
        ip=None if ip == "None" else ip,
        on_mesh=on_mesh,
        ports=_ports(obj),
        pods=pods,
    )


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _is_on_mesh(obj: Object, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether an object has the label of the mesh, or else its namespace has it.

    https://istio.io/latest/docs/ambient/usage/add-workloads/
    """
    of_namespace = namespaces.get(obj["metadata"]["namespace"], {}).get(_MODE)
    return _labels(obj).get(_MODE, of_namespace) == "ambient"


def _ports(service: Object) -> dict[int, int]:
    """Return the target port of each TCP port of a Service, except target ports with a name."""
    ports: list[dict[str, Any]] = service["spec"].get("ports", [])
    tcp = [port for port in ports if port.get("protocol", "TCP") == "TCP"]
    targets = {port["port"]: port.get("targetPort") or port["port"] for port in tcp}
    return {port: target for port, target in targets.items() if isinstance(target, int)}
