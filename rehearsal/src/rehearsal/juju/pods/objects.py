"""The objects that Juju writes to Kubernetes for models, applications and units."""

from rehearsal.juju.model.state import CONTROLLER_UUID, Application, Model, Unit
from rehearsal.juju.pods.events import NODE
from rehearsal.juju.pods.pod_spec import pod_spec
from rehearsal.kubernetes.store import Object

_NAME = "app.kubernetes.io/name"
_MANAGED = {"app.kubernetes.io/managed-by": "juju"}
_PLACEHOLDER = {"name": "placeholder", "port": 65535, "protocol": "TCP"}
"""Port of a Service whose charm has opened no ports."""
_RBAC = "rbac.authorization.k8s.io"
_ANYTHING = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
_READ_NAMESPACES = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}
_UNTRUSTED = (
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "patch"]},
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
)


def namespace(model: Model) -> Object:
    """Return the namespace of a model."""
    labels = _MANAGED | {"model.juju.is/id": model.uuid, "model.juju.is/name": model.name}
    metadata = {"name": model.name, "labels": labels, "annotations": _identifiers(model)}
    kind = {"apiVersion": "v1", "kind": "Namespace"}
    return {**kind, "metadata": metadata, "status": {"phase": "Active"}}


def of_application(app: Application) -> list[Object]:
    """Return the objects of an application, in the order in which Juju writes them."""
    return [*_access(app), _service(app), _headless_service(app), _stateful_set(app)]


def pod(unit: Unit, template: Object, revision: str) -> Object:
    """Return the pod that the StatefulSet controller makes for a unit.

    Args:
        unit: the unit.
        template: the pod template.
        revision: the name of the template's revision.
    """
    metadata, app = template["metadata"], unit.app
    labels = metadata["labels"] | {
        "controller-revision-hash": revision,
        "statefulset.kubernetes.io/pod-name": unit.pod_name,
    }
    names = {"name": unit.pod_name, "namespace": app.model.name}
    network = {"hostname": unit.pod_name, "subdomain": f"{app.name}-endpoints", "nodeName": NODE}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **names, "labels": labels},
        "spec": template["spec"] | network,
    }


def _identifiers(model: Model) -> Object:
    return {"controller.juju.is/id": CONTROLLER_UUID, "model.juju.is/id": model.uuid}


def _annotations(app: Application) -> Object:
    return _identifiers(app.model) | {"juju.is/version": app.model.juju.number}


def _selector(app: Application) -> Object:
    return {_NAME: app.name}


def _namespaced(app: Application, api_version: str, kind: str, name: str) -> Object:
    found = _cluster_wide(app, api_version, kind, name)
    return found | {"metadata": found["metadata"] | {"namespace": app.model.name}}


def _cluster_wide(app: Application, api_version: str, kind: str, name: str) -> Object:
    labels, annotations = _selector(app) | _MANAGED, _annotations(app)
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _stateful_set(app: Application) -> Object:
    return _namespaced(app, "apps/v1", "StatefulSet", app.name) | {
        "spec": {
            "replicas": app.scale,
            "serviceName": f"{app.name}-endpoints",
            "podManagementPolicy": "Parallel",
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain",
                "whenScaled": "Retain",
            },
            "selector": {"matchLabels": _selector(app)},
            "template": {
                "metadata": {"labels": _selector(app), "annotations": _annotations(app)},
                "spec": pod_spec(app),
            },
        }
    }


def _service(app: Application) -> Object:
    opened = sorted({port for unit in app.units.values() for port in unit.ports})
    ports = [
        {"name": f"juju-{n}-{protocol}", "port": n, "targetPort": n, "protocol": protocol.upper()}
        for protocol, n in opened
    ]
    spec = {"clusterIP": app.address, "type": "ClusterIP", "selector": _selector(app)}
    return _namespaced(app, "v1", "Service", app.name) | {
        "spec": spec | {"ports": ports or [_PLACEHOLDER]}
    }


def _headless_service(app: Application) -> Object:
    """Return the Service that gives each pod a name, and has no ports."""
    return _namespaced(app, "v1", "Service", f"{app.name}-endpoints") | {
        "spec": {
            "clusterIP": "None",
            "type": "ClusterIP",
            "selector": _selector(app),
            "publishNotReadyAddresses": True,
        }
    }


def _access(app: Application) -> list[Object]:
    """Return the ServiceAccount and its rights: all rights with trust, otherwise few.

    An application without trust may read every namespace, not just its own.
    """
    name, qualified = app.name, f"{app.model.name}-{app.name}"
    own_namespace = _READ_NAMESPACES | {"resourceNames": [app.model.name]}
    in_namespace = [_ANYTHING] if app.trust else [own_namespace, *_UNTRUSTED]
    in_cluster = [_ANYTHING] if app.trust else [_READ_NAMESPACES]
    version = f"{_RBAC}/v1"
    return [
        _namespaced(app, "v1", "ServiceAccount", name) | {"automountServiceAccountToken": False},
        _namespaced(app, version, "Role", name) | {"rules": in_namespace},
        _namespaced(app, version, "RoleBinding", name) | _binding(app, "Role", name),
        _cluster_wide(app, version, "ClusterRole", qualified) | {"rules": in_cluster},
        _cluster_wide(app, version, "ClusterRoleBinding", qualified)
        | _binding(app, "ClusterRole", qualified),
    ]


def _binding(app: Application, kind: str, name: str) -> Object:
    account = {"kind": "ServiceAccount", "name": app.name, "namespace": app.model.name}
    role = {"apiGroup": _RBAC, "kind": kind, "name": name}
    return {"roleRef": role, "subjects": [account]}
