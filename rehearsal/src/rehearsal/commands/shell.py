"""`juju-rehearsal shell`: the user's own shell, on a bundle that runs."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import jubilant
from rich.console import Console

from rehearsal.commands import foreground, live_map, report
from rehearsal.commands.run import deploy, juju_of, print_problems, settle
from rehearsal.rehearsal import Rehearsal
from rehearsal.traffic import calls
from rehearsal.traffic.calls import Call

_PROMPT = "(rehearsal) "
# The user's own file comes first, since it may set the prompt and put another juju first on PATH.
_BASH = """\
[ -f ~/.bashrc ] && . ~/.bashrc
PS1='{prompt}'"$PS1" PATH='{path}'
"""
_ZSH = """\
ZDOTDIR=$ZDOTDIR_BEFORE
[ -f "$ZDOTDIR/.zshrc" ] && . "$ZDOTDIR/.zshrc"
PS1='{prompt}'"$PS1" PATH='{path}'
"""


def shell(
    rehearsal: Rehearsal,
    bundle: str | None,
    overlays: Sequence[str],
    timeout: float,
    suggestions: Sequence[str],
    resources: Sequence[str] = (),
) -> int:
    """Open a shell in which `juju` and `kubectl` work on the rehearsal.

    Args:
        rehearsal: the run on which the commands work.
        bundle: a bundle to deploy first, in a model that has the focus.
        overlays: files that are laid over it.
        timeout: seconds in which it has to settle.
        suggestions: further commands to print as worth typing.
        resources: images of a charm, as `NAME=IMAGE`.

    Returns:
        Exit status: 0 when the shell was left, Juju's own if the bundle was refused.
    """
    out, juju = report.console(), juju_of(rehearsal)
    if bundle:
        if refused := deploy(juju, bundle, overlays, resources):
            return refused
        settle(juju, timeout, out)
        print_problems(juju, out)
        out.print(f"Applications: {', '.join(sorted(juju.status().apps))}")
    commands = _deployed(rehearsal, juju) if bundle else _EMPTY
    with live_map.serve(rehearsal) as url:
        _greet(out, [*commands, *suggestions], url)
        foreground.run(*_command(rehearsal))
    return 0


_EMPTY = ["juju add-model NAME", "juju deploy BUNDLE --trust", "juju help"]


def _greet(out: Console, commands: Sequence[str], url: str) -> None:
    out.print("[bold]This shell's juju is a rehearsal. Things to type:[/bold]\n")
    for command in commands:
        out.print(f"  {command}", style="cyan", markup=False, soft_wrap=True)
    out.print(f"\nA live map of who may call whom, for a browser: {url}", soft_wrap=True)
    out.print("\n`exit` ends it and leaves nothing behind.\n")


def _deployed(rehearsal: Rehearsal, juju: jubilant.Juju) -> list[str]:
    """Return commands that are worth typing in this model."""
    model = str(juju.model)
    istio = rehearsal.store.list("AuthorizationPolicy", model)
    policies = f"kubectl get {'authorization' if istio else 'network'}policies -n {model}"
    return [
        "juju status --relations",
        *_about_call(rehearsal, juju.status(), model),
        *([policies] if shutil.which("kubectl") else []),
        "juju-rehearsal tap    # each call, its caller, and the policy that decided",
    ]


def _about_call(rehearsal: Rehearsal, status: jubilant.Status, model: str) -> list[str]:
    """Return the commands that make a call which a policy names and that explain it."""
    named = [c for each in calls.read(rehearsal.store, model).values() for c in each if c.named]
    pairs = ((caller, call) for call in named for caller in _related(status, call))
    caller, call = next(pairs, (None, None))
    if not caller or not call:
        return []
    method = "" if call.method == "GET" else f"-X {call.method} "
    words = (caller, call.target, call.method, call.path, str(call.port))
    return [
        f"juju exec --unit {caller}/0 -- curl -s {method}{call.urls[0]}",
        f"juju-rehearsal explain {' '.join(words)}",
        f"juju-rehearsal open {caller}    # for a browser, until Ctrl-C",
    ]


def _related(status: jubilant.Status, call: Call) -> list[str]:
    """Return the applications related to the one that is called, except its mesh."""
    app = status.apps.get(call.target)
    relations = [r for each in app.relations.values() for r in each] if app else []
    return [r.related_app for r in relations if r.interface != "service_mesh"]


def _command(rehearsal: Rehearsal) -> tuple[list[str], dict[str, str]]:
    """Return the command of the user's shell, with a prompt of its own, and its environment."""
    environment = os.environ | rehearsal.environment
    program = shutil.which(os.environ.get("SHELL") or "bash") or "sh"
    folder = rehearsal.directory / "shell"
    folder.mkdir()
    fill = {"prompt": _PROMPT, "path": environment["PATH"]}
    for file, text in (("bashrc", _BASH), (".zshrc", _ZSH)):
        (folder / file).write_text(text.format(**fill))
    match Path(program).name:
        case "bash":
            return [program, "--rcfile", str(folder / "bashrc"), "-i"], environment
        case "zsh":
            own = os.environ.get("ZDOTDIR") or str(Path.home())
            return [program, "-i"], environment | {"ZDOTDIR": str(folder), "ZDOTDIR_BEFORE": own}
        case _:
            return [program, "-i"], environment | {"PS1": f"{_PROMPT}$ "}
