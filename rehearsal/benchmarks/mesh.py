"""The cost of the mesh: the time of a policy change and of a call, and Envoy's memory."""

import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rehearsal.machine.addresses import workload_address
from tests.mesh.cluster import APP, App, Cluster, proxy, running, send

SIZES = (3, 30, 100)
"""Numbers of applications, each with one unit and with two policies."""
CHANGES, CALLS = 60, 2000
PORT = 9090

Row = tuple[str, str]


def rows() -> list[Row]:
    """Return the measurements, each with a label and a figure with its unit."""
    return [row for size in SIZES for row in measure(size)]


def measure(size: int) -> list[Row]:
    """Return the rows for a number of applications; how long a call takes, for the first alone."""
    with model(size) as (cluster, apps, envoy):
        changes = sorted(change_times(cluster, *apps[:2]))
        found = [
            (f"policy in force, {size} applications, median", f"{median(changes):.1f} ms"),
            (
                f"policy in force, {size} applications, p99",
                f"{quantiles(changes, n=100)[98]:.1f} ms",
            ),
            (f"memory of Envoy, {size} applications", f"{memory(envoy.pid):.0f} MB"),
        ]
        return found + (latency(cluster, *apps[:2]) if size == SIZES[0] else [])


@contextmanager
def model(
    size: int,
) -> Generator[tuple[Cluster, Sequence[App], "subprocess.Popen[bytes]"]]:
    """Run applications, each of which may call only the one before it."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen[bytes](command, **options))
        return started[-1]

    with running(spawn=spawn) as cluster, cluster.namespace() as namespace:
        apps = [cluster.app(namespace, f"app-{number}") for number in range(size)]
        for app, caller in zip(apps, [*apps[1:], apps[0]], strict=True):
            put(cluster, app, "service", target_service(app), caller)
            put(cluster, app, "unit", {"selector": {"matchLabels": {APP: app.name}}}, caller)
        cluster.mesh.settle(60)
        yield cluster, apps, started[0]


def target_service(app: App) -> dict[str, Any]:
    """Return the part of a policy that says it is for an application's Service."""
    return {"targetRefs": [{"group": "", "kind": "Service", "name": app.name}]}


def put(cluster: Cluster, app: App, kind: str, target: dict[str, Any], *callers: App) -> None:
    """Put the policy by which these may call an application, and do not wait for it."""
    rules = [{"from": [{"source": {"principals": [caller.principal]}}]} for caller in callers]
    cluster.store.put(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"namespace": app.namespace, "name": f"{app.name}-{kind}"},
            "spec": {**target, "rules": rules},
        }
    )


def change_times(cluster: Cluster, app: App, caller: App) -> list[float]:
    """Return the milliseconds until changes of a policy count on a connection that stays open."""
    token = [("proxy-authorization", cluster.token(caller))]
    url, times = f"http://{app.name}:{PORT}/", list[float]()
    with closing(proxy(caller)) as connection:
        for number in range(CHANGES):
            allowed = bool(number % 2)
            start = time.perf_counter()
            put(cluster, app, "service", target_service(app), *([caller] if allowed else []))
            while (send(connection, "GET", url, token).status == 200) != allowed:
                pass
            times.append((time.perf_counter() - start) * 1000)
    return times


def latency(cluster: Cluster, app: App, caller: App) -> list[Row]:
    """Return the duration of a call to the workload itself, and of one through both proxies."""
    token = [("proxy-authorization", cluster.token(caller))]
    with closing(HTTPConnection(workload_address(app.pods[0]), PORT)) as connection:
        direct = p50(lambda: send(connection, "GET", "/"))
    with closing(proxy(caller)) as connection:
        meshed = p50(lambda: send(connection, "GET", f"http://{app.name}:{PORT}/", token))
    return [
        ("call of a workload itself, p50", f"{direct:.0f} us"),
        ("call through both proxies, p50", f"{meshed:.0f} us"),
        ("of that the mesh", f"{meshed - direct:.0f} us"),
    ]


def p50(call: Callable[[], object]) -> float:
    """Return the median duration of a call, in microseconds."""
    times: list[float] = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1_000_000)
    return median(times)


def memory(pid: int) -> float:
    """Return how many megabytes of a process are in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1000
