"""The mesh: what the Kubernetes API says, in force in Envoy."""

import logging
import secrets
import subprocess
import threading
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rehearsal.addresses import EGRESS_PORT
from rehearsal.kubernetes.store import Change, Object, Store
from rehearsal.mesh import authorization, egress, envoy, inbound, topology
from rehearsal.mesh.authorization import Refusal
from rehearsal.mesh.identity import Authority
from rehearsal.mesh.proxy import EnvoyError, Proxy, Spawn

_KINDS = frozenset({"AuthorizationPolicy", "Namespace", "Pod", "Service"})
_TIMEOUT = 10.0
"""Seconds that Envoy has for a change."""

_log = logging.getLogger(__name__)


class Mesh:
    """Enforces AuthorizationPolicies on a cluster, as Istio's ambient mode does.

    Args:
        store: the cluster.
        directory: a folder of its own, closed to others, as it holds private keys.
        spawn: starts a process as `subprocess.Popen` does.

    Attributes:
        access_log: the file with a line of JSON for each request: who, what, the answer and why.
        refused: policies that are not enforced as they are written, but closed.

    Raises:
        EnvoyError: there is no Envoy for this platform.
    """

    def __init__(self, store: Store, directory: Path, *, spawn: Spawn = subprocess.Popen) -> None:
        self.access_log = directory / envoy.ACCESS_LOG
        self.refused: list[Refusal] = []
        self._store = store
        self._authority = Authority()
        self._proxy = Proxy(envoy.bootstrap(self._authority), directory, spawn)
        self._secret = secrets.token_bytes()
        self._thread = threading.Thread(target=self._follow, name="mesh", daemon=True)
        self._progress = threading.Condition()
        self._changes = self._applied = 0
        self._failure: Exception | None = None
        self._stopping = False
        self._unsubscribe = store.subscribe(self._note)

    def start(self) -> None:
        """Install the AuthorizationPolicy resource, start Envoy and follow the cluster from there.

        Raises:
            EnvoyError: Envoy does not start.
        """
        self._store.put(_crd())
        self._configure()
        self._proxy.start(_TIMEOUT)
        self._thread.start()

    def stop(self) -> None:
        """End Envoy, and with it all that it serves."""
        self._unsubscribe()
        with self._progress:
            self._stopping = True
            self._progress.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._proxy.stop()

    def settle(self, timeout: float = _TIMEOUT) -> None:
        """Return when what the cluster says now is in force.

        Args:
            timeout: seconds to wait at most.

        Raises:
            EnvoyError: Envoy has ended, or refuses what follows from it.
            TimeoutError: it takes too long.
        """
        with self._progress:
            changes = self._changes
            if not self._progress.wait_for(lambda: self._applied >= changes, timeout):
                raise TimeoutError(f"the mesh has not followed the cluster within {timeout} s")
            if self._failure:
                raise self._failure

    def environment(self, namespace: str, pod: str) -> dict[str, str]:
        """Return the variables by which the processes of a pod reach others through the mesh.

        The token in them keeps a pod's processes from another's identity by accident; it is
        no fence against a hostile process of the same user.

        Raises:
            LookupError: there is no such pod, or it has no address yet.
        """
        obj = self._store.get("Pod", namespace, pod) or {}
        if not (ip := obj.get("status", {}).get("podIP")):
            raise LookupError(f"pod {namespace}/{pod} has no address")
        proxy = f"http://{egress.USER}:{self._token(namespace, pod)}@{ip}:{EGRESS_PORT}"
        # In both cases: curl reads the first in lower case alone.
        return dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), proxy)

    def _token(self, namespace: str, pod: str) -> str:
        return blake2b(f"{namespace}/{pod}".encode(), key=self._secret, digest_size=16).hexdigest()

    def _note(self, change: Change) -> None:
        if change.object["kind"] in _KINDS:
            with self._progress:
                self._changes += 1
                self._progress.notify_all()

    def _follow(self) -> None:
        """Bring what the cluster says into force, after each change anew, until stopped."""
        while (changes := self._next()) is not None:
            failure = None
            try:
                self._configure()
                self._proxy.settle(_TIMEOUT)
            except (EnvoyError, TimeoutError) as error:
                _log.error("%s", error)
                failure = error
            with self._progress:
                self._applied, self._failure = changes, failure
                self._progress.notify_all()

    def _next(self) -> int | None:
        """Wait for a change, and return how many there have been; None when stopping."""
        with self._progress:
            self._progress.wait_for(lambda: self._stopping or self._changes > self._applied)
            return None if self._stopping else self._changes

    def _configure(self) -> None:
        there = topology.read(self._store)
        policies, refused = authorization.read(self._store.list("AuthorizationPolicy"))
        for refusal in refused:
            if refusal not in self.refused:
                _log.warning("policy %s is refused: %s", refusal.policy, refusal.reason)
        self.refused = refused
        inbounds = inbound.read(there, policies)
        clusters = [inbound.cluster(each) for each in inbounds]
        listeners = [inbound.listener(each) for each in inbounds]
        # What is led to comes before what leads there.
        self._proxy.configure(
            {
                envoy.CLUSTERS: clusters + egress.clusters(there, self._authority),
                **{t["name"]: [t] for t in inbound.tables(inbounds) + egress.tables(there)},
                envoy.LISTENERS: listeners + egress.listeners(there, self._token),
            }
        )


def _crd() -> Object:
    names = {
        "kind": "AuthorizationPolicy",
        "listKind": "AuthorizationPolicyList",
        "plural": "authorizationpolicies",
        "singular": "authorizationpolicy",
        "shortNames": ["ap"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "authorizationpolicies.security.istio.io"},
        "spec": {
            "group": "security.istio.io",
            "scope": "Namespaced",
            "names": names,
            "versions": [_version("v1", storage=True), _version("v1beta1", storage=False)],
        },
    }


def _version(name: str, *, storage: bool) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"served": True, "storage": storage}
    return {"name": name, **served, "schema": {"openAPIV3Schema": schema}}
