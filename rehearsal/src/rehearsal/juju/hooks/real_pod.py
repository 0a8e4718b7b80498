"""The pod as charm code finds it: its names, its address and its way to others."""

import os
import socket
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rehearsal.juju.hooks.messages import ACCOUNT, HookContext
from rehearsal.juju.hooks.real_containers import replaced

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
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
        stack.enter_context(replaced(os, {"uname": _uname(name)}))
        _link_account(hook)
        # The opener that urlopen() keeps would go through the proxy of another unit's pod.
        urllib.request.install_opener(urllib.request.build_opener())
        yield


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
