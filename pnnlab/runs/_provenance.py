"""Where a run comes from: the code, the computer and the command that made it."""

import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

import pnnlab
from pnnlab.runs._json import JsonValue

__all__ = ["collect_provenance"]

_PACKAGES: Final = (
    "filelock", "h5netcdf", "numpy", "pint", "pydantic", "pymeasure", "pyserial", "pytorch-ignite", "pyvisa",
    "pyvisa-py", "ruamel.yaml", "scikit-learn", "scipy", "torch", "xarray",
)  # fmt: skip
_DRIVER_GROUPS: Final = ("pnnlab.drivers", "pnnlab.plants")
_GIT_TIMEOUT_S: Final = 10.0


def collect_provenance(folder: Path) -> dict[str, JsonValue]:
    """Return what a later reader needs to know about the code that is running now.

    Versions come from the installed packages' metadata, so that nothing is imported for them; packages that provide
    drivers are among them.

    Args:
        folder: Whose git revision is asked for; `None` is recorded where it is in no repository or git is missing.
    """
    return {
        "pnnlab": pnnlab.__version__,
        "python": platform.python_version(),
        "os": platform.platform(),
        "packages": {name: version for name in _names() if (version := _version(name))},
        "git": _git(folder),
        "command": list(sys.orig_argv),
        "folder": str(folder),
    }


def _names() -> list[str]:
    """Return the packages whose version may change what a run measures."""
    drivers = {
        point.dist.name for group in _DRIVER_GROUPS for point in metadata.entry_points(group=group) if point.dist
    }
    return sorted(drivers | set(_PACKAGES))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path) -> dict[str, JsonValue] | None:
    git = shutil.which("git")
    # most runs start outside a repository: looking for it is cheaper than a process
    inside = any((parent / ".git").exists() for parent in (folder, *folder.parents))
    if git is None or not inside:
        return None
    revision = _answer(git, folder, "rev-parse", "--verify", "HEAD")
    if revision is None:
        return None
    # without optional locks: a run that starts must not write into somebody's repository
    changes = _answer(git, folder, "--no-optional-locks", "status", "--porcelain")
    return {"revision": revision, "dirty": None if changes is None else bool(changes)}


def _answer(git: str, folder: Path, *arguments: str) -> str | None:
    """Return what git says, or `None` where it refuses (no commit yet, another owner) or takes too long."""
    command = [git, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
