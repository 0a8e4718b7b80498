#!/usr/bin/env python3
"""Packs every charm beside this file into the place where bundles look: <name>/<name>.charm.

charmcraft adds the platform to the name of the file that it packs. A bundle needs one name for all.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

# charmcraft builds in an LXD container: https://documentation.ubuntu.com/charmcraft/
TOOLS = {
    "charmcraft": "sudo snap install charmcraft --classic",
    "lxd": "sudo snap install lxd && sudo lxd init --auto && sudo adduser $USER lxd; log in anew",
}
# The kernel's name of each architecture, and the name of its platform in charmcraft.yaml.
PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> None:
    """Pack all charms, or print the obstacle on stderr and exit with 1."""
    paths, target = _paths(), _platform()
    for metadata in sorted(Path(__file__).parent.glob("*/charmcraft.yaml")):
        print("packed", _pack(paths["charmcraft"], metadata.parent, target), flush=True)


def _paths() -> dict[str, str]:
    """Return the path of each tool that is needed."""
    # With this variable charmcraft builds on this machine, which has to be Ubuntu, without LXD.
    on_host = os.environ.get("CRAFT_BUILD_ENVIRONMENT") == "host"
    needed = TOOLS.keys() - ({"lxd"} if on_host else set[str]())
    found = {tool: path for tool in needed if (path := shutil.which(tool))}
    missing = [f"{tool} is not on PATH; to get it: {TOOLS[tool]}" for tool in needed - found.keys()]
    if missing:
        sys.exit("\n".join(sorted(missing)))
    return found


def _platform() -> str:
    machine = platform.machine()
    if machine not in PLATFORMS:
        sys.exit(f"this machine is {machine}; the charms are for {' and '.join(PLATFORMS)}")
    return PLATFORMS[machine]


def _pack(charmcraft: str, charm: Path, target: str) -> Path:
    """Pack one charm in its own folder, in which every version of charmcraft leaves its file."""
    status = subprocess.call([charmcraft, "pack", "--platform", target], cwd=charm)
    if status:
        sys.exit(f"charmcraft could not pack {charm.name}: exit status {status}, see above")
    made = charm / f"{charm.name}_{target}.charm"
    if not made.exists():
        sys.exit(f"charmcraft has packed {charm.name}, but there is no {made}")
    return made.replace(charm / f"{charm.name}.charm")


if __name__ == "__main__":
    main()
