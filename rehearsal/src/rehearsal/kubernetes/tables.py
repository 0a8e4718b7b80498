"""Tables for `kubectl get`: objects as rows, with the columns that Kubernetes has for their kind.

Sources: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables,
`pkg/printers/internalversion/printers.go` of Kubernetes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from rehearsal.kubernetes.patches import at
from rehearsal.kubernetes.resources import Resource
from rehearsal.kubernetes.status import StatusError
from rehearsal.kubernetes.store import Object

_ROLE = "node-role.kubernetes.io/"
_NONE = "<none>"
_PATH = re.compile(r"(\.[A-Za-z0-9_-]+)+")
_TABLE = {"as=Table", "v=v1", "g=meta.k8s.io"}
_JSON = {"application/json", "application/*", "*/*"}


class Column(NamedTuple):
    """One column: its heading, its cell for an object, and whether only `-o wide` shows it."""

    name: str
    cell: Callable[[Object], Any]
    wide: bool = False
    type: str = "string"


def wanted(accept: str) -> bool:
    """Return whether a client prefers a table to the objects.

    Raises:
        StatusError: 406 if it takes neither.
    """
    for content_type in (accept or "*/*").replace(" ", "").split(","):
        name, *parameters = content_type.split(";")
        form = {each for each in parameters if not each.startswith(("charset=", "q="))}
        if name in _JSON and form in (set(), _TABLE):
            return form == _TABLE
    message = "only the following media types are accepted: application/json"
    raise StatusError(406, "NotAcceptable", message)


def table(resource: Resource, objects: Sequence[Object], version: str, include: str) -> Object:
    """Return objects as a table. `include` is the part of each object that its row contains."""
    columns = _columns(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": [_row(columns, obj, include or "Metadata") for obj in objects],
    }


def events(resource: Resource, changes: Iterable[Object], include: str) -> Iterator[Object]:
    """Yield the events of a watch, each with a table of one row. Only the first has headings."""
    headed = False
    for event in changes:
        obj = event["object"]
        if event["type"] != "ERROR":
            obj = table(resource, [obj], obj["metadata"]["resourceVersion"], include)
            obj |= {"columnDefinitions": []} if headed else {}
            headed = True
        yield {**event, "object": obj}


def _definition(column: Column) -> Object:
    name_format = "name" if column.name == "Name" else ""
    about = {"name": column.name, "type": column.type, "format": name_format}
    return {**about, "description": "", "priority": int(column.wide)}


def _row(columns: Sequence[Column], obj: Object, include: str) -> Object:
    row: Object = {"cells": [column.cell(obj) for column in columns]}
    if include == "Object":
        return {**row, "object": obj}
    meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return row if include == "None" else {**row, "object": {**meta, "metadata": obj["metadata"]}}


def _columns(resource: Resource) -> list[Column]:
    if resource.columns:
        return [_NAME, *(_given(column) for column in resource.columns)]
    columns = _OF_KIND.get(resource.kind, (_AGE,))
    return [*columns] if resource.kind == "Event" else [_NAME, *columns]


def _given(column: Object) -> Column:
    path, is_date = column["jsonPath"], column["type"] == "date"

    def cell(obj: Object) -> Any:
        found = at(obj, *path.strip(".").split(".")) if _PATH.fullmatch(path) else None
        return _age(found) if is_date and found else found

    return Column(column["name"], cell, bool(column.get("priority")), column["type"])


def _aged(obj: Object) -> str:
    return _age(obj["metadata"]["creationTimestamp"])


def _age(timestamp: str) -> str:
    """Return the age of a timestamp as Kubernetes' duration.HumanDuration prints it, up to days."""
    then = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    seconds = int((datetime.now(timezone.utc) - then).total_seconds())
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    scales = (
        (seconds < 120, f"{seconds}s", ""),
        (minutes < 10, f"{minutes}m", f"{seconds % 60}s"),
        (hours < 3, f"{minutes}m", ""),
        (hours < 8, f"{hours}h", f"{minutes % 60}m"),
        (hours < 48, f"{hours}h", ""),
        (days < 8, f"{days}d", f"{hours % 24}h"),
    )
    _, large, small = next((scale for scale in scales if scale[0]), (True, f"{days}d", ""))
    return large + ("" if small.startswith("0") and len(small) == 2 else small)


def _ready_containers(pod: Object) -> str:
    ready = [status for status in _containers(pod) if status["ready"]]
    return f"{len(ready)}/{len(pod['spec']['containers'])}"


def _restarts(pod: Object) -> str:
    return str(sum(status["restartCount"] for status in _containers(pod)))


def _containers(pod: Object) -> list[Object]:
    return at(pod, "status", "containerStatuses") or []


def _replicas(stateful_set: Object) -> str:
    ready = at(stateful_set, "status", "readyReplicas") or 0
    return f"{ready}/{stateful_set['spec']['replicas']}"


def _of_containers(field: str) -> Callable[[Object], str]:
    path = ("spec", "template", "spec", "containers")
    return lambda obj: ",".join(container[field] for container in at(obj, *path))


def _ports(service: Object) -> str:
    ports: list[Object] = at(service, "spec", "ports") or []
    return ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in ports) or _NONE


def _selector(*path: str) -> Callable[[Object], str]:
    def cell(obj: Object) -> str:
        labels: Object = at(obj, "spec", *path) or {}
        return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or _NONE

    return cell


def _subjects(kind: str) -> Callable[[Object], str]:
    def cell(binding: Object) -> str:
        found = [each for each in binding.get("subjects") or () if each["kind"] == kind]
        return ", ".join(f"{s.get('namespace', '')}/{s['name']}".lstrip("/") for s in found)

    return cell


def _role(binding: Object) -> str:
    return f"{binding['roleRef']['kind']}/{binding['roleRef']['name']}"


def _versions(definition: Object) -> str:
    versions = definition["spec"]["versions"]
    return ",".join(v["name"] + ("(storage)" if v["storage"] else "") for v in versions)


def _conditions(node: Object) -> str:
    found = [each for each in at(node, "status", "conditions") or () if each["type"] == "Ready"]
    return "Ready" if found and found[0]["status"] == "True" else "NotReady"


def _seen(event: Object) -> str:
    return _age(event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])


def _involved(event: Object) -> str:
    subject = event["involvedObject"]
    return f"{subject.get('kind', '').lower()}/{subject.get('name', '')}"


def _scaled(autoscaler: Object) -> str:
    target = autoscaler["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _targets(autoscaler: Object) -> str:
    """Return the metrics of an autoscaler, whose present values nobody measures."""
    metrics: list[Object] = autoscaler["spec"].get("metrics") or []
    return ", ".join(map(_target, metrics)) or _NONE


def _target(metric: Object) -> str:
    found: Object = metric.get("resource") or {}
    wanted: Object = found.get("target") or {}
    value = wanted.get("averageValue") or f"{wanted.get('averageUtilization', '')}%"
    return f"{found['name']}: <unknown>/{value}" if found else "<unknown>"


def _hosts(ingress: Object) -> str:
    rules: list[Object] = at(ingress, "spec", "rules") or []
    return ",".join(rule["host"] for rule in rules if rule.get("host")) or "*"


def _ingress_ports(ingress: Object) -> str:
    return "80, 443" if at(ingress, "spec", "tls") else "80"


def _balancers(ingress: Object) -> str:
    found: list[dict[str, str]] = at(ingress, "status", "loadBalancer", "ingress") or []
    return ",".join(each.get("ip") or each.get("hostname", "") for each in found)


def _roles(node: Object) -> str:
    labels: dict[str, str] = at(node, "metadata", "labels") or {}
    roles = [key.removeprefix(_ROLE) for key in sorted(labels) if key.startswith(_ROLE)]
    return ",".join(roles) or _NONE


def _path(*path: str, default: Any = _NONE) -> Callable[[Object], Any]:
    return lambda obj: at(obj, *path) or default


def _least_pods(obj: Object) -> str:
    return str(at(obj, "spec", "minReplicas") or "<unset>")


def _sized(obj: Object) -> int:
    return len(obj.get("data") or {}) + len(obj.get("binaryData") or {})


_NAME = Column("Name", _path("metadata", "name"))
_AGE = Column("Age", _aged)
_CREATED = Column("Created At", _path("metadata", "creationTimestamp"), type="date")
_BINDING = (
    Column("Role", _role),
    _AGE,
    Column("Users", _subjects("User"), wide=True),
    Column("Groups", _subjects("Group"), wide=True),
    Column("ServiceAccounts", _subjects("ServiceAccount"), wide=True),
)
_OF_KIND: dict[str, tuple[Column, ...]] = {
    "ClusterRole": (_CREATED,),
    "ClusterRoleBinding": _BINDING,
    "ConfigMap": (Column("Data", _sized), _AGE),
    "CustomResourceDefinition": (
        Column("Scope", _path("spec", "scope")),
        Column("Versions", _versions),
        _CREATED,
    ),
    "Event": (
        Column("Last Seen", _seen),
        Column("Type", _path("type")),
        Column("Reason", _path("reason")),
        Column("Object", _involved),
        Column("Subobject", _path("involvedObject", "fieldPath", default=""), wide=True),
        Column("Source", _path("source", "component", default=""), wide=True),
        Column("Message", _path("message")),
        Column("Count", _path("count", default=1), wide=True),
        _NAME._replace(wide=True),
    ),
    "HorizontalPodAutoscaler": (
        Column("Reference", _scaled),
        Column("Targets", _targets),
        Column("MinPods", _least_pods),
        Column("MaxPods", _path("spec", "maxReplicas")),
        Column("Replicas", _path("status", "currentReplicas", default=0)),
        _AGE,
    ),
    "Ingress": (
        Column("Class", _path("spec", "ingressClassName")),
        Column("Hosts", _hosts),
        Column("Address", _balancers),
        Column("Ports", _ingress_ports),
        _AGE,
    ),
    "Namespace": (Column("Status", _path("status", "phase")), _AGE),
    "NetworkPolicy": (Column("Pod-Selector", _selector("podSelector", "matchLabels")), _AGE),
    "Node": (
        Column("Status", _conditions),
        Column("Roles", _roles),
        _AGE,
        Column("Version", _path("status", "nodeInfo", "kubeletVersion")),
        Column("OS-Image", _path("status", "nodeInfo", "osImage"), wide=True),
        Column("Kernel-Version", _path("status", "nodeInfo", "kernelVersion"), wide=True),
    ),
    "Pod": (
        Column("Ready", _ready_containers),
        Column("Status", _path("status", "phase", default="Unknown")),
        Column("Restarts", _restarts),
        _AGE,
        Column("IP", _path("status", "podIP"), wide=True),
        Column("Node", _path("spec", "nodeName"), wide=True),
        Column("Nominated Node", _path("status", "nominatedNodeName"), wide=True),
        Column("Readiness Gates", _path("spec", "readinessGates"), wide=True),
    ),
    "Role": (_CREATED,),
    "RoleBinding": _BINDING,
    "Secret": (Column("Type", _path("type", default="Opaque")), Column("Data", _sized), _AGE),
    "Service": (
        Column("Type", _path("spec", "type", default="ClusterIP")),
        Column("Cluster-IP", _path("spec", "clusterIP")),
        Column("External-IP", _path("spec", "externalName")),
        Column("Port(s)", _ports),
        _AGE,
        Column("Selector", _selector("selector"), wide=True),
    ),
    "StatefulSet": (
        Column("Ready", _replicas),
        _AGE,
        Column("Containers", _of_containers("name"), wide=True),
        Column("Images", _of_containers("image"), wide=True),
    ),
}
