"""The calls to try, derived from the Services, pods and policies in Kubernetes."""

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from rehearsal.kubernetes.store import Object, Store

PLACEHOLDER_PORT = 65535
"""The port that Juju gives a Service if its charm has opened none."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_TOKEN = re.compile("[A-Z]+")
"""The methods that a client can send; a policy may hold any text."""
_IN_PATH = "/%:@!$&'()*+,;="
"""The characters of a path that stay as they are, besides letters and digits."""
_LONGEST = 2000
"""The length of the longest path that is tried."""
_Request = tuple[str, str]
"""Method and path."""
_Operation = Mapping[str, Sequence[str]]
"""An operation of an AuthorizationPolicy: `ports`, `methods`, `paths` and their negations."""


@dataclass(frozen=True)
class Call:
    """A request on a Service, or on each of its pods at the pod's own address.

    Attributes:
        target: the Service.
        pods: addresses of the pods; empty for a call on the Service itself.
        named: whether a policy names it; the others are there to be denied.
    """

    target: str
    port: int
    method: str
    path: str
    pods: tuple[str, ...] = ()
    named: bool = False

    @property
    def title(self) -> str:
        """Its name in a table. At a pod's own address only the port counts."""
        return f"unit :{self.port}" if self.pods else f"{self.method} :{self.port} {self.path}"

    @property
    def urls(self) -> list[str]:
        """The target of the call."""
        return [f"http://{host}:{self.port}{self.path}" for host in self.pods or (self.target,)]


def read(store: Store, model: str) -> dict[str, list[Call]]:
    """Return the calls on each Service of a model; none if no port is open or named."""
    own = [obj for obj in store.list("Service", model) if _has_address(obj["spec"])]
    return {obj["metadata"]["name"]: list(_calls(obj, store)) for obj in own}


def _has_address(spec: Object) -> bool:
    return bool(spec.get("selector")) and spec.get("clusterIP", "None") != "None"


def _calls(service: Object, store: Store) -> Iterator[Call]:
    """Yield the calls on a Service, and on its pods at their own addresses."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    labels: Mapping[str, str] = service["spec"]["selector"]
    policies = store.list("AuthorizationPolicy", namespace)
    operations = list(_operations(each for each in policies if _targets(each, name)))
    opened = dict(_ports(service["spec"]))
    paths: dict[int, str] = {}
    for port in sorted({*opened, *_named(operations)}):
        requests = list(dict.fromkeys(_requests(operations, port)))
        paths[opened.get(port, port)] = requests[0][1] if requests else "/"
        yield from (Call(name, port, *request, named=True) for request in requests)
        yield from (Call(name, port, *request) for request in _others(requests))
    pods = store.list("Pod", namespace, labels)
    if ips := tuple(ip for pod in pods if (ip := pod.get("status", {}).get("podIP"))):
        of_pods = _named(_operations(each for each in policies if _selects(each, labels)))
        for port in sorted({*opened.values(), *of_pods}):
            yield Call(name, port, "GET", paths.get(port, "/"), ips)


def _ports(spec: Object) -> Iterator[tuple[int, int]]:
    """Yield each open port of a Service with its target port, except target ports with a name."""
    for port in _objects(spec, "ports"):
        target = port.get("targetPort") or port["port"]
        if port["port"] != PLACEHOLDER_PORT and isinstance(target, int):
            yield port["port"], target


def _targets(policy: Object, service: str) -> bool:
    spec: Object = policy.get("spec") or {}
    refs = [*_objects(spec, "targetRefs"), spec.get("targetRef") or {}]
    return any((ref.get("kind"), ref.get("name")) == ("Service", service) for ref in refs)


def _selects(policy: Object, labels: Mapping[str, str]) -> bool:
    spec: Object = policy.get("spec") or {}
    selector: Object = spec.get("selector") or {}
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return bool(wanted) and wanted.items() <= labels.items()


def _operations(policies: Iterable[Object]) -> Iterator[_Operation]:
    """Yield the calls that policies name."""
    for policy in policies:
        for rule in _objects(policy.get("spec") or {}, "rules"):
            yield from (to.get("operation") or {} for to in _objects(rule, "to"))


def _named(operations: Iterable[_Operation]) -> set[int]:
    """Return the ports that operations name."""
    ports = {port for operation in operations for port in operation.get("ports") or ()}
    numbers = {int(port) for port in ports if re.fullmatch("[0-9]{1,5}", port)}
    return {number for number in numbers if 0 < number < PLACEHOLDER_PORT}


def _objects(parent: Object, field: str) -> list[Object]:
    return parent.get(field) or []


def _requests(operations: Iterable[_Operation], port: int) -> Iterator[_Request]:
    """Yield an example of each request on a port that an operation names."""
    for operation in operations:
        if str(port) in (operation.get("ports") or [str(port)]):
            methods = operation.get("methods") or operation.get("notMethods") or ["GET"]
            paths = operation.get("paths") or operation.get("notPaths") or ["/"]
            tried = [path for path in map(_path, paths) if len(path) <= _LONGEST]
            yield from itertools.product(map(_method, methods), tried)


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
    """Return a method that fits, or GET if no client can send one that does."""
    known = fnmatch.filter(_METHODS, pattern.upper())
    method = known[0] if known else pattern.strip("*").upper()
    return method if _TOKEN.fullmatch(method) else "GET"


def _path(pattern: str) -> str:
    """Return a path that fits, if a client can send one.

    A `*` counts at one end, `{*}` and `{**}` as whole segments. The path begins with a slash, also
    if the pattern does not, and has only characters that a URL may have.
    """
    path = pattern.replace("{**}", "any").replace("{*}", "any")
    if path.startswith("*"):
        path = f"/any{path[1:]}" if path[1:] else "/"
    path = path.replace("/*", "/any").removesuffix("*")
    path = quote(path, safe=_IN_PATH, errors="replace")
    return path if path.startswith("/") else f"/{path}"
