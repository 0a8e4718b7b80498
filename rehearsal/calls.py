"""Which calls are worth trying, by the Services, pods and policies that Kubernetes has."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rehearsal.kubernetes.store import Object, Store

_PLACEHOLDER_PORT = 65535
"""What Juju gives a Service whose charm has opened no port."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_Request = tuple[str, str]
"""Method and path."""
_Operation = Mapping[str, Sequence[str]]
"""Of an AuthorizationPolicy: `ports`, `methods`, `paths` and what they must not be."""


@dataclass(frozen=True)
class Call:
    """A request on a Service, or on each of its pods at the pod's own address.

    Attributes:
        target: the Service.
        pods: addresses of the pods; empty for a call on the Service itself.
        named: whether a policy names it, rather than being there to be denied.
    """

    target: str
    port: int
    method: str
    path: str
    pods: tuple[str, ...] = ()
    named: bool = False

    @property
    def title(self) -> str:
        """What it is called in a table; at a pod's own address the port alone counts."""
        return f"unit :{self.port}" if self.pods else f"{self.method} :{self.port} {self.path}"

    @property
    def urls(self) -> list[str]:
        """Where it goes."""
        return [f"http://{host}:{self.port}{self.path}" for host in self.pods or (self.target,)]


def read(store: Store, model: str) -> dict[str, list[Call]]:
    """Return the calls on each Service of a model; none where no port is open or named."""
    own = [obj for obj in store.list("Service", model) if _has_address(obj["spec"])]
    return {obj["metadata"]["name"]: list(_calls(obj, store)) for obj in own}


def _has_address(spec: Object) -> bool:
    return bool(spec.get("selector")) and spec.get("clusterIP", "None") != "None"


def _calls(service: Object, store: Store) -> Iterator[Call]:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    opened = dict(_ports(service["spec"]))
    operations = list(_operations(store.list("AuthorizationPolicy", namespace), name))
    ports = {port for operation in operations for port in operation.get("ports", ())}
    named = {int(port) for port in ports if port.isdigit()}
    paths: dict[int, str] = {}
    for port in sorted({*opened, *named}):
        requests = list(dict.fromkeys(_requests(operations, port)))
        paths[opened.get(port, port)] = requests[0][1] if requests else "/"
        for method, path in requests:
            yield Call(name, port, method, path, named=True)
        for method, path in _others(requests):
            yield Call(name, port, method, path)
    pods = store.list("Pod", namespace, service["spec"]["selector"])
    if ips := tuple(ip for pod in pods if (ip := pod.get("status", {}).get("podIP"))):
        for port in sorted(set(opened.values())):
            yield Call(name, port, "GET", paths[port], ips)


def _ports(spec: Object) -> Iterator[tuple[int, int]]:
    """Yield each open port of a Service and where it leads, unless that is a port by name."""
    for port in _objects(spec, "ports"):
        target = port.get("targetPort") or port["port"]
        if port["port"] != _PLACEHOLDER_PORT and isinstance(target, int):
            yield port["port"], target


def _operations(policies: Iterable[Object], service: str) -> Iterator[_Operation]:
    """Yield what the policies that target a Service say of its calls."""
    for policy in policies:
        spec: Object = policy.get("spec") or {}
        if service in {ref.get("name") for ref in _objects(spec, "targetRefs")}:
            for rule in _objects(spec, "rules"):
                yield from (to.get("operation") or {} for to in _objects(rule, "to"))


def _objects(parent: Object, field: str) -> list[Object]:
    return parent.get(field) or []


def _requests(operations: Iterable[_Operation], port: int) -> Iterator[_Request]:
    """Yield an example of each request on a port that an operation names."""
    for operation in operations:
        if str(port) in operation.get("ports", [str(port)]):
            methods = operation.get("methods") or operation.get("notMethods") or ["GET"]
            paths = operation.get("paths") or operation.get("notPaths") or ["/"]
            yield from itertools.product(map(_method, methods), map(_path, paths))


def _others(requests: Sequence[_Request]) -> list[_Request]:
    """Return two requests that are not named, by their path and by their method."""
    if not requests:
        return [("GET", "/")]
    method, path = requests[0]
    methods, paths = ({request[i] for request in requests} for i in (0, 1))
    numbered = itertools.chain(["/other"], (f"/other{n}" for n in itertools.count(2)))
    other_path = next(each for each in numbered if each not in paths)
    other_methods = [each for each in _METHODS if each not in methods]
    return [*((each, path) for each in other_methods[:1]), (method, other_path)]


def _method(pattern: str) -> str:
    return pattern.strip("*") or "GET"


def _path(pattern: str) -> str:
    """Return a path that fits: `*` at one end, or `{*}` and `{**}` as whole segments."""
    path = pattern.replace("{**}", "any").replace("{*}", "any")
    if path.startswith("*"):
        return f"/any{path[1:]}" if path[1:] else "/"
    return path.replace("/*", "/any").removesuffix("*")
