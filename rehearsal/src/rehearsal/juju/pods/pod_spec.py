"""The pod specification that Juju writes into the StatefulSet of an application."""

from typing import Any

from rehearsal.juju.model.state import Application
from rehearsal.kubernetes.store import Object

_IMAGES = "ghcr.io/juju"
_FIRST_PORT = 38812
"""Port on which Pebble of the charm's container answers; each further container has the next."""
_DATA = "charm-data"
_AGENT, _BIN, _CONTAINERS = "var/lib/juju", "charm/bin", "charm/containers"
_PEBBLE, _PROFILE = "containeragent/pebble", "containeragent/etc/profile.d"
_DEFAULTS: Object = {
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
"""Fields that the API server adds to each container."""


def pod_spec(app: Application) -> Object:
    """Return the specification of the pods of an application."""
    workloads = enumerate(app.charm.containers, _FIRST_PORT + 1)
    return {
        "automountServiceAccountToken": True,
        "containers": [_charm(app), *(_workload(app, name, port) for port, name in workloads)],
        "dnsPolicy": "ClusterFirst",
        "initContainers": [_init_container(app)],
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": app.name,
        "serviceAccountName": app.name,
        "terminationGracePeriodSeconds": 30,
        "volumes": [{"name": _DATA, "emptyDir": {}}],
    }


def _charm(app: Application) -> Object:
    """Return the container in which the agent and the charm's code run."""
    mounts = [
        _mount("/charm/bin", _BIN, read_only=True),
        _mount(f"/{_AGENT}", _AGENT),
        _mount(f"/{_CONTAINERS}", _CONTAINERS),
        _mount("/var/lib/pebble/default", _PEBBLE),
        _mount("/var/log/juju", "containeragent/var/log/juju"),
        _mount("/usr/bin/juju-introspect", f"{_BIN}/containeragent", read_only=True),
        _mount("/usr/bin/juju-exec", f"{_BIN}/containeragent", read_only=True),
        _mount(
            "/etc/profile.d/juju-introspection.sh",
            f"{_PROFILE}/juju-introspection.sh",
            read_only=True,
        ),
    ]
    return _pebble("charm", f"{_IMAGES}/charm-base:ubuntu-24.04", _FIRST_PORT, mounts) | {
        "env": [
            {"name": "JUJU_CONTAINER_NAMES", "value": ",".join(app.charm.containers)},
            {"name": "HTTP_PROBE_PORT", "value": "3856"},
        ],
        "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "64Mi"}},
        "workingDir": f"/{_AGENT}",
    }


def _workload(app: Application, name: str, port: int) -> Object:
    """Return a container of the workload; its image is a resource, often of another name."""
    mounts = [
        _mount("/charm/bin/pebble", f"{_BIN}/pebble", read_only=True),
        _mount("/charm/container", f"{_CONTAINERS}/{name}"),
    ]
    resource = app.charm.container_resources.get(name, name)
    variables = {
        "JUJU_CONTAINER_NAME": name,
        "PEBBLE_SOCKET": "/charm/container/pebble.socket",
        "PEBBLE": "/charm/container/pebble",
        "PEBBLE_COPY_ONCE": "/var/lib/pebble/default",
    }
    made = _pebble(name, app.images.get(resource, ""), port, mounts, "--create-dirs", "--hold")
    return made | {"env": [{"name": key, "value": value} for key, value in variables.items()]}


def _pebble(name: str, image: str, port: int, mounts: list[Object], *options: str) -> Object:
    """Return a container whose first process is Pebble."""
    return {
        **_DEFAULTS,
        "name": name,
        "image": image,
        "command": ["/charm/bin/pebble"],
        "args": ["run", *options, "--http", f":{port}", "--verbose"],
        "resources": {},
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        "startupProbe": _probe("alive", port, period=1, failures=30),
        "livenessProbe": _probe("alive", port, period=5, failures=3),
        "readinessProbe": _probe("ready", port, period=5, failures=1),
        "volumeMounts": mounts,
    }


def _probe(level: str, port: int, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": f"/v1/health?level={level}", "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }


def _init_container(app: Application) -> Object:
    """Return the container whose arguments change when the charm does, so that pods restart."""
    options: dict[str, Any] = {
        "--containeragent-pebble-dir": f"/{_PEBBLE}",
        "--charm-modified-version": app.charm.revision,
        "--data-dir": f"/{_AGENT}",
        "--bin-dir": "/charm/bin",
        "--profile-dir": f"/{_PROFILE}",
    }
    shared = (_AGENT, _BIN, _CONTAINERS, _PEBBLE, _PROFILE)
    return {
        **_DEFAULTS,
        "name": "charm-init",
        "image": f"{_IMAGES}/jujud-operator:{app.model.juju.number}",
        "command": ["/opt/containeragent"],
        "args": ["init", *(str(word) for option in options.items() for word in option)],
        "resources": {},
        "volumeMounts": [_mount(f"/{folder}", folder) for folder in shared],
        "workingDir": f"/{_AGENT}",
    }


def _mount(path: str, folder: str, *, read_only: bool = False) -> Object:
    """Return the mount of a folder of the volume that the containers of a pod share."""
    mount: Object = {"mountPath": path, "name": _DATA, "subPath": folder}
    return mount | {"readOnly": True} if read_only else mount
