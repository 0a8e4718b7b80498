"""Objects that the tests send. Without a namespace they go to the client's own."""

from typing import Any

from rehearsal.kubernetes.store import Object
from tests.kubernetes.kube import RBAC

GROUP = "security.istio.io"
NAME = "app.kubernetes.io/name"


def an_object(
    api_version: str, kind: str, name: str, place: str | None = None, **rest: Any
) -> Object:
    labels: Object | None = rest.pop("labels", None)
    metadata: Object = {"name": name}
    metadata |= {"namespace": place} if place else {}
    metadata |= {"labels": labels} if labels is not None else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def namespace(name: str) -> Object:
    return an_object("v1", "Namespace", name)


def config_map(
    name: str, place: str | None = None, labels: Object | None = None, **data: str
) -> Object:
    return an_object("v1", "ConfigMap", name, place, labels=labels, data=data)


def service_account(name: str, place: str | None = None) -> Object:
    return an_object("v1", "ServiceAccount", name, place)


def service(**spec: Any) -> Object:
    return an_object("v1", "Service", "a", spec=spec)


def container(name: str = "workload", **more: Any) -> Object:
    return {"name": name, "image": "image:1", **more}


def pod(name: str, place: str | None = None, *containers: Object) -> Object:
    spec = {"containers": list(containers) or [container()]}
    return an_object("v1", "Pod", name, place, spec=spec)


def stateful_set(**spec: Any) -> Object:
    """Return a StatefulSet with no replicas."""
    variables = [{"name": "A", "value": "1"}]
    template = {
        "metadata": {"labels": {NAME: "a"}},
        "spec": {"containers": [container(env=variables)]},
    }
    selector = {"matchLabels": {NAME: "a"}}
    given = {"serviceName": "a-endpoints", "selector": selector, "template": template}
    return an_object("apps/v1", "StatefulSet", "a", spec={"replicas": 0, **given, **spec})


def network_policy(place: str | None = None, **spec: Any) -> Object:
    return an_object("networking.k8s.io/v1", "NetworkPolicy", "deny", place, spec=spec)


def policy(name: str, labels: Object | None = None, group: str = GROUP, **spec: Any) -> Object:
    return an_object(f"{group}/v1", "AuthorizationPolicy", name, labels=labels, spec=spec)


def definition(group: str = GROUP, **more: Any) -> Object:
    """Return a CRD of AuthorizationPolicy with two served versions and one that is not served."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [("v1", True, True), ("v1beta1", True, False), ("v1alpha1", False, False)]
    singular, plural = "authorizationpolicy", "authorizationpolicies"
    names = {"kind": "AuthorizationPolicy", "plural": plural, "singular": singular}
    spec = {
        "group": group,
        "names": names,
        "scope": "Namespaced",
        "versions": [
            {"name": name, "served": served, "storage": storage, **more}
            | {"schema": {"openAPIV3Schema": schema}}
            for name, served, storage in versions
        ],
    }
    name = f"{plural}.{group}"
    return an_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, spec=spec)


def role(kind: str, name: str, *rules: dict[str, list[str]], place: str | None = None) -> Object:
    return an_object(f"{RBAC}/v1", kind, name, place, rules=list(rules))


def binding(kind: str, name: str, to: str, subject: Object, place: str | None = None) -> Object:
    reference = {"apiGroup": RBAC, "kind": to, "name": name}
    return an_object(f"{RBAC}/v1", kind, name, place, roleRef=reference, subjects=[subject])


def rule(verbs: str, group: str, resources: str, **more: list[str]) -> dict[str, list[str]]:
    return {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split(), **more}


def autoscaler(**spec: Any) -> Object:
    """Return an autoscaler of the StatefulSet web."""
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    about = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    return {**about, "metadata": {"name": "web"}, "spec": {"scaleTargetRef": target, **spec}}
