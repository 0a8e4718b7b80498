"""The reason for a denied call, from the action `explain` of a mesh."""

import jubilant

from mesh_map.model import Call

ACTION = "explain"
"""The action of a mesh that gives the reason for a decision."""


def explain(juju: jubilant.Juju, mesh: str, call: Call) -> str:
    """Return the reason that a mesh gives for its decision on a call; empty if it gives none.

    Args:
        juju: the model of the mesh and of the application that was called.
        mesh: the application that provides the mesh.
        call: the call.
    """
    params = {
        "from": call.source.app,
        "model": call.source.model,
        "to": call.unit or call.target.app,
        "port": call.port,
        "method": call.method,
        "path": call.path,
    }
    try:
        results = juju.run(f"{mesh}/leader", ACTION, params).results
    except (jubilant.CLIError, jubilant.TaskError, TimeoutError, ValueError):
        return ""  # it has no such action, or no leader at the moment
    return str(results.get("reason", ""))
