"""A stand-in for `juju`, with answers that a test gives it, and StatefulSets beside it."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jubilant
import pytest

from rehearsal.kubernetes.server import Server
from rehearsal.kubernetes.store import Store

_PROGRAM = f"""#!{sys.executable}
import json, pathlib, sys
folder = pathlib.Path(__file__).parent
answers = sorted(folder.glob(sys.argv[1] + ".*"))
output, error = json.loads(answers[0].read_text())
if len(answers) > 1:
    answers[0].unlink()
for later in folder.glob(sys.argv[1] + "~*"):
    later.rename(folder / later.name.partition("~")[2])
print(output)
sys.exit(error)
"""


class Script:
    """Makes a `juju` that gives the answers to a command in order, and then repeats the last one.

    Args:
        folder: the folder for the program and its answers.
        seconds: how long a command may take to take effect.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        program = folder / "juju"
        program.write_text(_PROGRAM)
        program.chmod(0o755)
        self.juju = jubilant.Juju(model="demo", wait_timeout=seconds, cli_binary=str(program))

    def answer(self, command: str, *outputs: Any) -> None:
        """Add outputs of a command, which are JSON documents."""
        for number, output in enumerate(outputs):
            self._write(f"{command}.{number}", output, 0)

    def fail(self, command: str, error: str, output: Any = None) -> None:
        """Have the first run of a command fail, with an error and, if given, an output."""
        self._write(f"{command}.+", output, error)

    def answer_after(self, cause: str, command: str, output: Any) -> None:
        """Replace the first answer to a command after another command has run."""
        self._write(f"{cause}~{command}.0", output, 0)

    def left(self, command: str) -> int:
        """Return the number of remaining answers to a command."""
        return len(list(self._folder.glob(f"{command}.*")))

    def _write(self, name: str, output: Any, error: str | int) -> None:
        (self._folder / name).write_text(json.dumps([json.dumps(output), error]))


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Script(tmp_path, seconds=30)


class StatefulSets:
    """The StatefulSets of the namespace `demo`, on an API server that KUBECONFIG names."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, name: str, status: Mapping[str, Any], replicas: int = 2) -> None:
        """Create or replace a StatefulSet with a status, and this number of pods."""
        labels = {"app.kubernetes.io/name": name}
        template: dict[str, Any] = {"metadata": {"labels": labels}, "spec": {"containers": []}}
        selector = {"matchLabels": labels}
        self._store.put(
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"namespace": "demo", "name": name},
                "spec": {"replicas": replicas, "selector": selector, "template": template},
                "status": {"replicas": replicas, "updatedReplicas": replicas, **status},
            }
        )


@pytest.fixture
def stateful_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StatefulSets]:
    store = Store()
    store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})
    server = Server(store, "127.0.0.1", 0)
    server.start()
    (tmp_path / "kubeconfig").write_text(server.kubeconfig("demo"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield StatefulSets(store)
    server.stop()
