"""Discovery: the API's versions, its groups, their kinds, and the patches that these take."""

from rehearsal.kubernetes.resources import Resource, served
from rehearsal.kubernetes.store import Object, Store

VERSION = "v1.37.0+rehearsal"
"""The version of Kubernetes that the API claims."""
_VERSION = {"major": "1", "minor": "37", "gitVersion": VERSION}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def describe(store: Store, path: str) -> Object | None:
    """Return the document at a path that does not belong to a resource, or None."""
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
        case ["openapi", "v3", *rest]:
            return _open_api(rest, resources)
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


def _open_api(path: list[str], resources: list[Resource]) -> Object | None:
    """Return the OpenAPI document from which kubectl learns that the server checks fields."""
    roots = {resource.root: resource for resource in resources}
    if not path:
        return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}}
    here = [resource for resource in resources if resource.root == "/".join(path)]
    about = {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}}
    return {**about, "paths": dict(map(_patched, here))} if here else None


def _patched(resource: Resource) -> tuple[str, Object]:
    place = "namespaces/{namespace}/" if resource.namespaced else ""
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    patch = {"parameters": [parameter], "x-kubernetes-group-version-kind": kind, "responses": {}}
    return f"/{resource.root}/{place}{resource.plural}/{{name}}", {"patch": patch}
