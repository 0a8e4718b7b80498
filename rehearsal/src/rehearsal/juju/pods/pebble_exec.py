"""`ops.Container.exec` on real processes, as Pebble runs them.

They are children of the charm's worker in its process group, so they end with it at the latest.
"""

import contextlib
import grp
import io
import logging
import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import IO, Any

import ops

from rehearsal.juju.pods.unit_command import Place, UnitCommand

_log = logging.getLogger(__name__)
_ABSENT = "%s is not on this machine: a command in container %s is left out"
_CHUNK = 16 * 1024
_DRAIN = 1.0
"""Seconds for which output is read after the process has ended, since its children may hold it."""


class Execution:
    """A running command, with the attributes of `ops.pebble.ExecProcess`.

    Args:
        command: the words that the charm gave.
        program: the program and its arguments.
        options: those of `ops.Container.exec` about input, output and time.
    """

    def __init__(
        self, command: list[str], program: UnitCommand, options: Mapping[str, Any]
    ) -> None:
        self._command = command
        self._encoding: str | None = options.get("encoding", "utf-8")
        self._timeout: float | None = options.get("timeout")
        combined = options.get("combine_stderr", False)
        self._process = subprocess.Popen(
            program.words,
            env=dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if combined else subprocess.PIPE,
        )
        self._readers: list[threading.Thread] = []
        self._timed_out = False
        self._clock = threading.Timer(self._timeout or 0, self._time_out)
        if self._timeout is not None:
            self._clock.start()
        self.stdin = self._feed(options.get("stdin"))
        self.stdout = self._deliver(self._process.stdout, options.get("stdout"))
        self.stderr = self._deliver(self._process.stderr, options.get("stderr"))

    def wait(self) -> None:
        """Wait until the process has ended.

        Raises:
            ops.pebble.ExecError: its exit code is not 0.
            ops.pebble.ChangeError: it was stopped when its time was over.
        """
        if code := self._end():
            raise ops.pebble.ExecError[Any](self._command, code, None, None)

    def wait_output(self) -> tuple[Any, Any]:
        """Wait until the process has ended and return its output. Raises the errors of `wait`."""
        if self.stdout is None:
            raise TypeError(
                "can't use wait_output() when exec was called with the stdout argument; "
                "use wait() instead"
            )
        sinks = [self._collect(stream) for stream in (self.stdout, self.stderr)]
        code = self._end()
        out, err = (sink.getvalue() if sink else None for sink in sinks)
        if code:
            raise ops.pebble.ExecError[Any](self._command, code, out, err)
        return out, err

    def send_signal(self, sig: int | str) -> None:
        """Send the process a signal, by number or by name such as `SIGHUP`."""
        self._process.send_signal(signal.Signals[sig] if isinstance(sig, str) else sig)

    def kill(self) -> None:
        """End the process, since no command of a hook outlives the hook."""
        self._clock.cancel()
        self._process.kill()
        self._process.wait()
        if any(reader.is_alive() for reader in self._readers):
            return  # a child of the process holds the pipe
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close() if stream else None

    def _time_out(self) -> None:
        self._timed_out = self._process.poll() is None
        self._process.kill()

    def _end(self) -> int:
        code = self._process.wait()
        self._clock.cancel()
        for reader in self._readers:
            reader.join(_DRAIN)
        if self._timed_out:
            raise failed("exec", f"timed out after {self._timeout}s: context deadline exceeded")
        return code if code >= 0 else 128 - code

    def _feed(self, source: Any) -> IO[Any] | None:
        """Return the stream that the charm writes to, unless it gave a stream to read from."""
        sink = self._process.stdin
        if source is None or sink is None:
            return self._text(sink)
        if isinstance(source, str):
            source = io.StringIO(source)
        elif isinstance(source, bytes):
            source = io.BytesIO(source)
        words = source, sink, self._encoding or "utf-8"
        threading.Thread(target=_send, args=words, daemon=True).start()
        return None

    def _deliver(self, stream: IO[bytes] | None, sink: Any) -> IO[Any] | None:
        """Return the stream that the charm reads from, unless it gave a stream to write to."""
        if sink is None:
            return self._text(stream)
        self._copy(self._text(stream), sink)
        return None

    def _collect(self, stream: IO[Any] | None) -> Any:
        sink = io.BytesIO() if self._encoding is None else io.StringIO()
        if stream is None:
            return None
        self._copy(stream, sink)
        return sink

    def _copy(self, stream: Any, sink: Any) -> None:
        reader = threading.Thread(target=_receive, args=(stream, sink), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _text(self, stream: Any) -> IO[Any] | None:
        if self._encoding is None or stream is None:
            return stream
        return io.TextIOWrapper(stream, encoding=self._encoding, newline="")


def execute(
    place: Place, services: Mapping[str, Any], command: list[str], options: Mapping[str, Any]
) -> Execution:
    """Start a command in a container.

    Args:
        place: the container.
        services: the services of the container's plan, for `service_context`.
        command: the words.
        options: the options of `ops.Container.exec`.

    Raises:
        ops.pebble.APIError: Pebble refuses the request, or the rehearsal cannot act as the user.
    """
    _refuse_other_users(options)
    program = place.program(command, _config(services, options))
    if shutil.which(program.words[0], path=program.environment["PATH"]) is None:
        _log.warning(_ABSENT, command[0], place.root.name)
        raise _bad(f'cannot find executable "{command[0]}"')
    if not program.folder.is_dir():
        raise _bad(f'cannot find working directory "{options.get("working_dir")}"')
    if refusal := place.refusal(program):
        raise _bad(refusal)
    return Execution(command, program, options)


def _config(services: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return environment and folder, which are the service's unless the charm gives others."""
    name = options.get("service_context")
    if name is not None and name not in services:
        raise _bad(f'context service "{name}" not found')
    service: Mapping[str, Any] = services[name] if name is not None else {}
    own: Mapping[str, str] = options.get("environment") or {}
    environment = {**service.get("environment", {}), **own}
    folder = options.get("working_dir") or service.get("working-dir")
    return {"environment": environment, "working-dir": folder}


def _refuse_other_users(options: Mapping[str, Any]) -> None:
    for name, find_own in _OWN.items():
        wanted = options.get(name)
        if wanted is not None and wanted != (own := find_own()):
            raise _bad(f"cannot run as {name} {wanted!r}: the rehearsal runs as {name} {own!r}")


_OWN: Mapping[str, Callable[[], int | str]] = {
    "user": lambda: _name_of(pwd.getpwuid, os.getuid()),
    "user_id": os.getuid,
    "group": lambda: _name_of(grp.getgrgid, os.getgid()),
    "group_id": os.getgid,
}


def _name_of(find: Callable[[int], Sequence[Any]], number: int) -> str:
    try:
        return str(find(number)[0])
    except KeyError:  # without a name, as in many containers
        return str(number)


def _send(source: Any, sink: IO[bytes], encoding: str) -> None:
    """Copy a source to its end, unless the program ends without reading it."""
    with contextlib.suppress(BrokenPipeError), sink:
        while chunk := source.read(_CHUNK):
            sink.write(chunk.encode(encoding) if isinstance(chunk, str) else chunk)
            sink.flush()


def _receive(stream: IO[Any], sink: Any) -> None:
    with stream:
        shutil.copyfileobj(stream, sink)


def _bad(message: str) -> ops.pebble.APIError:
    return ops.pebble.APIError({"result": {"message": message}}, 400, "Bad Request", message)


def failed(kind: str, error: str) -> ops.pebble.ChangeError:
    """Return the error with which Pebble reports a failed change."""
    now = datetime.now(tz=timezone.utc)
    change = ops.pebble.Change(
        *(ops.pebble.ChangeID("0"), kind, kind, "Error"),
        tasks=[],
        ready=True,
        err=error,
        spawn_time=now,
        ready_time=now,
    )
    return ops.pebble.ChangeError(error, change)
