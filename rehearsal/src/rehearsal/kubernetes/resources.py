"""Resources: their URLs, and their kinds, built in or from CustomResourceDefinitions."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rehearsal.kubernetes.store import Object, Store


@dataclass(frozen=True)
class Target:
    """The target of a request: one object, or all objects of a kind if `name` is None.

    Attributes:
        namespace: None for an object without a namespace, and for all namespaces.
        subresource: empty for the object itself.
        selected: name of the only object that the field selector of a list or a watch leaves.
    """

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str | None = None
    subresource: str = ""
    selected: str | None = None

    @property
    def resource(self) -> str:
        """The name that roles use, such as `pods/exec`."""
        return f"{self.plural}/{self.subresource}".rstrip("/")

    @property
    def scope(self) -> str | None:
        """The namespace whose Roles count. A Namespace lies in itself, a list of them does not."""
        return self.name if (self.group, self.plural) == ("", "namespaces") else self.namespace


@dataclass(frozen=True)
class Resource:
    """A kind in one version, and how it is served.

    The store keeps objects in the version `stored`. If `has_status` is set, the status is a
    subresource, and writing the object does not change it. `subresources` are the others. `schema`
    and `columns` are those of a custom resource.
    """

    group: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    has_status: bool = False
    custom: bool = False
    version: str = "v1"
    stored: str = "v1"
    subresources: tuple[str, ...] = ()
    schema: Object = field(default_factory=Object, compare=False)
    columns: tuple[Object, ...] = field(default=(), compare=False)

    def api_version(self, version: str | None = None) -> str:
        """Return the apiVersion of an object of this kind, in its own version by default."""
        return f"{self.group}/{version or self.version}".removeprefix("/")

    @property
    def root(self) -> str:
        """The beginning of all URLs of its group and version."""
        return f"apis/{self.api_version()}" if self.group else f"api/{self.version}"


_POD = (
    *("attach", "binding", "ephemeralcontainers", "eviction", "exec", "log"),
    *("portforward", "proxy", "resize"),
)
_RBAC = "rbac.authorization.k8s.io"
_CRD = "CustomResourceDefinition"
_HPA = "HorizontalPodAutoscaler"

_BUILT_IN = (
    Resource("", "ConfigMap", "configmaps", short=("cm",)),
    Resource("", "Event", "events", short=("ev",)),
    Resource("", "Namespace", "namespaces", False, ("ns",), True, subresources=("finalize",)),
    Resource("", "Node", "nodes", False, ("no",), True, subresources=("proxy",)),
    Resource("", "Pod", "pods", short=("po",), has_status=True, subresources=_POD),
    Resource("", "Secret", "secrets"),
    Resource("", "Service", "services", True, ("svc",), True, subresources=("proxy",)),
    Resource("", "ServiceAccount", "serviceaccounts", short=("sa",), subresources=("token",)),
    Resource("apiextensions.k8s.io", _CRD, f"{_CRD.lower()}s", False, ("crd",), has_status=True),
    Resource("apps", "StatefulSet", "statefulsets", True, ("sts",), True, subresources=("scale",)),
    Resource(
        "autoscaling", _HPA, f"{_HPA.lower()}s", True, ("hpa",), True, version="v2", stored="v2"
    ),
    Resource("networking.k8s.io", "Ingress", "ingresses", True, ("ing",), True),
    Resource("networking.k8s.io", "NetworkPolicy", "networkpolicies", short=("netpol",)),
    Resource(_RBAC, "ClusterRole", "clusterroles", False),
    Resource(_RBAC, "ClusterRoleBinding", "clusterrolebindings", False),
    Resource(_RBAC, "Role", "roles"),
    Resource(_RBAC, "RoleBinding", "rolebindings"),
)


def served(store: Store) -> list[Resource]:
    """Return every kind in every version that the API serves now."""
    return [*_BUILT_IN, *(r for crd in store.list(_CRD) for r in _custom(crd["spec"]))]


def find(store: Store, target: Target) -> Resource | None:
    """Return the kind of a target, or None."""
    wanted = (target.group, target.version, target.plural)
    return next((r for r in served(store) if (r.group, r.version, r.plural) == wanted), None)


def target_of(path: str) -> Target | None:
    """Return the target that the path of a URL names, or None if it does not name a resource."""
    match path.strip("/").split("/"):
        case ["api", version, *rest]:
            return _target("", version, rest)
        case ["apis", group, version, *rest]:
            return _target(group, version, rest)
        case _:
            return None


def _target(group: str, version: str, rest: list[str]) -> Target | None:
    namespace = None
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    match rest:
        case [plural]:
            return Target(group, version, plural, namespace)
        case [plural, name, *subresource]:
            return Target(group, version, plural, namespace, name, "/".join(subresource))
        case _:
            return None


def _custom(spec: Object) -> Iterator[Resource]:
    names = spec["names"]
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    for version in spec["versions"]:
        if version.get("served"):
            yield Resource(
                group=spec["group"],
                kind=names["kind"],
                plural=names["plural"],
                namespaced=spec["scope"] == "Namespaced",
                short=tuple(names.get("shortNames", ())),
                has_status="status" in version.get("subresources", {}),
                custom=True,
                version=version["name"],
                stored=stored,
                subresources=("scale",) if "scale" in version.get("subresources", {}) else (),
                schema=version["schema"]["openAPIV3Schema"],
                columns=tuple(version.get("additionalPrinterColumns", ())),
            )
