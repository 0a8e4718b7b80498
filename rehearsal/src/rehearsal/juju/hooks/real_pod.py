"""The pod as charm code finds it: its names, its address and its way to others."""

import os
import socket
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

from rehearsal.juju.hooks.messages import ACCOUNT, HookContext
from rehearsal.juju.hooks.real_containers import replaced
from rehearsal.juju.pods.unit_command import BIND_ADDRESS

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOOPBACK = ("localhost", "127.0.0.1")
_UNKNOWN = ("", "0.0.0.0", "::")  # noqa: S104 - names for which getfqdn() means this host


@contextmanager
def live_pod(hook: HookContext) -> Generator[None]:
    """Have the names of this machine be those of the pod of a unit while its hook runs.

    Args:
        hook: the hook.
    """
    name = f"{hook.app}-{hook.unit}"
    qualified = f"{name}.{hook.app}-endpoints.{hook.model}.svc.cluster.local"
    with ExitStack() as stack:
        stack.enter_context(replaced(socket, _names(name, qualified, hook.address)))
        stack.enter_context(_live_localhost(hook))
        stack.enter_context(replaced(os, {"uname": _uname(name)}))
        _link_account(hook)
        # The opener that urlopen() keeps would go through the proxy of another unit's pod. Without
        # one, urlopen() makes its own. To make one here reads all CAs on Python 3.12 and later.
        urllib.request.install_opener(cast("Any", None))
        yield


@contextmanager
def _live_localhost(hook: HookContext) -> Generator[None]:
    """Have connections to `localhost` reach the workload of the unit, in any protocol.

    They do not go through the proxy, so that a port at which nothing listens refuses them.
    """
    own = next((each.place.environment[BIND_ADDRESS] for each in hook.containers), "")
    if not own:
        yield
        return
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), *_LOOPBACK]))
    methods = {
        name: _local(getattr(socket.socket, name), own) for name in ("connect", "connect_ex")
    }
    addresses = _local_addresses(socket.getaddrinfo, own)
    with replaced(socket.socket, methods), replaced(socket, {"getaddrinfo": addresses}):
        yield


def _local(original: Callable[..., Any], own: str) -> Callable[..., Any]:
    def method(connecting: socket.socket, address: Any) -> Any:
        if connecting.family == socket.AF_INET and address[0] in _LOOPBACK:
            address = (own, *address[1:])
        return original(connecting, address)

    return method


def _local_addresses(original: Callable[..., Any], own: str) -> Callable[..., Any]:
    def addresses(host: Any, *args: Any, **more: Any) -> Any:
        return original(own if host in _LOOPBACK else host, *args, **more)

    return addresses


def _link_account(hook: HookContext) -> None:
    """Have the link that this process sees in /var/run lead to the files of the unit's account."""
    if ACCOUNT in hook.environment and _ACCOUNT.is_symlink():
        link = _ACCOUNT.readlink()
        new = link.with_suffix(".new")
        new.symlink_to(hook.environment[ACCOUNT])
        new.replace(link)


def _names(name: str, qualified: str, address: str) -> dict[str, Callable[..., Any]]:
    """Return functions of `socket` that know the names of the pod, as its /etc/hosts does."""
    getfqdn, gethostbyname = socket.getfqdn, socket.gethostbyname
    getaddrinfo = socket.getaddrinfo

    def known(host: Any) -> Any:
        return address if host in (name, qualified) else host

    def own_or(host: str = "") -> str:
        is_own = host in (*_UNKNOWN, name, qualified, address)
        return qualified if is_own else getfqdn(host)

    def address_of(host: str) -> str:
        return gethostbyname(known(host))

    def addresses_of(host: Any, *args: Any, **more: Any) -> Any:
        return getaddrinfo(known(host), *args, **more)

    return {
        "gethostname": lambda: name,
        "getfqdn": own_or,
        "gethostbyname": address_of,
        "getaddrinfo": addresses_of,
    }


def _uname(name: str) -> Callable[[], os.uname_result]:
    found = os.uname()
    return lambda: os.uname_result((found[0], name, *found[2:]))
