"""The Kubernetes API that KUBECONFIG names."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import lightkube
from lightkube.core.exceptions import ApiError, ConfigError

_HTTPError: type[Exception] = ApiError.__mro__[2]
"""The base of all errors of the HTTP client, which lightkube takes from httpx or httpx2."""


class UnknownError(Exception):
    """Kubernetes gave no answer. The message says why."""


@contextmanager
def ask(namespace: str) -> Generator[lightkube.Client]:
    """Open a client for a namespace.

    Raises:
        UnknownError: there is no KUBECONFIG, or the API does not answer.
    """
    try:
        with lightkube.Client(namespace=namespace) as client:
            yield client
    except (ConfigError, _HTTPError) as error:
        raise UnknownError(str(error)) from error


def objects(client: lightkube.Client, kind: Any) -> list[dict[str, Any]]:
    """Return the objects of a kind in the namespace of a client."""
    found: Any = client.list(kind)  # pyright: ignore[reportUnknownMemberType] - as lightkube has it
    return [each.to_dict() for each in found]


def name(found: dict[str, Any]) -> str:
    """Return the name of an object."""
    return str(found["metadata"]["name"])
