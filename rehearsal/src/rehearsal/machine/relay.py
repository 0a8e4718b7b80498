"""Lets this machine reach the pods and Services of a run that has a network of its own."""

import asyncio
import contextlib
import errno
import logging
import resource
import threading
from collections.abc import Callable, Iterator

from rehearsal.kubernetes.store import Change, Store
from rehearsal.machine.addresses import EGRESS_PORT
from rehearsal.machine.namespace import Namespace
from rehearsal.machine.ports import find_holder
from rehearsal.mesh import topology

_KINDS = frozenset({"Namespace", "Pod", "Service"})
_CHUNK = 64 * 1024
_DESCRIPTORS = 16 * 1024
"""Descriptors that are enough for its listeners; the usual limit is soon met."""
Address = tuple[str, int]

_log = logging.getLogger(__name__)


class Relay:
    """Listens on this machine at each address of the mesh, and passes connections on.

    Args:
        store: the pods and Services.
        namespace: the network in which the mesh listens.
        istio: whether the cluster has Istio.
    """

    def __init__(self, store: Store, namespace: Namespace, *, istio: bool) -> None:
        self._store = store
        self._namespace = namespace
        self._istio = istio
        self._servers: dict[Address, asyncio.Server | None] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._given_up: set[int] = set()
        self._updating = asyncio.Lock()
        self._is_due = False
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to listen, on a thread of its own."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._thread.start()
        self._unsubscribe = self._store.subscribe(self._on_change)

    def stop(self) -> None:
        """End all connections and listen no more."""
        self._unsubscribe()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def settle(self) -> None:
        """Return when it listens at the addresses that there are now."""
        asyncio.run_coroutine_threadsafe(self._update(), self._loop).result()

    def _on_change(self, change: Change) -> None:
        if change.object["kind"] in _KINDS and not self._is_due:
            self._is_due = True
            asyncio.run_coroutine_threadsafe(self._update(), self._loop)

    async def _update(self) -> None:
        async with self._updating:
            self._is_due = False  # a later change needs another update
            wanted = set(self._addresses())
            for address in self._servers.keys() - wanted:
                if server := self._servers.pop(address):
                    server.close()
            for address in wanted - self._servers.keys():
                self._servers[address] = await self._listen(address)

    def _addresses(self) -> Iterator[Address]:
        """Yield the addresses at which the mesh listens."""
        there = topology.read(self._store, istio=self._istio)
        for pod in there.pods:
            yield from ((pod.ip, port) for port in (EGRESS_PORT, *pod.ports))
        for service in there.services:
            if service.ip and service.on_mesh:
                yield from ((service.ip, port) for port in service.ports)

    async def _listen(self, address: Address) -> asyncio.Server | None:
        """Listen at an address, if no other process of this machine is in the way."""
        try:
            return await asyncio.start_server(self._accept, *address)
        except OSError as error:
            self._give_up(address[1], error)
        return None

    def _give_up(self, port: int, error: OSError) -> None:
        """Warn once for each port that this machine does not reach it."""
        if port in self._given_up:
            return
        self._given_up.add(port)
        in_use = f"{find_holder(port)} listens on it on all addresses of this machine"
        reason = in_use if error.errno == errno.EADDRINUSE else error.strerror
        _log.warning("port %s of pods can be reached by units alone: %s", port, reason)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._pass_on(reader, writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the same address in the other network, and copy in both directions."""
        inner = self._namespace.make_socket()
        inner.setblocking(False)
        try:
            await self._loop.sock_connect(inner, writer.get_extra_info("sockname"))
        except OSError:
            inner.close()
            raise
        inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()

    async def _close(self) -> None:
        for server in filter(None, self._servers.values()):
            server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends, and pass its end on."""
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
