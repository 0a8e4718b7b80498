"""`juju-rehearsal explain`: the decision of the proxy on a call, and the mesh charm's reason.

The proxy decides on the call as the caller's pod would make it, but does not deliver it.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jubilant

from rehearsal.mesh import client
from rehearsal.mesh.client import Answer, AnswerError, Question
from rehearsal.traffic.calls import PLACEHOLDER_PORT

_INTERFACE, _ACTION = "service_mesh", "explain"
_OUTSIDE = """\
no rehearsal runs here. Open a shell in one, and ask there:
    juju-rehearsal shell BUNDLE
    juju-rehearsal explain FROM TO METHOD PATH PORT"""
_HTTP = 80


class _UnknownError(Exception):
    """The call cannot be explained; the message says why."""


@dataclass(frozen=True)
class _Call:
    """A call, as it was typed.

    Attributes:
        caller_model: the model of the caller; empty if it is the model in focus.
    """

    caller_model: str
    caller: str
    target: str
    method: str
    path: str
    port: int

    @property
    def parameters(self) -> dict[str, str | int]:
        """The parameters of the action."""
        model = {"model": self.caller_model} if self.caller_model else {}
        request = {"method": self.method, "path": self.path, "port": self.port}
        return {"from": self.caller, "to": self.target, **request, **model}


@dataclass(frozen=True)
class _Charm:
    """The answer of the action of a mesh charm.

    Attributes:
        app: its application.
        verdict: its verdict; empty if it has given none.
        reason: the reason, or why there is none.
    """

    app: str
    verdict: str
    reason: str


def explain(source: str, target: str, method: str, path: str, port: int) -> int:
    """Print the verdict of the proxy on a call in the model in focus, with the reason.

    Args:
        source: the caller, `application` or `model.application`.
        target: the target, `application`, or `application/0` at a unit's own address.
        method: the HTTP method.
        path: the path.
        port: the port.

    Returns:
        Exit status: 0 if there is an answer, also if the call is denied, and 1 if there is none.
    """
    model, _, app = source.rpartition(".")
    call = _Call(model, app, target, method, path, port)
    try:
        lines = list(_explain(jubilant.Juju(), call))
    except (_UnknownError, AnswerError) as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    except jubilant.CLIError as error:
        sys.stderr.write(error.stderr or "")
        return 1
    print("\n".join(lines))
    return 0


def _explain(juju: jubilant.Juju, call: _Call) -> Iterator[str]:
    """Yield the lines of the answer."""
    if "REHEARSAL_DIRECTORY" not in os.environ:
        raise _UnknownError(_OUTSIDE)
    if not (call.path.startswith("/") and call.path.isascii() and call.path.isprintable()):
        raise _UnknownError(f"path {call.path!r}: it has to begin with / and to be ASCII")
    status = juju.status()
    theirs = jubilant.Juju(model=call.caller_model).status() if call.caller_model else status
    _check_caller(call.caller, theirs)
    _check_target(call.target, status)
    pod = _pod(call.caller, theirs)
    question = Question(status.model.name, theirs.model.name, pod, call.method, _url(call, status))
    before = _ask(question, call)
    charm = _ask_charm(juju, call, status)
    now = _ask(question, call)  # the charm may have changed policies
    yield from _verdict(now, charm)
    yield from _changes(before, now, charm.app)


def _verdict(now: Answer, charm: _Charm) -> Iterator[str]:
    """Yield the verdict of the proxy, and name a different one of the charm."""
    if not charm.verdict:
        yield f"{now.verdict}: {now.reason}"
        yield f"  {charm.reason}"
    elif charm.verdict == now.verdict:
        yield f"{now.verdict}: {charm.reason}"
        yield f"  The proxy agrees: {now.reason}."
    else:
        yield f"{now.verdict} by the proxy, although {charm.app} says {charm.verdict}: {now.reason}"
        yield f"  {charm.app} says: {charm.reason}"


def _changes(before: Answer, now: Answer, app: str) -> Iterator[str]:
    """Yield the difference that the action has made, if it has changed the verdict."""
    if before.verdict == now.verdict:
        return
    said = f"{before.verdict}: {before.reason}"
    yield f"  Before the action `{_ACTION}` of {app} ran, the proxy said {said}."
    for verb, some, others in (("created", now, before), ("deleted", before, now)):
        if names := [name for name in some.policies if name not in others.policies]:
            yield f"  The action has {verb}: {', '.join(names)}."


def _ask(question: Question, call: _Call) -> Answer:
    """Return the answer of the proxy."""
    try:
        return client.ask(Path(os.environ["REHEARSAL_DIRECTORY"]) / "mesh.socket", question)
    except AnswerError as error:
        if "no Service and no pod listens" not in str(error):
            raise
        app = call.target.partition("/")[0]
        opened = [port for port in _ports(app, question.model) or () if port != PLACEHOLDER_PORT]
        ports = ", ".join(map(str, opened)) or "none"
        raise _UnknownError(
            f"{app} has no open port {call.port}; its open ports are: {ports}. "
            "A charm opens ports with `unit.set_ports`."
        ) from None


def _ask_charm(juju: jubilant.Juju, call: _Call, status: jubilant.Status) -> _Charm:
    """Return the answer of the first mesh that has the action."""
    for app in _hubs(status):
        try:
            results = juju.run(f"{app}/leader", _ACTION, call.parameters).results
        except ValueError:
            continue  # it has no such action
        except jubilant.TaskError as error:
            return _Charm(app, "", f"{app} does not say why: {error.task.message}")
        except (jubilant.CLIError, TimeoutError) as error:
            said = getattr(error, "stderr", "") or str(error)
            return _Charm(app, "", f"{app} does not say why: {said.strip()}")
        return _Charm(app, str(results.get("verdict", "")), str(results.get("reason", results)))
    nobody = f"no application of this model offers {_INTERFACE} and has the action `{_ACTION}`"
    return _Charm("", "", f"{nobody}, which could say more")


def _check_caller(name: str, status: jubilant.Status) -> None:
    """Raise an error unless a model has an application of this name."""
    app, of_unit, _ = name.partition("/")
    if app not in status.apps:
        raise _no_application(app, status)
    if of_unit:
        raise _UnknownError(f"{name} is a unit; the caller is an application: {app}")


def _check_target(name: str, status: jubilant.Status) -> None:
    """Raise an error unless a model has an application, a unit or a Service of this name."""
    app, of_unit, _ = name.partition("/")
    if app not in status.apps and (of_unit or _ports(app, status.model.name) is None):
        raise _no_application(app, status)
    if of_unit and name not in (units := status.apps[app].units):
        known = ", ".join(sorted(units)) or "none"
        raise _UnknownError(f"no unit {name}; the units of {app} are: {known}")


def _no_application(name: str, status: jubilant.Status) -> _UnknownError:
    known = ", ".join(sorted(status.apps)) or "none"
    return _UnknownError(
        f"no application {name} in model {status.model.name}; its applications are: {known}"
    )


def _pod(app: str, status: jubilant.Status) -> str:
    """Return the pod of the first unit of an application."""
    units = sorted(status.apps[app].units, key=lambda name: int(name.partition("/")[2]))
    if not units:
        raise _UnknownError(f"{app} has no units, so it makes no calls")
    return units[0].replace("/", "-")


def _url(call: _Call, status: jubilant.Status) -> str:
    """Return the URL of a call: the full name of a Service, or the address of a unit."""
    app, of_unit, _ = call.target.partition("/")
    host = f"{app}.{status.model.name}.svc.cluster.local"
    if of_unit:
        host = status.apps[app].units[call.target].address
    port = "" if call.port == _HTTP else f":{call.port}"
    return f"http://{host}{port}{call.path}"


def _ports(service: str, namespace: str) -> Sequence[int] | None:
    """Return the ports of a Service, which a charm may have added; None if there is no Service."""
    import lightkube  # slow to import, and seldom needed
    from lightkube.resources.core_v1 import Service

    try:
        found = lightkube.Client().get(Service, service, namespace=namespace)
    except lightkube.ApiError:
        return None
    return [port.port for port in (found.spec and found.spec.ports) or []]


def _hubs(status: jubilant.Status) -> list[str]:
    """Return the applications with the mesh's interface, those with most relations first."""
    related = Counter(
        name
        for name, app in status.apps.items()
        for relations in app.relations.values()
        for relation in relations
        if relation.interface == _INTERFACE
    )
    return [name for name, _ in related.most_common()]
