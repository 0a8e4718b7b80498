"""A question to the proxy: a request on which it decides without delivering it to a workload."""

import http.client
from base64 import b64encode
from contextlib import closing
from urllib.parse import urlsplit

from rehearsal.mesh.decision import Decision

_TIMEOUT = 5.0
"""Seconds that Envoy has to answer."""


class NotDecidedError(Exception):
    """The call reaches neither a Service nor a pod; the message is the answer of the proxy."""


def ask(proxy: str, header: str, number: int, method: str, url: str) -> Decision:
    """Return the decision on a call.

    Args:
        proxy: URL of the proxy of the pod that calls, with its token.
        header: name of the header that makes a request a question, with which the names of the
            headers in the answer begin.
        number: chooses the pod behind a Service.
        method: the HTTP method.
        url: the URL, which is sent unchanged.

    Raises:
        NotDecidedError: no listener decides on it.
    """
    there = urlsplit(proxy)
    token = b64encode(f"{there.username}:{there.password}".encode()).decode()
    connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=_TIMEOUT)
    with closing(connection):
        connection.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", urlsplit(url).netloc)
        connection.putheader("proxy-authorization", f"Basic {token}")
        connection.putheader(header, str(number))
        connection.endheaders()
        response = connection.getresponse()
        said = response.read().decode().strip()
    fields = {name.removeprefix(f"{header}-"): value for name, value in response.getheaders()}
    if "listener" not in fields:
        raise NotDecidedError(f"the proxy answers {response.status}: {said or response.reason}")
    return Decision.read(fields)
