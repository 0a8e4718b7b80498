"""A client's request, and its answer."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rehearsal import fast_yaml
from rehearsal.kubernetes.resources import Target
from rehearsal.kubernetes.status import StatusError, bad_request, not_done
from rehearsal.kubernetes.store import Object

_VERBS = {
    ("GET", False): "list",
    ("GET", True): "get",
    ("POST", False): "create",
    ("PUT", True): "update",
    ("PATCH", True): "patch",
    ("DELETE", True): "delete",
    ("DELETE", False): "deletecollection",
}
_NUMBERS = ("limit", "resourceVersion", "tailLines", "timeoutSeconds")
_NOT_DONE = {"dryRun": "dry runs", "sendInitialEvents": "lists that are sent by a watch"}


@dataclass(frozen=True)
class Request:
    """A request for a resource.

    Attributes:
        user: `system:serviceaccount:<namespace>:<name>`, or the admin.
        method: of HTTP.
        target: the resource.
        query: the parameters of the URL.
        content_type: of the body, without its parameters.
        body: as it came.
        agent: the client's name for itself.
        accept: the content types that the client takes, as it names them.
    """

    user: str
    method: str
    target: Target
    query: Mapping[str, str]
    content_type: str
    body: bytes
    agent: str
    accept: str = ""

    @property
    def verb(self) -> str:
        """The verb of Kubernetes, such as `list` or `deletecollection`; empty if there is none."""
        if self.method == "POST" and self.target.subresource:
            return "create"
        watched = self.method == "GET" and self.query.get("watch") in ("1", "true")
        return "watch" if watched else _VERBS.get((self.method, self.target.name is not None), "")

    @property
    def manager(self) -> str:
        """The name under which fields are managed."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0]

    def check(self) -> None:
        """Check the parameters of the URL.

        Raises:
            StatusError: 400 for one that cannot be read, 501 for one that would change the meaning
                of the request in a way that is not done here.
        """
        for name in _NUMBERS:
            if not self.query.get(name, "0").isdecimal() and self.query[name]:
                raise bad_request(f"{name}: Invalid value: {json.dumps(self.query[name])}")
        if self.query.get("continue"):
            raise bad_request("invalid continue token: here a list comes whole")
        if self.query.get("resourceVersionMatch") == "Exact":
            raise not_done("lists of the past")
        for name, what in _NOT_DONE.items():
            if name in self.query:
                raise not_done(what)

    def content(self) -> Any:
        """Return the body, parsed as JSON or, for the content types of YAML, as YAML.

        Raises:
            StatusError: 400 if it is not that, 415 for another content type, 501 for protobuf.
        """
        if self.content_type.endswith("protobuf"):
            raise not_done("protobuf: send JSON, as kubectl create -f does")
        if not self.content_type.endswith(("json", "yaml")):
            message = "the body of the request was in an unknown format - accepted media types"
            types = "application/json, application/yaml"
            raise StatusError(415, "UnsupportedMediaType", f"{message} include: {types}")
        try:
            return self._decoded()
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from error

    def _decoded(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:  # most bodies that are called YAML are JSON, which parses much faster
            if self.content_type.endswith("json"):
                raise
            return fast_yaml.load(self.body)


@dataclass(frozen=True)
class Answer:
    """An answer: a status code with an object, a text, or the events of a watch."""

    code: int
    body: Object | str | Iterator[Object]


NOT_SERVED = Answer(404, "404 page not found\n")
NOT_FOUND = StatusError(
    404, "NotFound", "the server could not find the requested resource", details={}
)
NOT_ALLOWED = StatusError(
    405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
)
