"""The story of the demo, told with the `juju` on PATH.

It deploys the bundles, has the callers call, changes the mesh and the relations, and removes
everything. It shows the expected results beside the observed ones, and exits with 1 if any differs.

    juju-rehearsal exec python -m demo            # without a cluster
    python -m demo                                # on the controller that you are logged in to
    python -m demo map                            # draws the mesh of a demo that is deployed there
"""

import argparse
import sys
from pathlib import Path

import jubilant
from rich.markup import escape

from demo import patience
from demo.chapters import Story
from demo.map import draw
from demo.stage import FAILURES, Stage
from demo.telling import Teller


def main() -> int:
    """Tell the story or draw the map, and return the exit status."""
    arguments = _arguments()
    if arguments.subject == "map":
        return _draw_map(arguments.model, arguments.map)
    teller = Teller()
    stage = Stage(arguments.patience, teller)
    try:
        Story(arguments.model, stage, teller).tell()
    except FAILURES as error:
        teller.failure(stage.failures() or _reason(error), stage.surroundings())
        return 1
    except KeyboardInterrupt:
        return 130
    except FileNotFoundError:
        teller.failure("there is no juju on PATH; `make demo` brings its own", "")
        return 1
    _save(stage, arguments.map, teller)
    teller.verdict(stage.differences, stage.looks, stage.cause)
    return 1 if stage.differences else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "subject",
        nargs="?",
        choices=("story", "map"),
        default="story",
        help="what to do: tell the story, or draw a map of the mesh (default: story)",
    )
    parser.add_argument("--model", default="demo", help="name of the model to add (default: demo)")
    parser.add_argument(
        "--patience",
        type=float,
        default=patience.SECONDS,
        metavar="SECONDS",
        help=f"seconds in which a command has to take effect (default: {patience.SECONDS:.0f})",
    )
    parser.add_argument(
        "--map",
        type=Path,
        default=Path(".rehearsal"),
        metavar="FOLDER",
        help="folder for the picture of the mesh, map.html and map.svg (default: .rehearsal)",
    )
    return parser.parse_args()


def _save(stage: Stage, folder: Path, teller: Teller) -> None:
    """Save the picture of the mesh, if there is one, and say where it is."""
    try:
        page = stage.picture.save(folder)
    except OSError as error:
        teller.say(
            f"The picture of the mesh is not saved: {escape(str(error))}. Name a folder with --map."
        )
        return
    if page:
        teller.picture(page)


def _draw_map(model: str, folder: Path) -> int:
    """Draw the map of a deployed demo, print the address of its page, and return the status."""
    try:
        print(draw(model, folder).as_uri())
    except FAILURES as error:
        print(f"ERROR {_reason(error)}", file=sys.stderr)
        return 1
    return 0


def _reason(error: Exception) -> str:
    """Return the error message of juju if juju failed, else the first line of the error."""
    said = error.stderr if isinstance(error, jubilant.CLIError) else ""
    return said.strip() if said else str(error).partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
