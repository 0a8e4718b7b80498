"""The files of a charm folder that `charmcraft pack` takes, and its changes to them."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rehearsal.juju.errors import JujuError

_NOT_PACKED = shutil.ignore_patterns(".*", "__pycache__", "tests", "venv", "*.charm")
_DESCRIPTION = ("charmcraft.yaml", "metadata.yaml", "config.yaml", "actions.yaml")
_DEPENDENCIES = ("pyproject.toml", "uv.lock", "requirements.txt", "poetry.lock")
_CODE = ("src", "lib")
_CODE_ALONE = frozenset({"uv", "poetry", "python"})
"""Plugins that take a charm's code and nothing else of its folder."""
_DEFAULT = "craftctl default"
"""The command of `override-build` that has the same effect as no `override-build`."""


def check(folder: Path, meta: Mapping[str, Any]) -> None:
    """Refuse a folder that cannot run before charmcraft has worked on it.

    Raises:
        JujuError: it has extensions, or lacks libraries.
    """
    if extensions := meta.get("extensions"):
        raise JujuError(
            f'"{folder}" uses the extension {", ".join(extensions)}, which only charmcraft can '
            "expand: run `charmcraft pack` there and deploy the .charm file"
        )
    missing = [str(file) for file in _libraries(meta) if not (folder / file).exists()]
    if missing:
        raise JujuError(
            f'"{folder}" lacks libraries of its charm-libs ({", ".join(missing)}): '
            "run `charmcraft fetch-libs` there"
        )


def _libraries(meta: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files of the libraries that `charm-libs` names."""
    for entry in meta.get("charm-libs") or ():
        charm, _, library = str(entry["lib"]).replace("-", "_").partition(".")
        major = str(entry["version"]).partition(".")[0]
        yield Path("lib", "charms", charm, f"v{major}", f"{library}.py")


def copy(folder: Path, root: Path, meta: Mapping[str, Any]) -> None:
    """Copy the files that `charmcraft pack` would take."""
    parts: dict[str, dict[str, Any]] = meta.get("parts") or {}
    plugins = {part.get("plugin", name) for name, part in parts.items()}
    if not plugins & _CODE_ALONE or "charm" in plugins:
        shutil.copytree(folder, root, ignore=_NOT_PACKED)
        return
    root.mkdir(parents=True)
    for name in (*_CODE, *_DESCRIPTION, "dispatch"):
        _copy(folder / name, root / name)
    for _, source, part in _dumps(folder, parts):
        for file, target in _dumped(source, part):
            _copy(file, root / target)


def left_out(folder: Path, meta: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each part of a charm that only charmcraft can make.

    Args:
        folder: the folder of the charm.
        meta: its charmcraft.yaml.
    """
    parts: dict[str, dict[str, Any]] = meta.get("parts") or {}
    for name, source, part in _dumps(folder, parts):
        if not source.is_dir():
            yield f'part "{name}" is left out, since its source is not a folder: {part["source"]}'
    for name, part in parts.items():
        lines = str(part.get("override-build") or _DEFAULT).split("\n")
        if {line.strip() for line in lines} - {_DEFAULT, ""}:
            yield (
                f'override-build of part "{name}" does not run, so the files that it makes are '
                "missing: run `charmcraft pack` and deploy the .charm file if the charm needs them"
            )


def _dumps(
    folder: Path, parts: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yield the parts with the plugin `dump`: their names, sources and contents."""
    for name, part in parts.items():
        if part.get("plugin") == "dump":
            yield name, folder / str(part.get("source", ".")), part


def _dumped(folder: Path, part: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the files of a part with the plugin `dump`, and their paths in the charm."""
    moved: Mapping[str, str] = part.get("organize") or {}
    sources = {target: source for source, target in moved.items()}
    wanted: list[str] = part.get("prime") or part.get("stage") or ["*"]
    for name in (name.removesuffix("/*") for name in wanted if not name.startswith("-")):
        for file in folder.glob(sources.get(name, name)):
            path = str(file.relative_to(folder))
            yield file, moved.get(path, path)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_NOT_PACKED, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def note(named: str, taken: Path) -> str | None:
    """Return a line about the charm that is taken, if a user may expect another.

    Args:
        named: the path that the user or the bundle gives.
        taken: the path of the charm that is deployed.
    """
    if named.endswith(".charm") and taken.is_dir():
        return f"{named} has not been packed: the folder {taken} is taken"
    newer = _newest(taken.parent) if taken.is_file() else None
    if newer is None or newer.stat().st_mtime <= taken.stat().st_mtime:
        return None
    return (
        f"WARNING {taken} is taken, which is older than {newer.relative_to(taken.parent)}: "
        "pack the charm again, or remove the file so that the folder is taken"
    )


def _newest(folder: Path) -> Path | None:
    """Return the source of a charm that was changed last."""
    named = [folder / name for name in (*_DESCRIPTION, *_DEPENDENCIES)]
    code = [file for name in _CODE for file in (folder / name).rglob("*.py")]
    files = [file for file in (*named, *code) if file.exists()]
    return max(files, key=lambda file: file.stat().st_mtime, default=None)
