"""A charm as its folder or `.charm` file describes it."""

import hashlib
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from rehearsal import fast_yaml
from rehearsal.juju.errors import JujuError
from rehearsal.juju.model import packing
from rehearsal.juju.model.not_rehearsed import not_rehearsed

Role = Literal["provider", "requirer", "peer"]
ConfigValue = bool | int | float | str
_ROLES: tuple[tuple[str, Role], ...] = (
    ("provides", "provider"),
    ("requires", "requirer"),
    ("peers", "peer"),
)
_IN_JUJU = re.compile(r"^[^#\n]*\buse_juju_for_storage\s*=\s*True\b", re.MULTILINE)
"""A call of ops.main that has Juju store the charm's state."""


@dataclass(frozen=True)
class Endpoint:
    """One end of a possible relation."""

    name: str
    interface: str
    role: Role
    limit: int | None = None


@dataclass(frozen=True)
class Charm:
    """A charm, as Juju knows it.

    Attributes:
        root: the charm's files as they run; a private copy.
        revision: counts the uploads of the same charm to one model, from 0.
        stores_in_juju: whether Juju keeps its StoredState, instead of a file in the pod.
        container_resources: the name of the resource with the image of each container.
        not_rehearsed: a line for each declaration that has no effect in a rehearsal.
        digest: the same for charms with the same files.
    """

    name: str
    root: Path
    revision: int
    endpoints: Mapping[str, Endpoint]
    options: Mapping[str, Mapping[str, Any]]
    actions: Mapping[str, Mapping[str, Any]]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    stores_in_juju: bool = False
    container_resources: Mapping[str, str] = field(default_factory=dict[str, str])
    not_rehearsed: tuple[str, ...] = ()
    digest: str = ""

    @property
    def url(self) -> str:
        """The charm's URL in status."""
        return f"local:{self.name}-{self.revision}"

    def defaults(self) -> dict[str, ConfigValue]:
        """Return the options that have a default, with it."""
        return {k: v["default"] for k, v in self.options.items() if v.get("default") is not None}


def find(path: Path) -> Path:
    """Return the `.charm` file that a bundle names, or its folder if it has not been packed yet."""
    if not path.exists() and path.suffix == ".charm" and _is_folder(path.parent):
        return path.parent
    return path


def name_of(path: Path) -> str:
    """Return the name of the charm in a folder or file.

    Raises:
        JujuError: if it is not a charm.
    """
    if not path.exists():
        raise JujuError(f'no charm was found at "{path}"')
    if not _is_folder(path) and not zipfile.is_zipfile(path):
        raise JujuError(f'invalid charm or bundle provided at "{path}"')
    name = (_read(path, "charmcraft.yaml") | _read(path, "metadata.yaml")).get("name")
    if not name:
        raise JujuError(f'attempting to deploy "{path}": the charm has no name')
    return str(name)


def upstream_images(path: Path) -> dict[str, str]:
    """Return the images that a charm names as the sources of its resources, by resource."""
    meta = _read(path, "charmcraft.yaml") | _read(path, "metadata.yaml")
    resources: dict[str, Any] = meta.get("resources") or {}
    sources = {name: spec.get("upstream-source") for name, spec in resources.items() if spec}
    return {name: str(source) for name, source in sources.items() if source}


def load(path: Path, revision: int, directory: Path) -> Charm:
    """Copy the charm at `path` below `directory` and describe it.

    Raises:
        JujuError: if it is not a charm.
    """
    root = directory / f"{name_of(path)}-{revision}"
    shutil.rmtree(root, ignore_errors=True)  # of an upload that failed
    _copy(path, root)
    meta = _read(root, "charmcraft.yaml") | _read(root, "metadata.yaml")
    resources: dict[str, Any] = meta.get("resources") or {}
    return Charm(
        name=meta["name"],
        root=root,
        revision=revision,
        endpoints=_endpoints(meta),
        options=(meta.get("config") or _read(root, "config.yaml")).get("options") or {},
        actions=read_actions(meta.get("actions") or _read(root, "actions.yaml")),
        containers=tuple(meta.get("containers") or ()),
        images=tuple(name for name, r in resources.items() if r.get("type") == "oci-image"),
        stores_in_juju=_stores_in_juju(root / "src" / "charm.py"),
        container_resources=_container_resources(meta),
        not_rehearsed=(
            *not_rehearsed(meta, root / "src" / "charm.py"),
            *(packing.left_out(path, meta) if path.is_dir() else ()),
        ),
        digest=_digest(root if path.is_dir() else path),
    )


def _digest(path: Path) -> str:
    """Return a hash of a packed charm, or of the names, modes and contents of a folder's files."""
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        mode, size = file.stat().st_mode, file.stat().st_size
        digest.update(f"{file.relative_to(path)}\0{mode}\0{size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def read_actions(actions: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Mapping[str, Any]]:
    """Return the actions of a charm; an action may have a name and nothing else."""
    return {name: body or {} for name, body in actions.items()}


def _container_resources(meta: Mapping[str, Any]) -> dict[str, str]:
    containers: dict[str, dict[str, str] | None] = meta.get("containers") or {}
    return {
        name: spec["resource"] for name, spec in containers.items() if spec and "resource" in spec
    }


def _stores_in_juju(code: Path) -> bool:
    return code.exists() and _IN_JUJU.search(code.read_text(errors="replace")) is not None


def _is_folder(path: Path) -> bool:
    return (path / "charmcraft.yaml").exists() or (path / "metadata.yaml").exists()


def _copy(path: Path, root: Path) -> None:
    if path.is_dir():
        meta = _read(path, "charmcraft.yaml")
        packing.check(path, meta)
        packing.copy(path, root, meta)
        return
    with zipfile.ZipFile(path) as archive:
        archive.extractall(root)


def _read(path: Path, name: str) -> dict[str, Any]:
    if path.is_dir():
        file = path / name
        text = file.read_text() if file.exists() else ""
    else:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(name) if name in archive.namelist() else ""
    try:
        return cast("dict[str, Any]", fast_yaml.load(text) or {})
    except yaml.YAMLError as error:
        raise JujuError(f"cannot read {path / name}: {error}") from error


def _endpoints(meta: Mapping[str, Any]) -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for section, role in _ROLES:
        specs: dict[str, Any] = meta.get(section) or {}
        for name, spec in specs.items():
            if "interface" not in (spec or {}):
                raise JujuError(f"{section}: {name}: interface: expected string, got nothing")
            found[name] = Endpoint(name, spec["interface"], role, spec.get("limit"))
    return found | {"juju-info": Endpoint("juju-info", "juju-info", "provider")}
