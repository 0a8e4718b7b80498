"""A container of a pod: files in a folder, Pebble services as real processes, real checks."""

import contextlib
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rehearsal.juju.durations import seconds
from rehearsal.juju.hooks.messages import PebbleCall
from rehearsal.juju.pods import pebble_plan
from rehearsal.juju.pods.pebble_service import IGNORE, RESTART, Service
from rehearsal.juju.pods.probe import Probe
from rehearsal.juju.pods.unit_command import BIND_ADDRESS, Place, UnitCommand, run
from rehearsal.machine.processes import Processes

_TICK = 0.1
"""Seconds between two looks at the processes and checks of a container."""
_QUICKLY = 1.0
"""Seconds that a service must stay up for Pebble to call it started."""
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0
"""Seconds before the kubelet starts a container for the third time, and the most that it waits."""
_ABSENT = "{} is not on this machine: service {} of container {} is left out"
_OF_THE_IMAGE = (
    "container {} has no enabled service to start: services and layers of its image are left out"
)
_PERIOD, _TIMEOUT, _THRESHOLD = 10.0, 3.0, 3
"""Pebble's defaults for a check: seconds between two and for one, failures until it is down."""


@dataclass
class Check:
    """A health check and its latest results."""

    config: Mapping[str, Any]
    due: float
    failures: int = 0

    @property
    def up(self) -> bool:
        """Whether it has failed fewer times in a row than its threshold."""
        return self.failures < int(self.config.get("threshold", _THRESHOLD))


@dataclass(eq=False)
class Container:
    """One container.

    Attributes:
        name: as in the charm's metadata.
        root: folder with its files.
        address: the address at which its processes listen; `localhost` of its pod.
        environment: variables of its processes, besides those of the layers.
        processes: starts and stops them.
        changed: is called, on a thread of the container, when a check comes up or goes
            down, a service exits quickly, or the container ends or starts again.
        layers: Pebble's layers by label, in YAML.
        left_out: a sentence for each thing that its image has and the rehearsal does not.
        up: whether its Pebble runs; a service may have shut it down.
    """

    name: str
    root: Path
    address: str
    environment: Mapping[str, str]
    processes: Processes
    changed: Callable[[], None]
    layers: dict[str, str] = field(default_factory=dict[str, str])
    left_out: set[str] = field(default_factory=set[str])
    up: bool = True
    _services: dict[str, Service] = field(default_factory=dict[str, Service])
    _checks: dict[str, Check] = field(default_factory=dict[str, Check])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _exited: dict[str, int] = field(default_factory=dict[str, int])
    _start_at: float = 0.0
    _restarts: int = 0
    _restarted: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True)
        self._thread = threading.Thread(target=self._watch, name=f"pebble {self.name}")
        self._thread.start()

    @property
    def active(self) -> list[str]:
        """The services whose processes run."""
        with self._lock:
            return [name for name, service in self._services.items() if service.running]

    @property
    def services(self) -> dict[str, Service]:
        """The services that the charm has started and not stopped."""
        with self._lock:
            return dict(self._services)

    def log(self, service: str) -> Path:
        """Return the file with the output of a service."""
        return self.root.parent / f"{self.name}.{service}.log"

    @property
    def ready(self) -> bool:
        """Whether Pebble runs and every check of the level `ready` is up, as its probe asks."""
        with self._lock:
            return self.up and all(
                c.up for c in self._checks.values() if c.config.get("level") == "ready"
            )

    @property
    def checks(self) -> dict[str, bool]:
        """Whether each check is up."""
        with self._lock:
            return {name: check.up for name, check in self._checks.items()}

    @property
    def failures(self) -> dict[str, int]:
        """How often in a row each check has failed."""
        with self._lock:
            return {name: check.failures for name, check in self._checks.items()}

    def take_exited(self) -> dict[str, int]:
        """Return, once, the services that exited as soon as they had started, with their codes."""
        with self._lock:
            exited, self._exited = self._exited, {}
        return exited

    def take_restarted(self) -> bool:
        """Return, once, whether the container has been started again."""
        with self._lock:
            restarted, self._restarted = self._restarted, False
        return restarted

    def call(self, call: PebbleCall) -> None:
        """Carry out a request of the charm, unless the container has been stopped in the meantime.

        Raises:
            OSError: a service cannot be started, for example in a folder that is not there.
            ValueError: Pebble would not take the plan.
        """
        services: Mapping[str, Any] = call.plan.get("services", {})
        pebble_plan.validate(call.plan)
        with self._lock:
            if self._ended.is_set() or not self.up:
                return
            self._plan_checks(call.plan.get("checks", {}))
            if call.operation in ("autostart", "replan"):
                self._start_enabled(services, replan=call.operation == "replan")
            for name in call.services:
                self._change(call.operation, name, services[name])

    @property
    def place(self) -> Place:
        """The surroundings of its programs."""
        base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.root)}
        own = {"TMPDIR": str(self.processes.temporary), BIND_ADDRESS: self.address}
        confined = self.processes.confinement.is_possible
        return Place(self.root, {**base, **self.environment, **own}, confined)

    def stop(self) -> None:
        """Stop everything in it."""
        with self._lock:
            self._ended.set()
        self._thread.join()
        for service in self._services.values():
            self._stop(service)

    def _change(self, operation: str, name: str, config: Mapping[str, Any]) -> None:
        running = self._services.get(name)
        if operation == "start" and running and running.running:
            return
        if running:
            self._stop(running)
            del self._services[name]
        if operation != "stop":
            self._start(name, config)

    def _start_enabled(self, services: Mapping[str, Any], *, replan: bool) -> None:
        """Start enabled services that do not run; `replan` restarts changed services as well."""
        enabled = [name for name, each in services.items() if each.get("startup") == "enabled"]
        if not enabled and not self._services:
            self.left_out.add(_OF_THE_IMAGE.format(self.name))
            for name, config in services.items():
                self._find(name, config)
        for name, config in services.items():
            service = self._services.get(name)
            if replan and service and service.config != config:
                self._change("restart", name, config)
            elif name in enabled:
                self._change("start", name, config)

    def _start(self, name: str, config: Mapping[str, Any]) -> None:
        program = self._find(name, config)
        if program is None:
            return
        with self.log(name).open("ab") as log:
            process = self.processes.spawn(
                list(program.words),
                confined=True,
                cwd=program.folder,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._services[name] = Service(config, process)

    def _find(self, name: str, config: Mapping[str, Any]) -> UnitCommand | None:
        """Return the program of a service, or note that this machine does not have it."""
        program = self.place.program(shlex.split(config["command"]), config)
        if shutil.which(program.words[0], path=os.environ["PATH"]):
            return program
        self.left_out.add(_ABSENT.format(program.words[0], name, self.name))
        return None

    def _stop(self, service: Service) -> None:
        self.processes.stop(service.process)

    def _plan_checks(self, checks: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._checks = {
            name: self._checks[name]
            if name in self._checks and self._checks[name].config == config
            else Check(config, now + _seconds(config.get("period"), _PERIOD))
            for name, config in checks.items()
        }

    def _watch(self) -> None:
        before: tuple[bool, set[str]] = (True, set())
        while not self._ended.wait(_TICK):
            self._follow_services()
            self._start_again()
            self._make_due_checks()
            now = (self.up, {name for name, is_up in self.checks.items() if not is_up})
            if now != before or self._exited or self._restarted:
                before = now
                self.changed()

    def _follow_services(self) -> None:
        """React as Pebble does when services exit, and when their backoff is over."""
        with self._lock:
            for name, service in list(self._services.items()):
                if not self.up:
                    return  # a service before it has shut the container down
                if service.running or service.exited:
                    continue
                if service.start_at is None:
                    self._note_exit(name, service)
                elif time.monotonic() >= service.start_at:
                    with contextlib.suppress(OSError):  # it is tried again
                        self._restart(name, service)

    def _note_exit(self, name: str, service: Service) -> None:
        service.code = service.process.returncode
        if service.age < _QUICKLY:
            self._exited[name] = service.process.returncode
        if service.action == RESTART:
            service.back_off()
            return
        service.exited = True
        if service.action != IGNORE:
            self._shut_down()

    def _restart(self, name: str, before: Service) -> None:
        self._stop(before)
        self._start(name, before.config)
        service = self._services[name]
        if service is not before:
            service.backoff, service.code = before.wait, before.code
            service.restarts = before.restarts + 1

    def _shut_down(self) -> None:
        """End the container as Pebble does on `shutdown`; the kubelet starts it again."""
        for service in self._services.values():
            self._stop(service)
        self._services, self._checks, self.up = {}, {}, False
        growing = _FIRST_PAUSE * 2.0 ** (self._restarts - 1)
        pause = min(growing, _LONGEST_PAUSE) if self._restarts else 0.0
        self._start_at = time.monotonic() + pause

    def _start_again(self) -> None:
        """Start the container again from its image, without the files and layers that it had."""
        with self._lock:
            if self.up or time.monotonic() < self._start_at:
                return
            shutil.rmtree(self.root)
            self.root.mkdir()
            self.layers = {}
            self._restarts += 1
            self.up = self._restarted = True

    def _make_due_checks(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = {name: check for name, check in self._checks.items() if check.due <= now}
        for name, check in due.items():
            was_up = check.up
            check.failures = 0 if self._succeeds(check.config) else check.failures + 1
            check.due = time.monotonic() + _seconds(check.config.get("period"), _PERIOD)
            if was_up and not check.up:
                self._follow_failed_check(name)

    def _follow_failed_check(self, check: str) -> None:
        """Act on a check that goes down, as the services ask."""
        with self._lock:
            for service in list(self._services.values()):
                asked: Mapping[str, str] = service.config.get("on-check-failure") or {}
                action = asked.get(check, IGNORE)
                if action == RESTART:
                    self._stop(service)
                    service.back_off()
                elif action != IGNORE:
                    self._shut_down()
                    return

    def _succeeds(self, config: Mapping[str, Any]) -> bool:
        timeout = _seconds(config.get("timeout"), _TIMEOUT)
        probe = Probe(self.address, self.processes.make_socket)
        if "http" in config:
            return probe.answers(config["http"], timeout)
        if "tcp" in config:
            return probe.listens(config["tcp"], timeout)
        return self._runs(config["exec"], timeout)

    def _runs(self, config: Mapping[str, Any], timeout: float) -> bool:
        program = self.place.program(shlex.split(config["command"]), config)
        try:
            return run(program, self.processes, timeout).returncode == 0
        except (OSError, TimeoutError):
            return False


def _seconds(duration: str | None, default: float) -> float:
    return seconds(duration) if duration else default
