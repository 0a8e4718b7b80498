"""A request of a client, and what it gets."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

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


@dataclass(frozen=True)
class Request:
    """Somebody's wish to do something with a resource.

    Attributes:
        user: `system:serviceaccount:<namespace>:<name>`, or the admin.
        method: of HTTP.
        target: the resource.
        query: the parameters of the URL.
        content_type: of the body, without its parameters.
        body: as it came.
        agent: the client's name for itself.
    """

    user: str
    method: str
    target: Target
    query: Mapping[str, str]
    content_type: str
    body: bytes
    agent: str

    @property
    def verb(self) -> str:
        """The verb of Kubernetes, such as `list` or `deletecollection`; empty if there is none."""
        watched = self.method == "GET" and self.query.get("watch") in ("1", "true")
        return "watch" if watched else _VERBS.get((self.method, self.target.name is not None), "")

    @property
    def manager(self) -> str:
        """The name under which fields are managed."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0]

    def content(self) -> Any:
        """Return the body, read as JSON or, for the content types of YAML, as YAML.

        Raises:
            StatusError: 400 if it is neither, 501 if it is protobuf.
        """
        if self.content_type.endswith("protobuf"):
            raise not_done("protobuf: send JSON, as kubectl create -f does")
        try:
            is_yaml = self.content_type.endswith("yaml") and not self.body.startswith(b"{")
            return yaml.safe_load(self.body) if is_yaml else json.loads(self.body)
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from error


@dataclass(frozen=True)
class Answer:
    """What a request gets: a status code with an object, a text, or the events of a watch."""

    code: int
    body: Object | str | Iterator[Object]


NOT_SERVED = Answer(404, "404 page not found\n")
NOT_ALLOWED = StatusError(
    405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
)
