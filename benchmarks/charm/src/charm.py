#!/usr/bin/env python3
"""A minimal consumer of a mesh, on the library that the variable SERVICE_MESH names."""

import importlib
import os
from typing import Any

import ops

mesh: Any = importlib.import_module(os.environ["SERVICE_MESH"])


class ConsumerCharm(ops.CharmBase):
    """Allows readers and scrapers to call it."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        get = mesh.Endpoint(ports=[8080], methods=[mesh.Method.get], paths=["/data"])
        self.mesh = mesh.ServiceMeshConsumer(
            self,
            policies=[
                mesh.AppPolicy(relation="data", endpoints=[get]),
                mesh.UnitPolicy(relation="metrics", ports=[9090]),
            ],
        )


if __name__ == "__main__":
    ops.main(ConsumerCharm)
