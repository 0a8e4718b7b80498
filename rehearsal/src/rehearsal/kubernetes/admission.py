"""Admission: the rules that an object has to follow, and the fields that Kubernetes adds.

It checks the rules that charms run into: schemas, names, labels, and the fixed fields of a
StatefulSet. It does not check the other rules of each kind.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.kubernetes import schemas
from rehearsal.kubernetes.patches import is_map
from rehearsal.kubernetes.resources import Resource
from rehearsal.kubernetes.status import Cause, StatusError, bad_request, invalid, not_done
from rehearsal.kubernetes.store import Object

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")
_RBAC_NAME = re.compile(r"(?!\.\.?$)[^/%]+")

_BUSY = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
"""The metric of an autoscaler that names none."""
_DEFAULTS: dict[str, Object] = {
    "HorizontalPodAutoscaler": {"minReplicas": 1, "metrics": [_BUSY]},
    "Pod": {"restartPolicy": "Always"},
    "Service": {"type": "ClusterIP", "sessionAffinity": "None", "ports": []},
    "StatefulSet": {
        "replicas": 1,
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate"},
    },
}
_FIXED = ("podManagementPolicy", "selector", "serviceName", "volumeClaimTemplates")
"""Fields in the spec of a StatefulSet that cannot change."""


def _completed(obj: Object, resource: Resource) -> Object:
    """Return a new object with the fields that Kubernetes adds at once and charms read."""
    if resource.has_status:
        obj = without_status(obj)
    match resource.kind:
        case "Namespace":
            return {**obj, "status": {"phase": "Active"}}
        case "Pod":
            return {**obj, "status": {"phase": "Pending"}}
        case "StatefulSet":
            return {**obj, "status": {"replicas": 0}}
        case "Ingress":
            return {**obj, "status": {"loadBalancer": {}}}
        case "CustomResourceDefinition":
            conditions = [
                {"type": name, "status": "True"} for name in ("NamesAccepted", "Established")
            ]
            return {**obj, "status": {"conditions": conditions}}
        case _:
            return obj


def _defaulted(obj: Object) -> Object:
    """Return an object with the defaults of its kind for the fields that it leaves out.

    These are the defaults that clients read: https://kubernetes.io/docs/reference/kubernetes-api/
    """
    spec = {**_DEFAULTS.get(obj["kind"], {}), **obj.get("spec", {})}
    if obj["kind"] == "NetworkPolicy" and "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    if obj["kind"] == "Service":
        spec["ports"] = [
            {"protocol": "TCP", "targetPort": port["port"], **port} for port in spec["ports"]
        ]
    return {**obj, "spec": spec} if spec else obj


def without_status(obj: Object) -> Object:
    """Return an object without its status, which only the owner of the object writes."""
    return {name: value for name, value in obj.items() if name != "status"}


def decoded(resource: Resource, obj: Object, *, strict: bool) -> Object:
    """Return an object without the fields that its kind does not define.

    Raises:
        StatusError: 400 for a value of another type, and, if `strict`, for a field that is dropped.
    """
    findings = schemas.Findings()
    fitted = schemas.fitted(resource, obj, findings)
    if findings.mistyped and not resource.custom:
        raise undecodable(resource, findings.mistyped[0].message)
    for name in _not_strings(obj):
        raise undecodable(resource, f"{name} is not a map of strings")
    if strict and findings.unknown:
        unknown = ", ".join(f'unknown field "{field}"' for field in findings.unknown)
        raise undecodable(resource, f"strict decoding error: {unknown}")
    return fitted


def undecodable(resource: Resource, why: str) -> StatusError:
    """Return the error for a request whose content is not an object of its kind."""
    kind, version = resource.kind, resource.version
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')


def admitted(resource: Resource, obj: Object, old: Object | None) -> Object:
    """Return an object in the form in which the store keeps it.

    Raises:
        StatusError: 422, with each fault, for an object that breaks the rules.
    """
    metadata = obj["metadata"]
    if metadata.get("finalizers"):
        raise not_done("finalizers")
    name: str = metadata.get("name") or ""
    causes = [*_name(resource, name), *_labels("metadata.labels", metadata.get("labels"))]
    causes += _misfits(resource, obj)
    if not (causes or resource.custom):
        # An object that was stored without defaults, so not through the API, stays without them.
        obj = _defaulted(obj) if old is None or _defaulted(old) == old else obj
        causes = [*_of_kind(resource.kind, obj, old or obj)]
    if causes:
        raise invalid(resource.group, resource.kind, name, causes)
    return obj if old else _completed(obj, resource)


def _misfits(resource: Resource, obj: Object) -> list[Cause]:
    findings = schemas.Findings()
    has_spec = not resource.custom and "spec" in schemas.built_in(resource)["properties"]
    schemas.fitted(resource, {"spec": {}, **obj} if has_spec else obj, findings)
    return findings.faults


def _of_kind(kind: str, obj: Object, old: Object) -> Iterator[Cause]:
    if kind == "StatefulSet":
        yield from _stateful_set(obj["spec"], old["spec"])
    elif kind == "CustomResourceDefinition":
        yield from _definition(obj["metadata"]["name"], obj["spec"])
    elif kind == "Service" and not obj.get("spec", {}).keys() & {"clusterIP", "externalName"}:
        raise not_done("the choice of an address for a Service")


def _name(resource: Resource, name: str) -> Iterator[Cause]:
    special = {"Service": (_DNS_1035, 63), "Namespace": (_DNS_LABEL, 63)}
    pattern, length = special.get(resource.kind, (_DNS_SUBDOMAIN, 253))
    if resource.group == "rbac.authorization.k8s.io":
        pattern = _RBAC_NAME
    if not name:
        why = "Required value: name or generateName is required"
        yield Cause("metadata.name", why, "FieldValueRequired")
    elif not pattern.fullmatch(name) or len(name) > length:
        yield _fault("metadata.name", name, "a lowercase RFC 1123 name is required here")


def _labels(field: str, labels: Mapping[str, str] | None) -> Iterator[Cause]:
    # https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    for key, value in (labels or {}).items():
        prefix, slash, name = key.rpartition("/")
        if slash and (not _DNS_SUBDOMAIN.fullmatch(prefix) or len(prefix) > 253):
            yield _fault(field, key, "prefix part must be a lowercase RFC 1123 subdomain")
        if not _NAME.fullmatch(name) or len(name) > 63:
            yield _fault(field, key, "name part must be a label name of at most 63 characters")
        if value and (not _NAME.fullmatch(value) or len(value) > 63):
            yield _fault(field, value, "must be a valid label value of at most 63 characters")


def _stateful_set(spec: Object, old: Object) -> Iterator[Cause]:
    selector: dict[str, str] = spec["selector"].get("matchLabels", {})
    template: dict[str, str] = spec["template"].get("metadata", {}).get("labels") or {}
    yield from _labels("spec.template.labels", template)
    if not selector:
        yield Cause("spec.selector", "Required value", "FieldValueRequired")
    if not selector.items() <= template.items():
        why = "`selector` does not match template `labels`"
        yield _fault("spec.template.metadata.labels", template, why)
    for field in _FIXED:
        if spec.get(field) != old.get(field):
            yield _fault(f"spec.{field}", spec.get(field), "field is immutable")


def _definition(name: str, spec: Object) -> Iterator[Cause]:
    if sum(version["storage"] for version in spec["versions"]) != 1:
        yield Cause("spec.versions", "Invalid value: must have exactly one storage version")
    if spec["scope"] not in ("Cluster", "Namespaced"):
        supported = 'supported values: "Cluster", "Namespaced"'
        message = f'Unsupported value: "{spec["scope"]}": {supported}'
        yield Cause("spec.scope", message, "FieldValueNotSupported")
    if name != f"{spec['names']['plural']}.{spec['group']}":
        yield _fault("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    for number, version in enumerate(spec["versions"]):
        if "openAPIV3Schema" not in version.get("schema", {}):
            where = f"spec.versions[{number}].schema.openAPIV3Schema"
            yield Cause(where, "Required value", "FieldValueRequired")


def _fault(field: str, value: Any, why: str) -> Cause:
    return Cause(field, f"Invalid value: {json.dumps(value, separators=(',', ':'))}: {why}")


def _not_strings(obj: Object) -> Iterator[str]:
    maps: Object = {name: obj["metadata"].get(name) for name in ("labels", "annotations")}
    if obj["kind"] == "ConfigMap":
        maps["data"] = obj.get("data")
    for name, value in maps.items():
        if is_map(value) and not all(isinstance(item, str) for item in value.values()):
            yield name
