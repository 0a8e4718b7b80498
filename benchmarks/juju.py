"""Juju as one unit sees it: a charm's folder, an environment, and hook tools that are processes.

The hook tools are one shell script under many names. It answers from files and records each call.
Therefore a hook runs as in Juju, including `ops.main`, and its calls can be counted. Such a process
takes 1 to 2 ms, and Juju's tools take 10 to 25.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from small_cluster import APP, MODEL

HERE = Path(__file__).parent
CHARM = HERE / "charm"
LIBRARY = HERE.parent / "charms/stub-mesh-k8s/lib"
UUID = "11111111-1111-4111-8111-111111111111"
UNIT = f"{APP}/0"
NOW = "2026-01-01T00:00:00Z"

_TOOL = """\
#!/bin/sh
tool=${0##*/}
echo "$tool $*" >> "$HOOK_TOOLS/calls"
case $tool in
relation-set)
    read -r bag
    echo "$bag" > "$HOOK_TOOLS/relation-get --format=json -r $2 --app - $HOOK_TOOLS_APP" ;;
*)
    answer="$HOOK_TOOLS/$tool $*"
    [ -f "$answer" ] && read -r line < "$answer" && printf '%s' "$line" ;;
esac
exit 0
"""
_TOOLS = (
    "config-get",
    "goal-state",
    "is-leader",
    "juju-log",
    "relation-get",
    "relation-ids",
    "relation-list",
    "relation-model-get",
    "relation-set",
    "status-set",
)


@dataclass(frozen=True)
class Relation:
    """A relation as Juju shows it, with one unit on the other side."""

    endpoint: str
    id: int
    app: str
    bag: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """The relation's name in hook tools, such as `service-mesh:1`."""
        return f"{self.endpoint}:{self.id}"


@dataclass(frozen=True)
class Ran:
    """The duration of a hook in seconds, and the hook tools that it called."""

    seconds: float
    calls: list[str]

    @property
    def logged(self) -> int:
        """Return the number of calls that wrote a line of the log."""
        return sum(call.startswith("juju-log") for call in self.calls)


class Juju:
    """Runs hooks of the bench's charm with one of the libraries.

    Args:
        folder: an empty folder for the charm and the answers.
        module: the library to import.
        kubeconfig: the file with the address of Kubernetes.
    """

    def __init__(self, folder: Path, module: str, kubeconfig: Path) -> None:
        self._charm, self._answers = folder / "charm", folder / "answers"
        self._module, self._kubeconfig = module, kubeconfig
        shutil.copytree(CHARM, self._charm)
        tools = folder / "bin"
        tools.mkdir()
        self._answers.mkdir()
        for name in _TOOLS:
            (tools / name).write_text(_TOOL)
            (tools / name).chmod(0o755)
        self._path = os.pathsep.join((str(tools), os.environ["PATH"]))
        self._relations: dict[int, Relation] = {}
        self._say("is-leader --format=json", True)
        self._say("config-get --format=json", {})
        self._say("goal-state --format=json", {"units": {UNIT: {"status": "active", "since": NOW}}})

    def relate(self, *relations: Relation) -> None:
        """Make these relations, or change the data that their other sides published."""
        for relation in relations:
            self._relations[relation.id] = relation
            where = f"--format=json -r {relation.name}"
            self._say(f"relation-list {where}", [f"{relation.app}/0"])
            self._say(f"relation-get {where} --app - {relation.app}", relation.bag)
            own = self._answers / f"relation-get {where} --app - {APP}"
            own.write_text(own.read_text() if own.exists() else "{}\n")
            self._say(f"relation-model-get {where}", {"uuid": UUID})
        self._say_ids()

    def unrelate(self, relation: Relation) -> None:
        """Forget a relation."""
        del self._relations[relation.id]
        self._say_ids()

    def replace_pod(self) -> None:
        """Delete the stored state of the unit."""
        (self._charm / ".unit-state.db").unlink()

    def _say_ids(self) -> None:
        for endpoint in ("service-mesh", "provide-cmr-mesh", "require-cmr-mesh", "data", "metrics"):
            names = [each.name for each in self._relations.values() if each.endpoint == endpoint]
            self._say(f"relation-ids {endpoint} --format=json", names)

    def _say(self, call: str, answer: object) -> None:
        place = self._answers / call
        place.write_text(json.dumps(answer) + "\n")

    def run(self, event: str, relation: Relation | None = None) -> Ran:
        """Run one hook in a process of its own, such as `relation-created` of a relation."""
        command = [sys.executable, "src/charm.py"]
        environment = self._environment(event, relation)
        log = self._answers / "calls"
        log.write_text("")
        started = time.perf_counter()
        subprocess.run(command, env=environment, cwd=self._charm, check=True)
        return Ran(time.perf_counter() - started, log.read_text().splitlines())

    def _environment(self, event: str, relation: Relation | None) -> dict[str, str]:
        hook = f"{relation.endpoint}-{event}" if relation else event
        juju = {
            "JUJU_CHARM_DIR": str(self._charm),
            "JUJU_DISPATCH_PATH": f"hooks/{hook}",
            "JUJU_MODEL_NAME": MODEL,
            "JUJU_MODEL_UUID": UUID,
            "JUJU_UNIT_NAME": UNIT,
            "JUJU_VERSION": "3.6.14",
        }
        if relation:
            juju["JUJU_RELATION"] = relation.endpoint
            juju["JUJU_RELATION_ID"] = relation.name
            juju["JUJU_REMOTE_APP"] = relation.app
        here = {
            "HOOK_TOOLS": str(self._answers),
            "HOOK_TOOLS_APP": APP,
            "KUBECONFIG": str(self._kubeconfig),
            "PATH": self._path,
        }
        return {**charm_environment(self._module), **juju, **here}


def charm_environment(module: str) -> dict[str, str]:
    """Return the variables by which a process finds the charm's modules and their compiled form."""
    compiled = os.environ["PYTHONPYCACHEPREFIX"]
    return {"PYTHONPATH": str(LIBRARY), "PYTHONPYCACHEPREFIX": compiled, "SERVICE_MESH": module}
