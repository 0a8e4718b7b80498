"""`juju-rehearsal explain`: why a call is allowed or denied, as the mesh charm says it."""

import os
import sys
from collections import Counter

import jubilant

_INTERFACE, _ACTION = "service_mesh", "explain"
_OUTSIDE = """\
no rehearsal runs here. Open a shell in one, and ask there:
    juju-rehearsal shell BUNDLE
    juju-rehearsal explain FROM TO METHOD PATH PORT"""


class _UnknownError(Exception):
    """It cannot be told; the message says why."""


def explain(source: str, target: str, method: str, path: str, port: int) -> int:
    """Print the verdict of the mesh in the model in focus, with its reason.

    Args:
        source: who calls, `application` or `model.application`.
        target: who is called, `application`, or `application/0` at a unit's own address.
        method: the HTTP method.
        path: the path.
        port: the port.

    Returns:
        Exit status: 0 for an answer, whatever it is, and 1 if there is none.
    """
    model, _, app = source.rpartition(".")
    call = {"from": app, "to": target, "method": method, "path": path, "port": port}
    try:
        results = _ask(jubilant.Juju(), call | ({"model": model} if model else {}))
    except (_UnknownError, jubilant.TaskError, TimeoutError) as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    except jubilant.CLIError as error:
        sys.stderr.write(error.stderr or "")
        return 1
    print(f"{results['verdict']}: {results['reason']}")
    return 0


def _ask(juju: jubilant.Juju, call: dict[str, str | int]) -> dict[str, str]:
    if "REHEARSAL_DIRECTORY" not in os.environ:
        raise _UnknownError(_OUTSIDE)
    status = juju.status()
    theirs = jubilant.Juju(model=str(call["model"])).status() if "model" in call else status
    _check_caller(str(call["from"]), theirs)
    _check_target(str(call["to"]), status)
    for app in _hubs(status):
        try:
            return dict(juju.run(f"{app}/leader", _ACTION, call).results)
        except ValueError:
            continue  # it has no such action
    raise _UnknownError(
        f"no application of this model offers {_INTERFACE} and has the action `{_ACTION}`"
    )


def _check_caller(name: str, status: jubilant.Status) -> None:
    """Raise an error unless a model has an application of this name."""
    app, of_unit, _ = name.partition("/")
    if app not in status.apps:
        raise _no_application(app, status)
    if of_unit:
        raise _UnknownError(f"{name} is a unit; who calls is an application: {app}")


def _check_target(name: str, status: jubilant.Status) -> None:
    """Raise an error unless a model has an application, a unit or a Service of this name."""
    app, of_unit, _ = name.partition("/")
    if app not in status.apps and (of_unit or not _is_service(app, status.model.name)):
        raise _no_application(app, status)
    if of_unit and name not in (units := status.apps[app].units):
        known = ", ".join(sorted(units)) or "none"
        raise _UnknownError(f"no unit {name}; the units of {app} are: {known}")


def _no_application(name: str, status: jubilant.Status) -> _UnknownError:
    known = ", ".join(sorted(status.apps)) or "none"
    return _UnknownError(
        f"no application {name} in model {status.model.name}; its applications are: {known}"
    )


def _is_service(name: str, namespace: str) -> bool:
    """Return whether Kubernetes has a Service, which a charm may have added to its own."""
    import lightkube  # slow to import, and seldom needed
    from lightkube.resources.core_v1 import Service

    try:
        lightkube.Client().get(Service, name, namespace=namespace)
    except lightkube.ApiError:
        return False
    return True


def _hubs(status: jubilant.Status) -> list[str]:
    """Return who is related by the mesh's interface; first who has most relations, the mesh."""
    related = Counter(
        name
        for name, app in status.apps.items()
        for relations in app.relations.values()
        for relation in relations
        if relation.interface == _INTERFACE
    )
    return [name for name, _ in related.most_common()]
