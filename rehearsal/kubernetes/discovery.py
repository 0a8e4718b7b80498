"""What the API says of itself: versions, groups, and the kinds in them."""

from rehearsal.kubernetes.resources import Resource, served
from rehearsal.kubernetes.store import Object, Store

_VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0+rehearsal"}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def describe(store: Store, path: str) -> Object | None:
    """Return the document at a path that is no resource's, or None."""
    resources = served(store)
    match path.strip("/").split("/"):
        case ["version"]:
            return _VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            names = dict.fromkeys(r.group for r in resources if r.group)
            groups = [_group(name, resources) for name in names]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["api", version]:
            return _kinds(version, resources)
        case ["apis", group, version]:
            return _kinds(f"{group}/{version}", resources)
        case _:
            return None


def _group(name: str, resources: list[Resource]) -> Object:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in dict.fromkeys(r.version for r in resources if r.group == name)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _kinds(group_version: str, resources: list[Resource]) -> Object | None:
    kinds = [_kind(r) for r in resources if r.api_version() == group_version]
    about = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version}
    return {**about, "resources": kinds} if kinds else None


def _kind(resource: Resource) -> Object:
    return {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "shortNames": list(resource.short),
        "categories": ["all"] if resource.kind in ("Pod", "Service", "StatefulSet") else [],
        "verbs": _VERBS,
    }
