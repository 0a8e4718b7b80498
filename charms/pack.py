#!/usr/bin/env python3
"""Packs every charm beside it, and puts each where the bundles look: <name>/<name>.charm.

charmcraft has the platform in the name of the file that it makes; a bundle has one name for all.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

# charmcraft builds in a container of LXD, hence both: https://documentation.ubuntu.com/charmcraft/
TOOLS = {
    "charmcraft": "sudo snap install charmcraft --classic",
    "lxd": "sudo snap install lxd && sudo lxd init --auto && sudo adduser $USER lxd; log in anew",
}
# The kernel's names of architectures, and those of the platforms in charmcraft.yaml.
PLATFORMS = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> None:
    """Pack all charms, or say on stderr what stands in the way and exit with 1."""
    paths, target = _paths(), _platform()
    for metadata in sorted(Path(__file__).parent.glob("*/charmcraft.yaml")):
        print("packed", _pack(paths["charmcraft"], metadata.parent, target), flush=True)


def _paths() -> dict[str, str]:
    """Return where each tool is."""
    found = {tool: path for tool in TOOLS if (path := shutil.which(tool))}
    missing = [f"{tool} is not on PATH; to get it: {TOOLS[tool]}" for tool in TOOLS.keys() - found]
    if missing:
        sys.exit("\n".join(sorted(missing)))
    return found


def _platform() -> str:
    machine = platform.machine()
    if machine not in PLATFORMS:
        sys.exit(f"this machine is {machine}; the charms are for {' and '.join(PLATFORMS)}")
    return PLATFORMS[machine]


def _pack(charmcraft: str, charm: Path, target: str) -> Path:
    """Pack one charm in its own folder, where any version of charmcraft leaves its file."""
    status = subprocess.call([charmcraft, "pack", "--platform", target], cwd=charm)
    if status:
        sys.exit(f"charmcraft could not pack {charm.name}: exit status {status}, see above")
    made = charm / f"{charm.name}_{target}.charm"
    if not made.exists():
        sys.exit(f"charmcraft has packed {charm.name}, but there is no {made}")
    return made.replace(charm / f"{charm.name}.charm")


if __name__ == "__main__":
    main()
