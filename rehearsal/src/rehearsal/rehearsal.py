"""One run of the rehearsal: all its parts, put together, started and stopped."""

import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rehearsal.juju.cli import client
from rehearsal.juju.cli.call import Session
from rehearsal.juju.cli.commands.log import agent_log
from rehearsal.juju.cli.server import Server as JujuServer
from rehearsal.juju.hooks.event_order import EventOrder
from rehearsal.juju.hooks.messages import ACCOUNT
from rehearsal.juju.model.controller import Controller
from rehearsal.juju.model.lifecycle import Substrate
from rehearsal.juju.model.state import Unit
from rehearsal.juju.pods.cluster import Cluster
from rehearsal.juju.version import JUJU_3_6, JujuVersion
from rehearsal.kubernetes.server import BACKLOG
from rehearsal.kubernetes.server import Server as KubernetesServer
from rehearsal.kubernetes.store import Store
from rehearsal.machine import namespace
from rehearsal.machine.addresses import Network, workload_address
from rehearsal.machine.ports import PortError, Ports
from rehearsal.machine.processes import Processes
from rehearsal.machine.relay import Relay
from rehearsal.mesh.mesh import Mesh
from rehearsal.mesh.server import Server as MeshServer
from rehearsal.traffic.silence import reasons

_log = logging.getLogger(__name__)


def _report(error: PortError) -> None:
    _log.error("%s", error)


class Rehearsal:
    """A Kubernetes API, a mesh and a Juju on this machine, for as long as the `with` block lasts.

    Args:
        seed: has hooks come in an order of its own where Juju leaves it open.
        istio: whether the cluster has Istio; without it, NetworkPolicies alone decide on calls.
        juju: the version of Juju.
        delay: seconds before agents act on a command, and before a stopped pod is replaced.
        fail: takes the error after which the run cannot go on, on any thread; it only logs it
            unless told otherwise.

    Attributes:
        directory: folder with the files of the run, which is removed at its end.
        environment: the variables of a program that uses the run: PATH with `juju` first,
            KUBECONFIG, and no proxy on the way to the API.
        access_log: file in which the mesh writes a line for each request.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        istio: bool = True,
        juju: JujuVersion = JUJU_3_6,
        delay: float = 0.0,
        fail: Callable[[PortError], None] = _report,
    ) -> None:
        self._network = Network()
        self.directory = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        self._namespace = namespace.create()
        self._processes = Processes(self.directory, self._namespace)
        self._store = Store()
        self._ports = Ports(
            self._store, self._network.api, fail, istio=istio, namespace=self._namespace
        )
        # Port 6443 may be taken on all addresses, by an API server of this machine.
        self._kubernetes = KubernetesServer(self._store, self._network.api, 0, self._log)
        self._relay: Relay | None = None
        if self._namespace:
            self._kubernetes.listen(self._namespace.listen(self._kubernetes.address, BACKLOG))
            self._relay = Relay(self._store, self._namespace, istio=istio)
        mesh_directory = self.directory / "mesh"
        mesh_directory.mkdir(mode=0o700)
        spawn = self._processes.spawn
        self._mesh = Mesh(self._store, mesh_directory, istio=istio, spawn=spawn)
        self._questions = MeshServer(self.directory / "mesh.socket", self._mesh, self._store)
        self._cluster = Cluster(self._store, self._network, lambda: self._controller.wake())
        self._controller = Controller(
            Substrate(
                cluster=self._cluster,
                charm_environment=self._charm_environment,
                workload_environment=self._workload_environment,
                workload_address=workload_address,
                processes=self._processes,
                directory=self.directory,
                delay=delay,
            ),
            EventOrder(seed),
            juju,
        )
        self._juju = JujuServer(self.directory / "juju.socket", Session(self._controller))

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a program uses the run."""
        path = f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}"
        direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), self._network.api]))
        return {
            "PATH": path,
            "NO_PROXY": direct,
            "no_proxy": direct,
            "KUBECONFIG": str(self.directory / "kubeconfig"),
            "REHEARSAL_DIRECTORY": str(self.directory),
        }

    @property
    def store(self) -> Store:
        """The objects of the Kubernetes API."""
        return self._store

    @property
    def access_log(self) -> Path:
        """The file in which the mesh writes a line for each request."""
        return self._mesh.access_log

    def settle(self) -> None:
        """Wait until the mesh enforces the present objects of the Kubernetes API.

        Raises:
            RuntimeError: the mesh has ended, or cannot enforce it.
            TimeoutError: it takes too long.
        """
        self._mesh.settle()
        if self._relay:
            self._relay.settle()

    def pod_environment(self, model: str, pod: str) -> dict[str, str]:
        """Return the variables by which the processes of a pod reach others through the mesh."""
        proxies = self._mesh.environment(model, pod)
        host, port = self._kubernetes.address
        kubernetes = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
        names = {"HOSTNAME": pod, **kubernetes}
        return proxies | names | {"NO_PROXY": self._network.api, "no_proxy": self._network.api}

    def silence(self, model: str, app: str) -> list[str]:
        """Return a line for each service of an application: its condition, and advice."""
        containers = self._controller.containers(model, app)
        return [line for pod, each in containers for line in reasons(pod, each)]

    def __enter__(self) -> "Rehearsal":
        self._install_programs()
        (self.directory / "kubeconfig").write_text(self._kubernetes.kubeconfig("default"))
        with ExitStack() as stack:  # the parts stop in reverse order, also on an interrupt
            stack.callback(self._network.close)
            if self._namespace:
                stack.callback(self._namespace.close)
            stack.callback(self._processes.close)
            for socket in (self._questions, self._juju):
                stack.callback(socket.server_close)  # it is open before its part has started
            self._ports.start()
            parts = (self._kubernetes, self._mesh, self._questions, self._relay)
            for part in filter(None, parts):
                part.start()
                stack.callback(part.stop)
            stack.callback(self._controller.stop)  # it begins with the first charm
            self._juju.start()
            stack.callback(self._juju.stop)
            self._started = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._started.close()

    def _log(self, namespace: str, pod: str, container: str) -> str | None:
        """Return the output of a container: of its services, or of the charm and its agent."""
        model = self._controller.models.get(namespace)
        if container == "charm" and model:
            with self._controller.lock:
                return agent_log(model, pod)
        status = (self._store.get("Pod", namespace, pod) or {}).get("status", {})
        folder = self.directory / "pods" / namespace / status.get("podIP", "none") / pod
        if not (folder / container).is_dir():
            return None
        files = sorted(folder.glob(f"{container}.*.log"))
        return "".join(file.read_text(errors="replace") for file in files)

    def _install_programs(self) -> None:
        """Write `juju`, which knows this run's controller, and `juju-rehearsal` beside it."""
        socket = self.directory / "juju.socket"
        programs = {
            "juju": [sys.executable, "-IS", client.__file__, str(socket)],
            "juju-rehearsal": [sys.executable, "-m", "rehearsal"],
        }
        (self.directory / "bin").mkdir()
        for name, words in programs.items():
            program = self.directory / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            program.chmod(0o755)

    def _charm_environment(self, unit: Unit) -> Mapping[str, str]:
        kubeconfig = self._kubeconfig(unit)
        files = {"KUBECONFIG": str(kubeconfig), ACCOUNT: str(kubeconfig.parent)}
        return self._workload_environment(unit) | files

    def _workload_environment(self, unit: Unit) -> dict[str, str]:
        return self.pod_environment(unit.app.model.name, unit.pod_name)

    def _kubeconfig(self, unit: Unit) -> Path:
        """Return the file by which charm code reaches the API as its ServiceAccount.

        Beside it are the files that a pod has of its account.
        """
        model, app = unit.app.model.name, unit.app.name
        folder = self.directory / "kubeconfigs" / model / app
        file = folder / "kubeconfig"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in self._kubernetes.account_files(model, app).items():
                (folder / name).write_text(text)
        return file
