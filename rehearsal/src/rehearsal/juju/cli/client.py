"""The program behind the name `juju`: hands its words to the controller, prints the answer.

It runs often and does little, so it imports little. `client.py SOCKET WORD...`
"""

import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to import
    from typing import Any


def main(path: str, words: list[str]) -> int:
    """Carry out a command line and return its exit status."""
    environment = {k: v for k, v in os.environ.items() if k.startswith("JUJU_")}
    request = {
        "words": words,
        "folder": os.getcwd(),
        "environment": environment,
        "terminal": sys.stdout.isatty(),
    }
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError as error:
            print(f"ERROR the rehearsal is not running: {error}", file=sys.stderr)
            return 1
        connection.sendall(json.dumps(request).encode() + b"\n")
        for line in connection.makefile("rb"):
            answer = json.loads(line)
            if "status" in answer:
                return int(answer["status"])
            if "words" in answer:
                become(answer)
            elif "ask" in answer:
                connection.sendall(json.dumps({"line": ask(answer["ask"])}).encode() + b"\n")
            else:
                stream = sys.stdout if answer["stream"] == "stdout" else sys.stderr
                stream.write(answer["text"])
                stream.flush()
    print("ERROR the rehearsal has ended", file=sys.stderr)
    return 1


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
