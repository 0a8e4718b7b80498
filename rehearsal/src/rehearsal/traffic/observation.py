"""Calls made as each application, through its pod's own proxy, and their results."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx

from rehearsal.traffic.calls import Call

DENIED, NO_ANSWER, NOT_OPEN, TIMEOUT = "denied", "no answer", "not open", "timeout"
"""The results of a call besides a status code."""
Observed = Mapping[tuple[str, Call], str]
"""The result by caller and call."""

_SECONDS = 2.0
"""How long one call may take."""
_PATIENCE, _PAUSE = 3.0, 0.1
"""Seconds that a workload has to start listening, and between two attempts."""
_AT_ONCE = 8
_PROXY_SAYS = {
    (403, "NetworkPolicy: access denied"): DENIED,
    (403, "RBAC: access denied"): DENIED,
    (502, "no Service and no pod"): NOT_OPEN,
    (503, "no healthy upstream"): NO_ANSWER,
    (503, "no pod of this Service"): NO_ANSWER,
    (503, "upstream connect error"): NO_ANSWER,
}
"""The beginnings of the mesh's own answers; all others are those of the application."""


def observe(proxies: Mapping[str, str], calls: Sequence[Call]) -> Observed:
    """Make each call as each caller.

    Args:
        proxies: by caller, the URL of its pod's proxy.
        calls: the calls to make.
    """
    deadline = time.monotonic() + _PATIENCE
    pairs = [(caller, call) for call in calls for caller in proxies]
    # No connection is used twice, so that the result of a call does not affect the next one.
    limits = httpx.Limits(max_keepalive_connections=0)
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(
                httpx.Client(proxy=url, trust_env=False, timeout=_SECONDS, limits=limits)
            )
            for name, url in proxies.items()
        }
        pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE))
        results = [pool.submit(_call, clients[caller], call, deadline) for caller, call in pairs]
        return {pair: result.result() for pair, result in zip(pairs, results, strict=True)}


def _call(client: httpx.Client, call: Call, deadline: float) -> str:
    """Return the result of a call, or one for each pod if the pods differ."""
    results = [_patiently(client, call.method, url, deadline) for url in call.urls]
    return ", ".join(dict.fromkeys(results))


def _patiently(client: httpx.Client, method: str, url: str, deadline: float) -> str:
    while True:
        result = _once(client, method, url)
        if result != NO_ANSWER or time.monotonic() > deadline:
            return result
        time.sleep(_PAUSE)


def _once(client: httpx.Client, method: str, url: str) -> str:
    try:
        with client.stream(method, url) as response:  # the answer may have no end
            if response.status_code not in {status for status, _ in _PROXY_SAYS}:
                return str(response.status_code)
            response.read()
    except httpx.TimeoutException:
        return TIMEOUT
    except httpx.TransportError:
        return NO_ANSWER
    return _who_says(response)


def _who_says(response: httpx.Response) -> str:
    for (status, start), result in _PROXY_SAYS.items():
        if response.status_code == status and response.text.startswith(start):
            return result
    return str(response.status_code)
