"""The API's verbs, as operations on the objects in the store."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rehearsal.kubernetes import admission, fields, patches, rbac, reviews, status, tables
from rehearsal.kubernetes.logs import Logs, log
from rehearsal.kubernetes.requests import NOT_ALLOWED, NOT_FOUND, NOT_SERVED, Answer, Request
from rehearsal.kubernetes.resources import Resource, Target, find, served
from rehearsal.kubernetes.schemas import is_of_kubernetes
from rehearsal.kubernetes.selectors import Matches, by_query, selected_name
from rehearsal.kubernetes.store import Object, Store
from rehearsal.kubernetes.watches import Watches

_APPLY = "application/apply-patch+yaml"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES: dict[str, Callable[[Object, Any], Object]] = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge,
    _STRATEGIC: patches.strategic,
}
_NAMESPACES = Resource("", "Namespace", "namespaces")
_RETURNED_WHEN_DELETED = {"Namespace", "Pod", "Service", "ServiceAccount"}
_INSTEAD = {
    "exec": "; `juju ssh --container CONTAINER UNIT COMMAND` runs a command in a container",
    "portforward": "; `juju-rehearsal open UNIT` forwards to the ports of a unit",
}
"""Advice for the subresources of pods that people ask for."""
_WATCH_SECONDS = "1800"


class Api:
    """Answers requests for the resources in a store; `watches` are its open streams.

    Args:
        store: the objects.
        logs: gives the logs of containers.
    """

    def __init__(self, store: Store, logs: Logs | None) -> None:
        self.watches = Watches(store)
        self._store = store
        self._logs = logs
        self._verbs: dict[str, Callable[[Resource, Request], Answer]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises:
            StatusError: if it is refused.
        """
        if not request.verb:
            raise NOT_ALLOWED
        if reviews.is_review(request):
            return reviews.review(self._store, request)
        self._authorize(request, request.verb)
        resource = self._resource(request.target)
        if resource is None:
            return NOT_SERVED
        request.check()
        if request.target.subresource:
            return self._of_subresource(resource, request)
        with self._store.lock:
            return self._verbs[request.verb](resource, request)

    def _resource(self, target: Target) -> Resource | None:
        resource = find(self._store, target)
        if not resource and is_of_kubernetes(target.group, target.version, target.plural):
            raise status.not_done(target.plural)
        if resource is None or (target.namespace and not resource.namespaced):
            if target.group in {each.group for each in served(self._store)}:
                raise NOT_FOUND
            return None
        subresources = {"", *resource.subresources, "status" if resource.has_status else ""}
        if target.subresource not in subresources:
            raise NOT_FOUND
        return resource

    def _of_subresource(self, resource: Resource, request: Request) -> Answer:
        subresource = request.target.subresource
        if (resource.kind, subresource, request.verb) != ("Pod", "log", "get"):
            advice = _INSTEAD.get(subresource, "")
            raise status.not_done(f"the subresource {subresource}{advice}")
        return Answer(200, log(self._existing(resource, request), request.query, self._logs))

    def _authorize(self, request: Request, verb: str) -> None:
        target = request.target
        if verb in ("list", "watch"):
            target = replace(target, selected=selected_name(request.query))
        if not rbac.allowed(self._store, request.user, verb, target):
            raise status.forbidden(request.user, verb, target)

    def _get(self, resource: Resource, request: Request) -> Answer:
        found = self._existing(resource, request)
        if tables.wanted(request.accept):
            return self._table(resource, request, [found])
        return Answer(200, _shown(resource, found))

    def _list(self, resource: Resource, request: Request) -> Answer:
        selected = self._selected(resource, request)
        if tables.wanted(request.accept):
            return self._table(resource, request, selected)
        return Answer(200, self._listing(resource, selected))

    def _table(self, resource: Resource, request: Request, found: list[Object]) -> Answer:
        version, include = str(self._store.version), request.query.get("includeObject", "")
        shown = [_shown(resource, obj) for obj in found]
        return Answer(200, tables.table(resource, shown, version, include))

    def _watch(self, resource: Resource, request: Request) -> Answer:
        since = int(request.query.get("resourceVersion") or 0)
        seconds = int(request.query.get("timeoutSeconds") or _WATCH_SECONDS)
        stream = self.watches.stream(resource.kind, _within(resource, request), since, seconds)
        events = ({**event, "object": _shown(resource, event["object"])} for event in stream)
        if tables.wanted(request.accept):
            include = request.query.get("includeObject", "")
            return Answer(200, tables.events(resource, events, include))
        return Answer(200, events)

    def _create(self, resource: Resource, request: Request) -> Answer:
        obj = _object(resource, request, request.content())
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            raise status.version_given()
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        return self._add(resource, fields.written(None, obj, _manager(resource, request)))

    def _update(self, resource: Resource, request: Request) -> Answer:
        old = self._existing(resource, request)
        new = _object(resource, request, request.content())
        if resource.custom and "resourceVersion" not in new["metadata"]:
            why = "Invalid value: 0: must be specified for an update"
            cause = status.Cause("metadata.resourceVersion", why)
            name = new["metadata"]["name"]
            raise status.invalid(resource.group, resource.kind, name, [cause])
        return self._replace(resource, request, old, new)

    def _patch(self, resource: Resource, request: Request) -> Answer:
        if request.content_type == _APPLY:
            return self._apply(resource, request)
        patch = _PATCHES.get(request.content_type)
        if patch is None or (resource.custom and patch is patches.strategic):
            message = f"{request.content_type} is not supported"
            raise status.StatusError(415, "UnsupportedMediaType", message)
        old, content = self._existing(resource, request), request.content()
        if isinstance(content, list) is not (patch is patches.json_patch):
            raise status.bad_request(f"not a patch of type {request.content_type}: {content}")
        new = _object(resource, request, patch(_shown(resource, old), content))
        return self._replace(resource, request, old, new)

    def _apply(self, resource: Resource, request: Request) -> Answer:
        wanted = _object(resource, request, request.content())
        if not request.query.get("fieldManager"):
            why = "Required value: is required for apply patch"
            cause = status.Cause("fieldManager", why, "FieldValueRequired")
            raise status.invalid("meta.k8s.io", "PatchOptions", "", [cause])
        if "managedFields" in wanted["metadata"]:
            raise status.bad_request("metadata.managedFields must be nil")
        if resource.has_status:
            wanted = admission.without_status(wanted)
        if not resource.custom:
            fields.refuse_keyed_lists(wanted)
        manager = _manager(resource, request, "Apply")
        old = self._find(resource, request)
        if old is None:
            self._authorize(request, "create")
            return self._add(resource, fields.applied(None, wanted, manager, force=False))
        _check_identity(resource, old, wanted["metadata"])
        force = request.query.get("force") == "true"
        return self._put(resource, old, fields.applied(old, wanted, manager, force))

    def _delete(self, resource: Resource, request: Request) -> Answer:
        old = self._existing(resource, request)
        options: Object = request.content() if request.body else {}
        if options.get("dryRun"):
            raise status.not_done("dry runs")
        if options.get("propagationPolicy", "Background") != "Background":
            raise status.not_done(f"deletion with policy {options['propagationPolicy']}")
        _check_identity(resource, old, options.get("preconditions") or {})
        self._remove(old)
        if resource.kind in _RETURNED_WHEN_DELETED:
            return Answer(200, _shown(resource, old))
        return Answer(200, status.deleted(resource, old))

    def _delete_collection(self, resource: Resource, request: Request) -> Answer:
        selected = self._selected(resource, request)
        for obj in selected:
            self._remove(obj)
        return Answer(200, self._listing(resource, selected))

    def _find(self, resource: Resource, request: Request) -> Object | None:
        target = request.target
        return self._store.get(resource.kind, target.namespace, target.name or "")

    def _existing(self, resource: Resource, request: Request) -> Object:
        if found := self._find(resource, request):
            return found
        raise status.not_found(resource, request.target.name or "")

    def _selected(self, resource: Resource, request: Request) -> list[Object]:
        within = _within(resource, request)
        return [obj for obj in self._store.list(resource.kind) if within(obj)]

    def _listing(self, resource: Resource, items: list[Object]) -> Object:
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": str(self._store.version)},
            "items": [_shown(resource, item) for item in items],
        }

    def _add(self, resource: Resource, new: Object) -> Answer:
        namespace, name = new["metadata"].get("namespace"), new["metadata"].get("name", "")
        if namespace and self._store.get("Namespace", None, namespace) is None:
            raise status.not_found(_NAMESPACES, namespace)
        if self._store.get(resource.kind, namespace, name):
            raise status.already_exists(resource, name)
        return self._put(resource, None, new)

    def _replace(self, resource: Resource, request: Request, old: Object, new: Object) -> Answer:
        _check_identity(resource, old, new["metadata"])
        if resource.has_status:
            new = admission.without_status(new) | {f: old[f] for f in ("status",) if f in old}
        return self._put(resource, old, fields.written(old, new, _manager(resource, request)))

    def _put(self, resource: Resource, old: Object | None, new: Object) -> Answer:
        new = admission.admitted(resource, new, old)
        if resource.kind == "CustomResourceDefinition" and self._is_taken(new["spec"]):
            raise status.not_done("two kinds of one name")
        stored = self._store.put({**new, "apiVersion": resource.api_version(resource.stored)})
        return Answer(200 if old else 201, _shown(resource, stored))

    def _is_taken(self, spec: Object) -> bool:
        others = (r for r in served(self._store) if r.group != spec["group"])
        return spec["names"]["kind"] in {other.kind for other in others}

    def _remove(self, obj: Object) -> None:
        metadata = obj["metadata"]
        self._store.delete(obj["kind"], metadata.get("namespace"), metadata["name"])


def _object(resource: Resource, request: Request, content: Any) -> Object:
    """Return the content of a request as an object with the kind, namespace and name of its URL."""
    if not patches.is_map(content):
        raise status.bad_request(f"the object provided is unrecognized: {content}")
    if not patches.is_map(content.setdefault("metadata", {})):
        raise admission.undecodable(resource, "metadata is not a map")
    target = request.target
    _must_be(content, "apiVersion", resource.api_version())
    _must_be(content, "kind", resource.kind)
    if target.namespace:
        _must_be(content["metadata"], "namespace", target.namespace)
    if target.name:
        _must_be(content["metadata"], "name", target.name)
    strict = request.query.get("fieldValidation") == "Strict"
    return admission.decoded(resource, content, strict=strict)


def _must_be(obj: Object, field: str, value: str) -> None:
    if obj.setdefault(field, value) == value:
        return
    message = f"the {field} of the object ({obj[field]}) does not match the {field} on the URL"
    if field == "namespace":
        message = "the namespace of the provided object does not match the namespace sent on the"
        raise status.bad_request(f"{message} request")
    raise status.bad_request(f"{message} ({value})")


def _check_identity(resource: Resource, old: Object, seen: Object) -> None:
    """Refuse a write by a client that has read another object, or another version of it."""
    found = old["metadata"]
    if seen.get("uid", found["uid"]) != found["uid"]:
        raise status.another(resource, found["name"], seen["uid"], found["uid"])
    if seen.get("resourceVersion", found["resourceVersion"]) != found["resourceVersion"]:
        raise status.modified(resource, found["name"])


def _within(resource: Resource, request: Request) -> Matches:
    """Return the predicate that selects the objects of a list or a watch."""
    namespace, selected = request.target.namespace, by_query(resource.kind, request.query)
    return lambda obj: namespace in (None, obj["metadata"].get("namespace")) and selected(obj)


def _shown(resource: Resource, obj: Object) -> Object:
    return {**obj, "apiVersion": resource.api_version()}


def _manager(resource: Resource, request: Request, operation: str = "Update") -> fields.Manager:
    return request.manager, operation, resource.api_version()
