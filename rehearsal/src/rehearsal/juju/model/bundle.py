"""Bundle files: their content, and their faults, which are found before anything is deployed.

The messages and the order of the checks are those of `juju deploy`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pydantic
import yaml

from rehearsal import fast_yaml
from rehearsal.juju.errors import JujuError
from rehearsal.juju.model.charm import find

_UNREADABLE = "cannot deploy bundle: cannot unmarshal bundle contents: unmarshal document 0: "
_FAULTS = "cannot deploy bundle: the provided bundle has the following errors:\n"


class _Offer(pydantic.BaseModel):
    endpoints: list[str]


class _Application(pydantic.BaseModel):
    charm: str | None = None
    scale: pydantic.StrictInt | None = None
    num_units: pydantic.StrictInt | None = None
    options: dict[str, Any] | None = None
    resources: dict[str, Any] | None = None
    trust: bool = False
    offers: dict[str, _Offer] | None = None


class _Saas(pydantic.BaseModel):
    url: str


class _Document(pydantic.BaseModel):
    """The schema of a bundle. Like Juju, it ignores unknown keys."""

    bundle: str | None = None
    applications: dict[str, _Application | None] | None = None
    relations: list[list[str]] | None = None
    saas: dict[str, _Saas] | None = None


def _first(error: pydantic.ValidationError) -> str:
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


@dataclass(frozen=True)
class BundleOffer:
    """Endpoints of an application that a bundle offers to other models."""

    name: str
    app: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True)
class BundleApplication:
    """One application of a bundle."""

    name: str
    charm: str
    path: Path
    scale: int
    options: Mapping[str, Any]
    resources: Mapping[str, Any]
    trust: bool
    offers: tuple[BundleOffer, ...]


@dataclass(frozen=True)
class Bundle:
    """A bundle after its overlays were applied."""

    applications: Mapping[str, BundleApplication]
    relations: list[tuple[str, str]]
    saas: Mapping[str, str] = field(default_factory=dict[str, str])


def read(path: Path, overlays: list[Path]) -> Bundle:
    """Read and verify a bundle.

    Args:
        path: the bundle's file. Paths of charms are relative to its folder; further
            documents in it are overlays.
        overlays: further files to apply to the bundle.

    Raises:
        JujuError: if a file does not exist or has faults. The message names all faults.
    """
    base, *rest = _documents(path)
    for overlay in overlays:
        if not overlay.exists():
            raise JujuError(
                f'cannot deploy bundle: unable to process overlays: "{overlay}" not found'
            )
        rest += _documents(overlay)
    for document in rest:
        base = _overlay(base, document)
    try:
        _Document.model_validate(base)
    except pydantic.ValidationError as error:
        raise JujuError(f"{_UNREADABLE}{_first(error)}") from error
    faults = list(_faults(base, path.parent))
    if faults:
        raise JujuError(_FAULTS + "\n".join(faults))
    return Bundle(
        {
            name: _application(name, spec, path.parent)
            for name, spec in _section(base, "applications").items()
        },
        [(first, second) for first, second in base.get("relations") or ()],
        {name: spec["url"] for name, spec in _section(base, "saas").items()},
    )


def is_bundle(path: Path) -> bool:
    """Return whether a path names a bundle, and not a charm."""
    return path.suffix in (".yaml", ".yml") and path.is_file()


def _documents(path: Path) -> list[dict[str, Any]]:
    try:
        documents = list(fast_yaml.load_all(path.read_text()))
    except yaml.YAMLError as error:
        raise JujuError(f"{_UNREADABLE}yaml: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise JujuError(f"cannot deploy bundle: cannot read {path}: {error}") from error
    for document in documents:
        if not isinstance(document or {}, dict):
            raise JujuError(f"{_UNREADABLE}expected a mapping, got {document!r}")
    return [cast("dict[str, Any]", document or {}) for document in documents] or [{}]


def _overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Apply an overlay to a bundle: it merges mappings, removes null values, and adds relations."""
    apps = dict(_section(base, "applications"))
    for name, spec in _section(over, "applications").items():
        if spec is None:
            apps.pop(name, None)
        else:
            apps[name] = _merged(apps.get(name) or {}, spec)
    relations: list[list[str]] = [*(base.get("relations") or ()), *(over.get("relations") or ())]
    gone = set(_section(base, "applications")) - set(apps)
    return dict(base) | {
        "applications": apps,
        "saas": _section(base, "saas") | _section(over, "saas"),
        "relations": [r for r in relations if not any(_app(end) in gone for end in r)],
    }


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return document.get(name) or {}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    return dict(base) | {
        key: _merged(base[key], cast("dict[str, Any]", value))
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in over.items()
    }


def _faults(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
    apps = _section(document, "applications")
    if not apps:
        yield "at least one application must be specified"
    kind = document.get("bundle")
    if kind is None:
        yield "without `bundle: kubernetes` scale does not count, and no unit can be added"
    elif kind != "kubernetes":
        yield f'bundle has an invalid type "{kind}"'
    for name, spec in apps.items():
        yield from _application_faults(name, spec, folder)
    for name in apps.keys() & _section(document, "saas").keys():
        yield f'application "{name}" already exists with SAAS "{name}" name'
    known = {*apps, *_section(document, "saas")}
    seen: set[frozenset[str]] = set()
    relations: list[list[str]] = document.get("relations") or []
    for relation in relations:
        yield from _relation_faults(relation, known, seen)


def _application_faults(name: str, spec: Mapping[str, Any] | None, folder: Path) -> Iterator[str]:
    if spec is None:
        yield f'bundle application for key "{name}" is undefined'
    elif not spec.get("charm"):
        yield "empty charm path"
    elif not spec["charm"].startswith((".", "/")):
        yield f'application "{name}" is from Charmhub ({spec["charm"]}), which is not rehearsed'
    elif not find(folder / spec["charm"]).exists():
        path = folder / spec["charm"]
        yield f'charm path in application "{name}" does not exist: {path.absolute()}'
    elif "scale" in spec and "num_units" in spec:
        yield f'cannot specify both scale and num_units for application "{name}"'
    elif _scale(spec) < 0:
        yield f'negative number of units specified on application "{name}"'


def _relation_faults(
    relation: list[str], known: set[str], seen: set[frozenset[str]]
) -> Iterator[str]:
    shown = "[" + " ".join(f'"{end}"' for end in relation) + "]"
    if len(relation) != 2:
        yield f"relation {shown} has {len(relation)} endpoint(s), not 2"
        return
    for end in relation:
        if _app(end) not in known:
            app = _app(end)
            yield f'relation {shown} refers to application "{app}" not defined in this bundle'
    if _app(relation[0]) == _app(relation[1]):
        yield f"relation {shown} relates an application to itself"
    if frozenset(relation) in seen:
        yield f"relation {shown} is defined more than once"
    seen.add(frozenset(relation))


def _application(name: str, spec: Mapping[str, Any], folder: Path) -> BundleApplication:
    options: dict[str, Any] = dict(spec.get("options") or {})
    return BundleApplication(
        name=name,
        charm=spec["charm"],
        path=find(folder / spec["charm"]),
        scale=_scale(spec),
        options={k: v for k, v in options.items() if k != "trust"},
        resources=spec.get("resources") or {},
        trust=bool(spec.get("trust") or options.get("trust")),
        offers=tuple(
            BundleOffer(offer, name, tuple(offered["endpoints"]))
            for offer, offered in _section(spec, "offers").items()
        ),
    )


def _scale(spec: Mapping[str, Any]) -> int:
    return int(spec.get("scale", spec.get("num_units", 0)))


def _app(end: str) -> str:
    return end.partition(":")[0]
