"""The command line of the rehearsal."""

import argparse
import logging
import os
import signal
import sys
import threading
from types import FrameType

from rehearsal.commands import explain, foreground, forwarding, run, shell, tap
from rehearsal.juju.version import VERSIONS
from rehearsal.machine.ports import PortError
from rehearsal.rehearsal import Rehearsal

_DESCRIPTION = """\
A Juju, a Kubernetes API and a service mesh on this machine, for as long as a command runs.

It proves charm logic, relation data, the effect of labels and policies on a Kubernetes API, who
may call whom over real HTTP with cryptographic identity, and the flow of juju commands.
It does not prove scheduling, images, Juju's timing and retries, or how a CNI drops packets.
Units change no files of this machine outside of the run's own folder, if its kernel has Landlock.
"""
_TIMEOUT = 120.0
"""Seconds that a bundle has to settle unless told otherwise."""
_HIGHEST_PORT = 65535


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(words)
    if arguments.command == "explain":
        return explain.explain(
            arguments.source, arguments.target, arguments.method, arguments.path, arguments.port
        )
    if arguments.command == "open":
        return forwarding.serve(arguments.target)
    if arguments.command == "tap":
        filters = arguments.source, arguments.target, arguments.model, arguments.denied
        return tap.tap(tap.Filters(*filters))
    if arguments.command == "exec":
        arguments.words = arguments.words[arguments.words[:1] == ["--"] :]
        if not arguments.words:
            parser.error("no command given, such as: juju-rehearsal exec bash")
    return _rehearse(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="juju-rehearsal",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    execute = commands.add_parser(
        "exec", help="run a command with the rehearsal's juju first on PATH and KUBECONFIG set"
    )
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    opened = commands.add_parser("shell", help="open a shell on a bundle that is deployed")
    opened.add_argument(
        "bundle", nargs="?", metavar="BUNDLE", help="or a charm; without it, nothing is deployed"
    )
    _add_bundle_options(opened)
    opened.add_argument(
        "--suggest",
        action="append",
        default=[],
        metavar="COMMAND",
        help="print a command among those that are worth typing in this shell",
    )
    tried = commands.add_parser("run", help="deploy a bundle and print who may call whom in it")
    tried.add_argument("bundle", metavar="BUNDLE", help="or a charm")
    _add_bundle_options(tried)
    for each in (execute, opened, tried):
        _add_substrate_options(each)
    _add_explain(commands.add_parser("explain", help="say why a call is allowed or denied"))
    shown = commands.add_parser(
        "open", help="print where a browser of this machine finds a workload"
    )
    shown.add_argument("target", metavar="TARGET", help="APPLICATION or UNIT")
    tap.add_options(commands.add_parser("tap", help="print the calls of a run in sentences"))
    return parser


def _add_bundle_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overlay", action="append", default=[], metavar="FILE", help="laid over the bundle"
    )
    parser.add_argument(
        "--resource",
        action="append",
        default=[],
        metavar="NAME=IMAGE",
        help="image of a charm that is deployed alone (default: its own upstream-source)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT,
        metavar="SECONDS",
        help=f"in which the bundle has to settle (default: {_TIMEOUT:g})",
    )


def _add_substrate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--juju",
        choices=VERSIONS,
        default="3.6",
        help="version of Juju (default: 3.6, with long-term support, which most models run)",
    )
    parser.add_argument(
        "--without-istio",
        action="store_true",
        help="on a cluster without Istio, where NetworkPolicies alone decide who may call whom",
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="NUMBER",
        help="have hooks come in another order, where Juju leaves it open",
    )
    parser.add_argument(
        "--delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="have agents act on a command, and replaced pods return, only after this time "
        "(default: 0); tests that do not wait for a real Juju fail with it",
    )


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FROM", help="who calls: APPLICATION, MODEL.APPLICATION")
    parser.add_argument("target", metavar="TO", help="who is called: APPLICATION or UNIT")
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("port", metavar="PORT", type=_port)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is none (1 to {_HIGHEST_PORT})")
    return int(text)


def _rehearse(arguments: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    threading.excepthook = _give_up
    for name in [each for each in os.environ if each.startswith("JUJU_")]:
        del os.environ[name]  # it is about another Juju, such as a model that is not here
    try:
        return _run(arguments)
    except PortError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(arguments: argparse.Namespace) -> int:
    """Run the rehearsal.

    Raises:
        PortError: it could not go on, and has ended.
    """
    istio, juju = not arguments.without_istio, VERSIONS[arguments.juju]
    failures: list[PortError] = []

    def fail(error: PortError) -> None:
        failures.append(error)
        logging.disable(logging.ERROR)  # later errors of the mesh are consequences of this one
        os.kill(os.getpid(), signal.SIGTERM)

    delay = arguments.delay
    try:
        with Rehearsal(arguments.seed, istio=istio, juju=juju, delay=delay, fail=fail) as rehearsal:
            return _carry_out(rehearsal, arguments)
    except KeyboardInterrupt:
        if failures:
            raise failures[0] from None
        raise


def _carry_out(rehearsal: Rehearsal, arguments: argparse.Namespace) -> int:
    if arguments.command == "exec":
        return foreground.run(arguments.words, os.environ | rehearsal.environment)
    bundle = arguments.bundle, arguments.overlay, arguments.timeout
    if arguments.command == "run":
        return run.run(rehearsal, *bundle, arguments.resource)
    return shell.shell(rehearsal, *bundle, arguments.suggest, arguments.resource)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End in order, also if Ctrl-C is pressed twice."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _give_up(failure: threading.ExceptHookArgs) -> None:
    """End the run with the part whose thread has failed; without it commands would wait forever."""
    threading.__excepthook__(failure)
    os.kill(os.getpid(), signal.SIGTERM)
