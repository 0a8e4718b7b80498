"""The Python environment of a charm: made from its lock file, and kept for the next time.

A charm folder has `uv.lock` or `requirements.txt`; a packed charm has its packages in `venv/`. A
folder with none of them runs in the environment of the rehearsal.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rehearsal import fast_yaml
from rehearsal.juju.errors import JujuError

Say = Callable[[str], None]
"""Prints a line for the user."""
_OLDEST = (2, 15)
"""The oldest ops that ops-scenario 7, by which hooks run, works with."""
_FIRST_PAIR = "ops-scenario>=7.0.5,<8"
"""The ops-scenario of versions of ops that do not name one themselves."""
_REQUIREMENTS = "requirements.txt"
_LOCKED_PYTHON = re.compile(r'^requires-python = "([^"]+)"', re.MULTILINE)
_LOCKED_OPS = re.compile(r'^name = "ops"\nversion = "([^"]+)"', re.MULTILINE)
_PINNED_OPS = re.compile(r"^ops(?:\[[^]]*\])?\s*==\s*([^\s;#]+)", re.MULTILINE)
_PYDEPS = re.compile(r"^PYDEPS\s*=\s*\[([^]]*)\]", re.MULTILINE)
_QUOTED = re.compile(r"[\"']([^\"']+)[\"']")
_BUILT_FOR = re.compile(r"\.cpython-3(\d+)-")
_PACKAGES = ("charm-python-packages", "charm-binary-python-packages", "python-packages")
"""The keys by which a part names packages for charmcraft's plugins `charm` and `python`."""
_COMPILE = "--compile-bytecode"
"""Has uv compile packages as pip does. A process that runs a charm may not write bytecode there."""
_MOST_LINES = 12
"""Lines of an installer's complaint that are shown, from its end."""


@dataclass(frozen=True)
class Environment:
    """The environment of a charm's code.

    Attributes:
        python: path of the interpreter.
        ops: version of ops.
        packages: folder of packages that come before those of the interpreter.
        number: version of the interpreter, such as `3.12`.
    """

    python: str
    ops: str
    packages: Path | None = None
    number: str = f"3.{sys.version_info.minor}"


def prepare(source: Path, name: str, say: Say) -> Environment:
    """Return the environment of a charm, and make it if it is not there.

    Args:
        source: the charm's folder, or the folder into which a packed charm was extracted.
        name: the charm's name, for messages.
        say: prints a line about long steps and possible problems.

    Raises:
        JujuError: it cannot be made, or its ops is too old.
    """
    try:
        if packages := _packed(source):
            return _packed_environment(packages, name, say)
        if (source / "uv.lock").exists() and (_uv() or not _requirements(source)):
            return _locked_environment(source, name, say)
        if _requirements(source):
            return _required_environment(source, name, say)
    except OSError as error:
        raise JujuError(f"cannot prepare the environment of {name}: {error}") from error
    return Environment(sys.executable, importlib.metadata.version("ops"))


def _requirements(source: Path) -> str:
    """Return the requirements of a charm, and those of the libraries that it brings along."""
    file = source / _REQUIREMENTS
    own = [file.read_text()] if file.exists() else []
    own += [name for part in _parts(source) for key in _PACKAGES for name in part.get(key) or ()]
    if not own:
        return ""
    found = (_PYDEPS.findall(code.read_text()) for code in source.glob("lib/charms/*/v*/*.py"))
    named = [word for each in found for text in each for word in _QUOTED.findall(text)]
    return "\n".join([*own, *sorted(set(named)), ""])


def _locked_environment(source: Path, name: str, say: Say) -> Environment:
    lock, project = source / "uv.lock", source / "pyproject.toml"
    if not _uv():
        raise JujuError(
            f"{name} has a uv.lock, but uv is neither on PATH nor a package of {sys.executable}; "
            "to get it: pip install uv"
        )
    options = _uv_options(source)
    folder = _folder(lock.read_bytes(), project.read_bytes() if project.exists() else b"", *options)
    if not _is_ready(folder) and _is_satisfied(source, options):
        return Environment(sys.executable, importlib.metadata.version("ops"))
    version = _LOCKED_OPS.search(lock.read_text())

    def install() -> None:
        _sync(source, folder, options, name)

    made = _made(folder, name, version[1] if version else "", say, install)
    if (folder / _REQUIREMENTS).exists():
        wanted = _LOCKED_PYTHON.search(lock.read_text())
        say(
            f"WARNING {name} requires Python {wanted[1] if wanted else ''}, which is not on this "
            f"machine and cannot be downloaded: it runs on {made.number}"
        )
    return made


def _uv_options(source: Path) -> list[str]:
    """Return the extras and groups that the charm's part asks charmcraft's uv plugin for."""
    asked = {"--extra": "uv-extras", "--group": "uv-groups"}
    return [
        word
        for option, key in asked.items()
        for part in _parts(source)
        for name in part.get(key) or ()
        for word in (option, name)
    ]


def _parts(source: Path) -> list[dict[str, Any]]:
    """Return the parts of which charmcraft makes a charm."""
    charmcraft = source / "charmcraft.yaml"
    document: Any = fast_yaml.load(charmcraft.read_text()) if charmcraft.exists() else None
    parts: dict[str, dict[str, Any]] = document.get("parts") or {} if document else {}
    return list(parts.values())


def _sync(source: Path, folder: Path, options: Sequence[str], name: str) -> None:
    words = ["sync", "--frozen", "--no-dev", "--no-install-project", _COMPILE, *options]
    variables = {"UV_PROJECT_ENVIRONMENT": str(folder)}
    done = _run_uv([*words, "--python", sys.executable], source, variables)
    if (done.returncode and "requires-python" in done.stderr) or "incompatible with" in done.stderr:
        done = _run_uv(words, source, variables)  # with a Python that uv finds
        if done.returncode and not _finds_python(source):
            _sync_anyway(source, folder, options, name)
            return
    _check(done, name)


def _finds_python(source: Path) -> bool:
    """Return whether uv knows a Python that a charm accepts."""
    return _run_uv(["python", "find", "--no-python-downloads"], source, {}).returncode == 0


def _sync_anyway(source: Path, folder: Path, options: Sequence[str], name: str) -> None:
    """Install the packages of a lock for another Python into an environment with our own."""
    words = ["export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", *options]
    exported = _run_uv([*words, "--python", sys.executable], source, {})
    _check(exported, name)
    _install_listed(folder, exported.stdout, name)


def _is_satisfied(source: Path, options: Sequence[str]) -> bool:
    """Return whether the rehearsal's environment has all locked packages, in the same versions."""
    words = ["sync", "--frozen", "--no-dev", "--no-install-project", "--inexact", "--check"]
    if sys.prefix == sys.base_prefix:
        return False
    variables = {"UV_PROJECT_ENVIRONMENT": sys.prefix}
    done = _run_uv([*words, *options, "--python", sys.executable], source, variables)
    return done.returncode == 0


def _required_environment(source: Path, name: str, say: Say) -> Environment:
    requirements = _requirements(source)
    folder = _folder(requirements.encode())
    version = _PINNED_OPS.search(requirements)

    def install() -> None:
        _install_listed(folder, requirements, name)

    return _made(folder, name, version[1] if version else "", say, install)


def _made(
    folder: Path, name: str, version: str, say: Say, install: Callable[[], None]
) -> Environment:
    """Return the environment in a folder; make it unless another run has made it."""
    _refuse_old(version, name)
    with _locked(folder):
        if not _is_ready(folder):
            say(f"preparing the environment of {name} (ops {version or 'as required'})")
            shutil.rmtree(folder, ignore_errors=True)
            install()
            _add_testing(folder, _ops(_packages(folder), name), name)
            _ready(folder).touch()
    packages = _packages(folder)
    number = packages.parent.name.removeprefix("python")
    return Environment(str(folder / "bin" / "python"), _ops(packages, name)[0], None, number)


def _packed(source: Path) -> Path | None:
    """Return the folder of a packed charm's packages; older charmcrafts fill `venv` itself."""
    if (source / "uv.lock").exists() or not (source / "venv").is_dir():
        return None
    return next(source.glob("venv/lib/python3*/site-packages"), source / "venv")


def _packed_environment(packages: Path, name: str, say: Say) -> Environment:
    version, pair = _ops(packages, name)
    python, number = _python_for(packages, name, say)
    folder = _folder(b"packed", number.encode(), version.encode(), pair.encode())
    with _locked(folder):
        if not _is_ready(folder):
            say(f"preparing the environment of {name} (ops {version})")
            shutil.rmtree(folder, ignore_errors=True)
            _create(folder, python, name)
            _install(folder, [pair, f"ops=={version}"], name)
            _ready(folder).touch()
    return Environment(str(folder / "bin" / "python"), version, packages, number)


def _python_for(packages: Path, name: str, say: Say) -> tuple[str, str]:
    """Return the interpreter for which a packed charm was built, or ours with a warning."""
    own = f"3.{sys.version_info.minor}"
    number = _built_for(packages) or own
    if number == own:
        return sys.executable, own
    found = _find_python(number)
    if found:
        return found, number
    say(
        f"WARNING {name} was packed for Python {number}, which is not on PATH: it runs on {own}, "
        f"on which its compiled packages cannot be imported. Install Python {number}."
    )
    return sys.executable, own


def _built_for(packages: Path) -> str | None:
    """Return the version of Python in a folder's path or in the names of compiled modules."""
    if packages.name == "site-packages":
        return packages.parent.name.removeprefix("python")
    names = (_BUILT_FOR.search(file.name) for file in packages.rglob("*.so"))
    return next((f"3.{match[1]}" for match in names if match), None)


def _find_python(number: str) -> str | None:
    found = [shutil.which(f"python{number}")]
    if _uv():
        found.append(_run_uv(["python", "find", number], Path.cwd(), {}).stdout.strip())
    return next((path for path in found if path and _works(path)), None)


def _works(python: str) -> bool:
    """Return whether an interpreter runs; a shim of pyenv may have none behind it."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _ops(packages: Path, name: str) -> tuple[str, str]:
    """Return the version of ops in a folder, and the requirement of its ops-scenario."""
    found = next(iter(importlib.metadata.distributions(name="ops", path=[str(packages)])), None)
    if found is None:
        raise JujuError(f"{name} does not depend on ops: add ops to its dependencies")
    _refuse_old(found.version, name)
    pairs = (line for line in found.requires or () if line.startswith("ops-scenario"))
    return found.version, next((pair.partition(";")[0].strip() for pair in pairs), _FIRST_PAIR)


def _refuse_old(version: str, name: str) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise JujuError(
            f"{name} depends on ops {version}, which is too old to be rehearsed: "
            f"require ops {_OLDEST[0]}.{_OLDEST[1]} or newer and lock it, for example by "
            "`uv lock --upgrade-package ops`"
        )


def _add_testing(folder: Path, ops: tuple[str, str], name: str) -> None:
    """Install the ops-scenario that goes with an environment's ops, unless it is there."""
    version, pair = ops
    path = [str(_packages(folder))]
    there = importlib.metadata.distributions(name="ops-scenario", path=path)
    if not any(pair == f"ops-scenario=={each.version}" for each in there):
        _install(folder, [pair, f"ops=={version}"], name)


def _packages(folder: Path) -> Path:
    return next(folder.glob("lib/python3*/site-packages"))


def _install_listed(folder: Path, requirements: str, name: str) -> None:
    """Create an environment with the packages of a requirements.txt, which is kept in it."""
    shutil.rmtree(folder, ignore_errors=True)
    _create(folder, sys.executable, name)
    file = folder / _REQUIREMENTS
    file.write_text(requirements)
    _install(folder, ["-r", str(file)], name)


def _create(folder: Path, python: str, name: str) -> None:
    """Create an empty environment."""
    if _uv():
        _check(_run_uv(["venv", "--python", python, str(folder)], Path.cwd(), {}), name)
    else:
        _check(_run([python, "-m", "venv", str(folder)], Path.cwd(), os.environ), name)


def _install(folder: Path, words: Sequence[str], name: str) -> None:
    """Install packages into an environment."""
    python = str(folder / "bin" / "python")
    if _uv():
        install = ["pip", "install", _COMPILE, "--python", python]
        done = _run_uv([*install, *words], Path.cwd(), {})
    else:
        install = [python, "-m", "pip", "install", "--disable-pip-version-check"]
        done = _run([*install, *words], Path.cwd(), os.environ)
    _check(done, name)


@cache
def _uv() -> tuple[str, ...]:
    """Return the words that run uv, or none if it is not installed."""
    if path := shutil.which("uv"):
        return (path,)
    if importlib.util.find_spec("uv"):
        # Its module would set VIRTUAL_ENV for the program.
        return (str(importlib.import_module("uv").find_uv_bin()),)
    return ()


def _run_uv(
    words: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    return _run([*_uv(), *words], folder, {**inherited, **variables})


def _run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )


def _check(done: "subprocess.CompletedProcess[str]", name: str) -> None:
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_MOST_LINES:])
        raise JujuError(f"cannot install the dependencies of {name}:\n{said}")


def _folder(*contents: bytes | str) -> Path:
    """Return the folder of the environment that is made from these contents."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    version = importlib.metadata.version("juju-rehearsal")
    key = hashlib.sha256()
    for part in (sys.version, sys.base_prefix, version, *contents):
        key.update(part if isinstance(part, bytes) else part.encode())
        key.update(b"\0")
    return Path(root) / "juju-rehearsal" / "environments" / key.hexdigest()[:16]


def _ready(folder: Path) -> Path:
    """Return the file that marks an environment as complete."""
    return folder / ".ready"


def _is_ready(folder: Path) -> bool:
    python = folder / "bin" / "python"
    return _ready(folder).exists() and python.exists()  # an interpreter may have been removed


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Keep other runs from making the same environment meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
