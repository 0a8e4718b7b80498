"""`juju-rehearsal run`: deploys a bundle and prints the results of calls in it."""

import sys
import time
from collections.abc import Sequence

import jubilant
from rich.console import Console
from rich.markup import escape

from rehearsal.commands import deployment, policies, report
from rehearsal.rehearsal import Rehearsal
from rehearsal.traffic import calls
from rehearsal.traffic.observation import NO_ANSWER, observe

_MISSING = "local charm missing OCI images"
_ADVICE = """\
Name an image with --resource NAME=IMAGE, or as upstream-source in the charm. The rehearsal runs no
images, so any name will do.
"""
_OFF_MESH = "Not on the mesh, so open to every caller"


def juju_of(rehearsal: Rehearsal) -> jubilant.Juju:
    """Return the juju of a run."""
    return jubilant.Juju(cli_binary=str(rehearsal.directory / "bin" / "juju"))


def deploy(
    juju: jubilant.Juju, bundle: str, overlays: Sequence[str], resources: Sequence[str] = ()
) -> int:
    """Deploy a bundle or a charm and return Juju's exit status; print its error if it refuses."""
    said: list[str] = []

    def show(line: str) -> None:
        sys.stderr.write(line)
        said.append(line)

    try:
        status = deployment.deploy(juju, bundle, overlays, resources, show)
    except jubilant.CLIError as error:
        sys.stderr.write(error.stderr or "")
        return error.returncode
    if any(_MISSING in line for line in said):
        sys.stderr.write(_ADVICE)
    return status


def settle(juju: jubilant.Juju, timeout: float, out: Console) -> bool:
    """Wait until the model has settled, and show how far it has come."""
    start = time.monotonic()
    with out.status("deploying") as status:
        settled = deployment.settle(
            juju, timeout, lambda text: status.update(f"deploying: {escape(text)}")
        )
    seconds = time.monotonic() - start
    if settled:
        out.print(f"Model {juju.model} has settled in {seconds:.1f} s.\n")
    else:
        out.print(f"[red]Model {juju.model} has not settled in {timeout:g} s.[/red]\n")
    return settled


def run(
    rehearsal: Rehearsal,
    bundle: str,
    overlays: Sequence[str],
    timeout: float,
    resources: Sequence[str] = (),
) -> int:
    """Deploy a bundle or a charm and print the results of calls between applications.

    Args:
        rehearsal: runs it.
        bundle: the file or folder of a bundle or a charm.
        overlays: files that are laid over it.
        timeout: seconds in which it has to settle.
        resources: images of a charm, as `NAME=IMAGE`.

    Returns:
        Exit status: 0 if it has settled and all units are active; Juju's own if it was refused.
    """
    out, juju = report.console(), juju_of(rehearsal)
    if refused := deploy(juju, bundle, overlays, resources):
        return refused
    settled, model = settle(juju, timeout, out), str(juju.model)
    well = print_problems(juju, out)
    silent = _print_calls(rehearsal, model, sorted(juju.status().apps), out)
    kinds = ("AuthorizationPolicy", "NetworkPolicy")
    found = [policy for kind in kinds for policy in rehearsal.store.list(kind, model)]
    report.print_policies(out, found)
    if found:
        report.print_lines(out, _OFF_MESH, _off_mesh(rehearsal, model))
    reasons = [line for app in silent for line in rehearsal.silence(model, app)]
    report.print_lines(out, "No answer", reasons)
    return 0 if settled and well else 1


def print_problems(juju: jubilant.Juju, out: Console) -> bool:
    """Print units that are not active, applications without units, parts left out, and versions.

    Returns:
        Whether all units are active.
    """
    inactive = deployment.not_active(juju)
    report.print_lines(out, "Not active", inactive)
    unscaled = [name for name, app in juju.status().apps.items() if not app.scale]
    report.print_lines(out, "No units, since scale is 0", unscaled)
    report.print_lines(out, "Left out", deployment.left_out(juju))
    report.print_lines(out, "Runs on", deployment.versions(juju))
    return not inactive


def _print_calls(rehearsal: Rehearsal, model: str, apps: Sequence[str], out: Console) -> list[str]:
    """Have the first unit of each application make each call, and print the results.

    Returns:
        The applications that have left a call without an answer.
    """
    rehearsal.settle()
    proxies = {app: proxy for app in apps if (proxy := _proxy(rehearsal, model, f"{app}-0"))}
    by_target = calls.read(rehearsal.store, model)
    with out.status("calling"):
        observed = observe(proxies, [call for each in by_target.values() for call in each])
    for target, each in by_target.items():
        if each:
            own = {key: result for key, result in observed.items() if key[1].target == target}
            report.print_calls(out, target, each, own)
    report.print_legend(out, observed)
    report.print_lines(out, "No open port", [t for t, each in by_target.items() if not each])
    return sorted({call.target for (_, call), result in observed.items() if NO_ANSWER in result})


def _off_mesh(rehearsal: Rehearsal, model: str) -> list[str]:
    """Return the applications with an open port of which nothing restricts the callers."""
    by_target = calls.read(rehearsal.store, model)
    return [name for name in policies.unguarded(rehearsal.store, model) if by_target.get(name)]


def _proxy(rehearsal: Rehearsal, model: str, pod: str) -> str:
    try:
        return rehearsal.pod_environment(model, pod)["http_proxy"]
    except LookupError:
        return ""  # an application without units calls nobody
