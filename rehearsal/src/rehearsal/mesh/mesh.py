"""The mesh: it brings the state of the Kubernetes API into force in Envoy."""

import logging
import secrets
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from rehearsal import fast_yaml
from rehearsal.kubernetes.store import Change, Object, Store
from rehearsal.machine.addresses import EGRESS_PORT
from rehearsal.mesh import authorization, egress, envoy, inbound, network, question, topology
from rehearsal.mesh.authorization import Policies, Policy
from rehearsal.mesh.configuration import Configuration, steps
from rehearsal.mesh.decision import Decision
from rehearsal.mesh.envoy import Json
from rehearsal.mesh.identity import Authority
from rehearsal.mesh.inbound import Inbound
from rehearsal.mesh.proxy import EnvoyError, Proxy, Spawn
from rehearsal.mesh.strict import Refusal
from rehearsal.mesh.topology import Topology
from rehearsal.mesh.trial import Trial

_KINDS = frozenset({"AuthorizationPolicy", "Namespace", "NetworkPolicy", "Pod", "Service"})
_CRD = Path(__file__).with_name("authorizationpolicies.yaml")
_SYSTEM = "istio-system"
_TIMEOUT = 30.0
"""Seconds that Envoy has for a change."""

_log = logging.getLogger(__name__)


class Mesh:
    """Enforces on a cluster NetworkPolicies as a CNI does, AuthorizationPolicies as Istio ambient.

    Args:
        store: the cluster.
        directory: a folder of its own, closed to others, as it holds private keys.
        istio: whether the cluster has Istio. Without it there are no AuthorizationPolicies, and no
            pod has an identity.
        spawn: starts a process as `subprocess.Popen` does.

    Attributes:
        access_log: the file with a line of JSON for each request: its caller, its target, the
            answer and the reason. If a 403 has no `network_policy`, NetworkPolicies denied the
            request. Otherwise the AuthorizationPolicy in `policy` did, or none allowed it.
        refused: policies that are not enforced as they are written.

    Raises:
        EnvoyError: there is no Envoy for this platform.
    """

    def __init__(
        self,
        store: Store,
        directory: Path,
        *,
        istio: bool = True,
        spawn: Spawn = subprocess.Popen,
    ) -> None:
        self.access_log = directory / envoy.ACCESS_LOG
        self.refused: list[Refusal] = []
        self._store = store
        self._authority = Authority() if istio else None
        self._proxy = Proxy(envoy.bootstrap(self._authority), directory, spawn)
        self._secret = secrets.token_bytes()
        self._question = f"x-rehearsal-{secrets.token_hex(16)}"
        self._thread = threading.Thread(target=self._follow, name="mesh", daemon=True)
        self._progress = threading.Condition()
        self._changes = self._applied = 0
        self._failure: Exception | None = None
        self._stopping = False
        self._trial = Trial()
        self._topology: Topology | None = None
        self._configuration = self._layout = Configuration({}, {}, {}, {})
        self._unsubscribe = store.subscribe(self._note)

    def start(self) -> None:
        """Install the AuthorizationPolicy resource, if any, start Envoy and follow the cluster.

        Raises:
            EnvoyError: Envoy does not start.
        """
        if self._authority:
            self._install_istio()
        self._proxy.configure(self._configuration.files)
        self._proxy.start(_TIMEOUT)
        self._enforce()
        self._thread.start()

    def _install_istio(self) -> None:
        """Add the objects of a running Istio in ambient mode: its resource and its pods."""
        self._store.put(_definition())
        self._store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _SYSTEM}})
        for program in ("istiod", "ztunnel"):
            self._store.put(_pod(program))

    def stop(self) -> None:
        """Stop Envoy and the thread that follows the cluster."""
        self._unsubscribe()
        with self._progress:
            self._stopping = True
            self._progress.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._proxy.stop()

    def settle(self, timeout: float = _TIMEOUT) -> None:
        """Return when the present state of the cluster is in force.

        Args:
            timeout: seconds to wait at most.

        Raises:
            EnvoyError: Envoy has ended, or refuses a part that does not come from a policy.
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

        Their token prevents a process from using the identity of another pod by accident. It does
        not protect against a hostile process of the same user.

        Raises:
            LookupError: there is no such pod, or it has no address yet.
        """
        obj = self._store.get("Pod", namespace, pod) or {}
        if not (ip := obj.get("status", {}).get("podIP")):
            raise LookupError(f"pod {namespace}/{pod} has no address")
        proxy = f"http://{egress.USER}:{self._token(namespace, pod)}@{ip}:{EGRESS_PORT}"
        # In both cases: curl reads the first in lower case alone.
        return dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), proxy)

    def ask(self, namespace: str, pod: str, method: str, url: str) -> list[Decision]:
        """Return the different decisions of the pods behind a URL on a call from a pod.

        The proxy decides, but the call reaches no workload and is not in the access log.

        Raises:
            LookupError: there is no such pod, or it has no address yet.
            NotDecidedError: the call gets to no listener that decides.
            EnvoyError: Envoy has ended, or does not enforce the present state of the cluster.
            TimeoutError: the mesh has not followed the cluster in time.
        """
        self.settle()
        proxy = self.environment(namespace, pod)["http_proxy"]
        services = self._topology.services if self._topology else ()
        most = max((len(service.pods) for service in services), default=0)
        decisions = [
            question.ask(proxy, self._question, number, method, url)
            for number in range(max(most, 1))
        ]
        return list(dict.fromkeys(decisions))

    def _token(self, namespace: str, pod: str) -> str:
        return blake2b(f"{namespace}/{pod}".encode(), key=self._secret, digest_size=16).hexdigest()

    def _note(self, change: Change) -> None:
        if change.object["kind"] in _KINDS:
            with self._progress:
                self._changes += 1
                self._progress.notify_all()

    def _follow(self) -> None:
        """Bring each change of the cluster into force, until stopped."""
        while (changes := self._next()) is not None:
            failure = None
            try:
                self._enforce()
            except (EnvoyError, TimeoutError) as error:
                _log.error("%s", error)
                failure = error
            with self._progress:
                self._applied, self._failure = changes, failure
                self._progress.notify_all()

    def _next(self) -> int | None:
        """Wait for a change, and return the number of changes so far, or None when stopping."""
        with self._progress:
            self._progress.wait_for(lambda: self._stopping or self._changes > self._applied)
            return None if self._stopping else self._changes

    def _enforce(self) -> None:
        """Bring the state of the cluster into force, except for policies that are refused."""
        there = topology.read(self._store, istio=self._authority is not None)
        policies, refused = authorization.read(self._store.list("AuthorizationPolicy"))
        network_policies, more_refused = network.read(self._store.list("NetworkPolicy"))
        isolation = network.Isolation(network_policies, there)

        def put(some: Sequence[Policy]) -> None:
            inbounds = inbound.read(there, Policies(some), isolation)
            self._go_over_to(self._configure(there, inbounds))

        try:
            self._trial.enforce(policies, put)
        finally:
            self._tell(refused + more_refused + self._trial.refusals)

    def _configure(self, there: Topology, inbounds: Sequence[Inbound]) -> Configuration:
        if there != self._topology:
            self._topology, self._layout = there, self._lay_out(there, inbounds)
        return replace(self._layout, routes=inbound.routes(inbounds, self._question))

    def _go_over_to(self, new: Configuration) -> None:
        *between, _ = steps(self._configuration, new)
        self._configuration = new
        with suppress(EnvoyError):  # Envoy refuses the last configuration for the same reason
            for each in between:
                self._put(each)
            if between:
                self._proxy.wait_for_worker()  # before a listener is removed
        self._put(new)

    def _put(self, configuration: Configuration) -> None:
        self._proxy.configure(configuration.files)
        self._proxy.settle(_TIMEOUT)

    def _lay_out(self, there: Topology, inbounds: Sequence[Inbound]) -> Configuration:
        """Return the resources that depend on the topology alone: all except the routes."""
        tls = self._authority is not None
        clusters = inbound.clusters(inbounds) + egress.clusters(there, self._authority)
        listeners = [inbound.listener(each, self._question, tls=tls) for each in inbounds]
        listeners += egress.listeners(there, self._token)
        tables = egress.tables(there, self._question)
        return Configuration(_by_name(clusters), {}, tables, _by_name(listeners))

    def _tell(self, refused: list[Refusal]) -> None:
        for refusal in refused:
            if refusal not in self.refused:
                _log.warning("%s %s is refused: %s", refusal.kind, refusal.policy, refusal.reason)
        self.refused = refused


def _by_name(resources: Sequence[Json]) -> dict[str, Json]:
    return {resource["name"]: resource for resource in resources}


def _pod(program: str) -> Object:
    """Return the pod of a program of Istio, which has no address: Envoy does its work here."""
    metadata = {"name": program, "namespace": _SYSTEM, "labels": {"app": program}}
    spec = {"containers": [{"name": program, "image": f"docker.io/istio/{program}"}]}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def _definition() -> Object:
    """Return Istio's definition of its policies, which are also served by their earlier version."""
    crd: Object = fast_yaml.load(_CRD.read_text())
    [current] = crd["spec"]["versions"]
    earlier = current | {"name": "v1beta1", "storage": False}
    return crd | {"spec": crd["spec"] | {"versions": [current, earlier]}}
