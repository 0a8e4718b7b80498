"""The content of a map: models with applications, relations, policies, calls and accesses."""

import re
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, order=True)
class Name:
    """The name of an application, with its model."""

    model: str
    app: str

    def __str__(self) -> str:
        return f"{self.app} of {self.model}"


@dataclass(frozen=True)
class Application:
    """An application of a model.

    Attributes:
        name: its name.
        charm: the name of its charm.
        units: its number of units.
        on_mesh: whether it is related to a mesh.
        status: its status, such as `active` or `blocked`.
        message: the message of that status.
    """

    name: Name
    charm: str
    units: int
    on_mesh: bool
    status: str
    message: str = ""

    @property
    def trouble(self) -> str:
        """The status with its message; empty for an application that is active."""
        calm = self.status in ("active", "unknown", "")
        return "" if calm else f"{self.status}: {self.message}".rstrip(": ")


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        name: its name.
        applications: its applications, except those that provide a mesh.
        meshes: its applications that provide a mesh.
        note: the limits of the enforcement, in words.
        enforcement: the kind of policies that enforces what the mesh decides.
    """

    name: str
    applications: tuple[Application, ...]
    meshes: tuple[Application, ...] = ()
    note: str = ""
    enforcement: str = ""


@dataclass(frozen=True)
class Relation:
    """A relation over which the requirer can call the provider.

    Attributes:
        requirer: the application that requires.
        requirer_endpoint: its endpoint.
        provider: the application that provides, in this model or in another.
        provider_endpoint: its endpoint.
        remote: the name of the provider in the requirer's model.
        interface: the interface.
        identity_endpoint: the offered endpoint that takes an identity; empty if there is none.
        ports: the ports that the provider's relation data names, if it was read.
    """

    requirer: Name
    requirer_endpoint: str
    provider: Name
    provider_endpoint: str
    remote: str
    interface: str
    identity_endpoint: str = ""
    ports: frozenset[int] = frozenset()

    @property
    def endpoints(self) -> tuple[str, str]:
        """The words by which juju commands in the requirer's model name the relation."""
        return (
            f"{self.remote}:{self.provider_endpoint}",
            f"{self.requirer.app}:{self.requirer_endpoint}",
        )


@dataclass(frozen=True)
class Policy:
    """One request that a mesh allows, or has refused to allow.

    Attributes:
        source: the application that may call.
        target: the application that may be called.
        request: methods, ports and paths in words, such as `GET :8080 /data`.
        on_units: whether it is for calls to a unit's own address, and not to the Service.
        refusal: the reason why the mesh refused the policy; empty if it is in force.
    """

    source: Name
    target: Name
    request: str
    on_units: bool = False
    refusal: str = ""

    def __str__(self) -> str:
        return f"{self.request} on units" if self.on_units else self.request

    @property
    def ports(self) -> frozenset[int]:
        """The allowed ports; none if every port is allowed."""
        return frozenset(int(port) for port in re.findall(r":(\d+)\b", self.request))

    def allows(self, call: "Call") -> bool:
        """Return whether the policy is for a call, by kind of target, port, method and path."""
        is_for_unit = call.unit != ""
        if is_for_unit is not self.on_units or (self.ports and call.port not in self.ports):
            return False
        words = self.request.split()
        methods = [word for word in words if word.replace(",", "").isupper()]
        paths = [word for word in words if word.startswith(("/", "*", "{"))]
        return _any_matches(methods, call.method) and _any_matches(paths, call.path)


def _any_matches(lists: list[str], text: str) -> bool:
    """Return whether text is in comma-separated lists with wildcards. Without a list, it is."""
    patterns = [re.escape(each) for words in lists for each in words.split(",")]
    expressions = [re.sub(r"(\\\*|\\\{\\\*+\\\})+", ".*", pattern) for pattern in patterns]
    return not lists or any(re.fullmatch(each, text) for each in expressions)


@dataclass(frozen=True)
class Call:
    """A call that was made.

    Attributes:
        source: the application that called.
        target: the application that was called.
        unit: the unit that was called by its own address; empty for a call to the Service.
        method: the HTTP method.
        port: the port.
        path: the path.
        result: the status code, or `denied`.
        reason: the reason for the result, in words.
        time: the time of day.
        is_explained: whether the reason is that of the mesh, which knows relations.
    """

    source: Name
    target: Name
    unit: str
    method: str
    port: int
    path: str
    result: str
    reason: str = ""
    time: str = ""
    is_explained: bool = False

    @property
    def is_denied(self) -> bool:
        """Whether the mesh denied the call."""
        return self.result == "denied"

    @property
    def request(self) -> str:
        """The method, port and path; the port alone for a unit, as a mesh decides by it alone."""
        return f":{self.port} on units" if self.unit else f"{self.method} :{self.port} {self.path}"


class State(str, Enum):
    """How a map shows an access. The value is a word that a newcomer knows."""

    ALLOWED = "allowed"
    OPEN = "open"
    WAITING = "waiting"
    RELATED = "related, not allowed"
    DENIED = "denied"


@dataclass(frozen=True)
class Access:
    """An edge of the map, from one application to another.

    Attributes:
        key: identifies it over time.
        source: the application that calls.
        target: the application that is called.
        state: whether its calls are allowed.
        relations: the endpoints of the target whose relations it comes from.
        requests: methods, ports and paths in words.
        reason: the reason for its state, in a few words.
        details: the policies, or the reason for each denied request, in sentences.
        command: the juju command that allows or removes it; empty if there is none.
    """

    key: str
    source: Name
    target: Name
    state: State
    relations: tuple[str, ...]
    requests: tuple[str, ...]
    reason: str
    details: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The state of models at one moment.

    Attributes:
        models: the models.
        relations: their relations, except those to a mesh and those that carry an identity.
        identities: the callers that send their identity, each with the application that gets it.
        policies: the policies of their meshes.
    """

    models: tuple[Model, ...] = ()
    relations: tuple[Relation, ...] = ()
    identities: frozenset[tuple[Name, Name]] = frozenset()
    policies: tuple[Policy, ...] = ()

    @property
    def applications(self) -> dict[Name, Application]:
        """The applications that a map shows, by name."""
        return {app.name: app for model in self.models for app in model.applications}


@dataclass(frozen=True)
class Map:
    """The models and accesses that a picture and a page show."""

    models: tuple[Model, ...]
    accesses: tuple[Access, ...]
