"""The program behind the name `juju`: hands its words to the controller, prints the answer.

It runs often and does little, so it imports little: the modules `json` and `socket` would double
its time. `client.py SOCKET WORD...`
"""

import marshal
import os
import sys
from _socket import AF_UNIX, socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to import
    from typing import Any, BinaryIO


def main(path: str, words: list[str]) -> int:
    """Carry out a command line and return its exit status."""
    environment = {k: v for k, v in os.environ.items() if k.startswith("JUJU_")}
    request = {
        "words": words,
        "folder": os.getcwd(),
        "environment": environment,
        "terminal": sys.stdout.isatty(),
    }
    connection = socket(AF_UNIX)
    try:
        connection.connect(path)
    except OSError as error:
        print(f"ERROR the rehearsal is not running: {error}", file=sys.stderr)
        return 1
    connection.sendall(marshal.dumps(request))
    with open(connection.detach(), "rb") as answers:
        try:
            return follow(answers)
        except EOFError:
            print("ERROR the rehearsal has ended", file=sys.stderr)
            return 1


def follow(answers: "BinaryIO") -> int:
    """Do as the controller says, until it gives the exit status of the command line.

    Raises:
        EOFError: the controller has ended.
    """
    while True:
        answer = marshal.load(answers)  # noqa: S302 - from the controller
        if "status" in answer:
            return int(answer["status"])
        if "words" in answer:
            become(answer)
        elif "ask" in answer:
            os.write(answers.fileno(), marshal.dumps({"line": ask(answer["ask"])}))
        else:
            stream = sys.stdout if answer["stream"] == "stdout" else sys.stderr
            stream.write(answer["text"])
            stream.flush()


def ask(question: str) -> str:
    """Print a question and return the line typed; at the end of the input it is empty."""
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline()


def become(program: "dict[str, Any]") -> None:
    """Let a program take the place of this one."""
    os.chdir(program["folder"])
    os.execvpe(program["words"][0], program["words"], program["environment"])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
