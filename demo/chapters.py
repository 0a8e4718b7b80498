"""The story of the demo, chapter by chapter."""

import pathlib
import tempfile
import time
from collections.abc import Callable

from demo.stage import Stage
from demo.table import Expected
from demo.telling import Teller

BUNDLES = pathlib.Path(__file__).parents[1] / "bundles"
MEMBERSHIP = ("scraper:service-mesh", "mesh:service-mesh")
DATA = ("producer:data", "scraper:data")
IDENTITY = ("scraper:require-cmr-mesh", "producer:provide-cmr-mesh")


class Story:
    """The demo in two models.

    Args:
        model: name of the first model, with which the name of the second one begins.
        stage: runs the commands.
        teller: shows the chapters.
    """

    expected: Expected

    def __init__(self, model: str, stage: Stage, teller: Teller) -> None:
        self._model, self._remote = model, f"{model}-remote"
        self._stage = stage
        self._tell = teller

    def tell(self) -> None:
        """Tell the chapters in order."""
        self.deploy()
        self.another_model()
        self.leave_and_rejoin()
        self.remove_data()
        self.another_unit()
        self.remove_everything()

    def deploy(self) -> None:
        """Chapter one: one command deploys the demo, and callers try every call."""
        self._tell.chapter(
            "1. Deploy",
            "A producer of metrics, a scraper that is related to it, and an outsider that is not.\n"
            "All three are on the mesh.",
        )
        self._stage.add_model(self._model)
        self._deploy("demo.yaml")
        self._stage.settle("deploying")
        self.expected = self._stage.expected()
        self._stage.show(
            ("scraper", "scraper/0", self.expected.related),
            ("outsider", "outsider/0", self.expected.nothing),
            model=self._model,
        )
        self._stage.explain("scraper", "GET", "/data")
        self._stage.explain("scraper", "POST", "/data")
        self._stage.explain("outsider", "GET", "/data")

    def another_model(self) -> None:
        """Chapter two: a caller in another model is allowed while its identity is known."""
        self._tell.chapter(
            "2. Another model",
            "A scraper in another model is related to the producer through an offer. Juju does\n"
            "not name this application to the producer. A relation with require-cmr-mesh does.",
        )
        self._stage.add_model(self._remote)
        with tempfile.TemporaryDirectory() as folder:
            self._deploy("demo-remote.yaml", *self._offer(folder))
        self._stage.settle("deploying")
        self._scraper("remote, unknown", allowed=False)
        self._stage.take_picture()  # allowed, denied and waiting callers are all there
        self._stage.do("integrate", *IDENTITY)
        self._scraper("remote, known", allowed=True, find_cause=self._undelivered)
        self._stage.do("remove-relation", *IDENTITY)
        self._scraper("remote, unknown", allowed=False)

    def leave_and_rejoin(self) -> None:
        """Chapter three: a related caller off the mesh is denied."""
        self._tell.chapter(
            "3. Leave the mesh, and rejoin",
            "The scraper stays related to the producer, but off the mesh it has no identity.",
        )
        self._stage.switch(self._model)
        self._stage.do("remove-relation", *MEMBERSHIP)
        self._stage.settle("leaving", without=MEMBERSHIP)
        self._scraper("scraper off the mesh", allowed=False)
        self._stage.explain("scraper", "GET", "/data")
        self._stage.do("integrate", *MEMBERSHIP)
        self._stage.settle("rejoining")
        self._scraper("scraper, rejoined", allowed=True)

    def remove_data(self) -> None:
        """Chapter four: the calls that a relation allows end with it."""
        self._tell.chapter(
            "4. Remove a relation",
            "The calls that the relation `data` allowed are denied without it. `metrics` stays.",
        )
        self._stage.do("remove-relation", *DATA)
        start = time.monotonic()
        line = "scraper without data", "scraper/0", self.expected.metrics_only
        self._stage.show(line, model=self._model)
        self._stage.in_force_since(start)
        self._stage.explain("scraper", "GET", "/data")
        self._stage.settle("settling", without=DATA)
        self._stage.do("integrate", *DATA)

    def another_unit(self) -> None:
        """Chapter five: units come with their application's identity and policies."""
        self._tell.chapter(
            "5. Another unit",
            "A second unit of the scraper calls the producer, which now has a third unit.",
        )
        self._stage.do("add-unit", "scraper")
        self._stage.do("add-unit", "producer")
        self._stage.settle("adding")
        line = "second scraper", "scraper/1", self.expected.related
        self._stage.show(line, model=self._model)

    def remove_everything(self) -> None:
        """Chapter six: removing the mesh leaves nothing of it."""
        self._tell.chapter(
            "6. Remove everything",
            "The mesh is removed first. Its policies and labels in Kubernetes are removed with it.",
        )
        self._stage.leftovers(wanted=True)
        self._stage.do("remove-application", "mesh", "--no-prompt")
        self._stage.leftovers(wanted=False)
        # Without labels the pods restart, and Juju 4 takes no pod back whose model it is removing.
        self._stage.settle("restarting")
        self._stage.destroy_models()

    def _deploy(self, bundle: str, *options: str) -> None:
        shown = ("deploy", f"./bundles/{bundle}", *options, "--trust")
        self._stage.do("deploy", str(BUNDLES / bundle), *options, "--trust", shown=shown)

    def _offer(self, folder: str) -> list[str]:
        """Return the option by which the second bundle finds a first model of another name."""
        if self._model == "demo":
            return []
        overlay = pathlib.Path(folder) / "offer.yaml"
        overlay.write_text(f"saas: {{producer: {{url: admin/{self._model}.producer}}}}\n")
        return ["--overlay", str(overlay)]

    def _undelivered(self) -> str:
        return self._stage.undelivered(self._model)

    def _scraper(
        self, name: str, *, allowed: bool, find_cause: Callable[[], str] | None = None
    ) -> None:
        """Have the scraper of the model in focus call the producer."""
        row = self.expected.related if allowed else self.expected.nothing
        self._stage.show((name, "scraper/0", row), model=self._model, find_cause=find_cause)
