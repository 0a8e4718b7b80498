"""What an object must be to be stored, and what Kubernetes adds to a new one.

The rules that charms run into: names, labels, data, and what is fixed in a StatefulSet. Other rules
of the kinds, and the schemas of custom resources, are not checked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.kubernetes.patches import is_map
from rehearsal.kubernetes.resources import Resource
from rehearsal.kubernetes.status import Cause, bad_request, invalid, not_done
from rehearsal.kubernetes.store import Object

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")
_RBAC_NAME = re.compile(r"(?!\.\.?$)[^/%]+")

_MAY_CHANGE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def completed(obj: Object, resource: Resource) -> Object:
    """Return a new object with what Kubernetes adds at once, as far as charms look at it."""
    if resource.has_status:
        obj = without_status(obj)
    match resource.kind:
        case "Namespace":
            return {**obj, "status": {"phase": "Active"}}
        case "StatefulSet":
            return {**obj, "spec": {"replicas": 1, **obj["spec"]}, "status": {"replicas": 0}}
        case "CustomResourceDefinition":
            conditions = [
                {"type": name, "status": "True"} for name in ("NamesAccepted", "Established")
            ]
            return {**obj, "status": {"conditions": conditions}}
        case _:
            return obj


def without_status(obj: Object) -> Object:
    """Return an object without what its owner alone says of it."""
    return {name: value for name, value in obj.items() if name != "status"}


def check_types(obj: Object) -> None:
    """Refuse, with 400, labels, annotations and data that are not strings."""
    maps = {name: obj["metadata"].get(name) for name in ("labels", "annotations")}
    if obj["kind"] == "ConfigMap":
        maps["data"] = obj.get("data")
    for name, value in maps.items():
        if not _is_strings(value or {}):
            raise bad_request(
                f'{obj["kind"]} in version "{obj["apiVersion"]}" cannot be handled as a'
                f" {obj['kind']}: json: {name} is not a map of strings"
            )


def check(resource: Resource, obj: Object, old: Object | None) -> None:
    """Refuse, with 422 and each fault, an object that breaks the rules."""
    metadata = obj["metadata"]
    if metadata.get("finalizers"):
        raise not_done("finalizers")
    name: str = metadata.get("name") or ""
    causes = [*_name(resource, name), *_labels("metadata.labels", metadata.get("labels"))]
    if resource.kind == "StatefulSet":
        causes += _stateful_set(obj["spec"], old["spec"] if old else obj["spec"])
    elif resource.kind == "CustomResourceDefinition":
        causes += _definition(name, obj["spec"])
    elif resource.kind == "Service" and not obj["spec"].keys() & {"clusterIP", "externalName"}:
        raise not_done("the choice of an address for a Service")
    if causes:
        raise invalid(resource.group, resource.kind, name, causes)


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
    selector: dict[str, str] = spec.get("selector", {}).get("matchLabels", {})
    template: dict[str, str] = spec["template"].get("metadata", {}).get("labels") or {}
    yield from _labels("spec.template.labels", template)
    if not selector:
        yield Cause("spec.selector", "Required value", "FieldValueRequired")
    if not selector.items() <= template.items():
        why = "`selector` does not match template `labels`"
        yield _fault("spec.template.metadata.labels", template, why)
    if _fixed(spec) != _fixed(old):
        *first, last = [f"'{field}'" for field in _MAY_CHANGE]
        why = "Forbidden: updates to statefulset spec for fields other than"
        message = f"{why} {', '.join(first)} and {last} are forbidden"
        yield Cause("spec", message, "FieldValueForbidden")


def _fixed(spec: Object) -> Object:
    return {name: value for name, value in spec.items() if name not in _MAY_CHANGE}


def _definition(name: str, spec: Object) -> Iterator[Cause]:
    names = spec.get("names", {})
    if sum(bool(version.get("storage")) for version in spec.get("versions", ())) != 1:
        yield Cause("spec.versions", "Invalid value: must have exactly one storage version")
    if spec.get("scope") not in ("Cluster", "Namespaced") or not names.get("kind"):
        yield Cause("spec", "Required value: scope and names", "FieldValueRequired")
    if name != f"{names.get('plural')}.{spec.get('group')}":
        yield _fault("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _fault(field: str, value: Any, why: str) -> Cause:
    return Cause(field, f"Invalid value: {json.dumps(value, separators=(',', ':'))}: {why}")


def _is_strings(value: Any) -> bool:
    return is_map(value) and all(isinstance(item, str) for item in value.values())
