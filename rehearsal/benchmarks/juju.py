"""The cost of the rehearsal's Juju: events per second, time to settle, memory."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import CHARM, CHARMCRAFT

SIZES = (3, 30, 100)
"""Applications in a bundle, each related to the next."""
_POLL = 0.1
"""Seconds between two looks at status."""
_BUSY = ("allocating", "executing")


def rows() -> Iterator[tuple[str, ...]]:
    """Yield a row for each bundle: its size, events, seconds, events a second, MB of memory."""
    yield "applications", "events", "settled in", "events/s", "memory"
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name, Rehearsal() as rehearsal:
            folder = Path(name)
            _write(folder, size)
            environment = os.environ | rehearsal.environment
            _juju(environment, "add-model", "bench")
            start = time.monotonic()
            _juju(environment, "deploy", str(folder / "bundle.yaml"))
            _settle(environment)
            seconds = time.monotonic() - start
            log = _juju(environment, "debug-log", "--level", "DEBUG", "--replay")
            events = log.count("Emitting Juju event")
            memory = f"{_memory(os.getpid()) / 1024:.0f} MB"
            yield str(size), str(events), f"{seconds:.1f} s", f"{events / seconds:.0f}", memory


def _write(folder: Path, size: int) -> None:
    (folder / "small" / "src").mkdir(parents=True)
    (folder / "small" / "charmcraft.yaml").write_text(CHARMCRAFT)
    (folder / "small" / "src" / "charm.py").write_text(CHARM)
    bundle = {
        "bundle": "kubernetes",
        "applications": {f"app{n}": {"charm": "./small", "scale": 1} for n in range(size)},
        "relations": [[f"app{n}:db", f"app{n + 1}:server"] for n in range(size - 1)],
    }
    (folder / "bundle.yaml").write_text(json.dumps(bundle))


def _juju(environment: dict[str, str], *words: str) -> str:
    program = shutil.which("juju", path=environment["PATH"]) or "juju"
    done = subprocess.run(
        [program, *words], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def _settle(environment: dict[str, str]) -> None:
    """Wait until no unit has anything to do."""
    while True:
        document: dict[str, Any] = json.loads(_juju(environment, "status", "--format", "json"))
        apps: list[dict[str, Any]] = list(document["applications"].values())
        units = [unit for app in apps for unit in app.get("units", {}).values()]
        if units and all(u["juju-status"]["current"] not in _BUSY for u in units):
            return
        time.sleep(_POLL)


def _memory(process: int) -> int:
    """Return the kB of memory of a process and all that it has started."""
    folder = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    children = [
        n for task in (folder / "task").iterdir() for n in (task / "children").read_text().split()
    ]
    return int(status["VmRSS"].split()[0]) + sum(_memory(int(child)) for child in children)
