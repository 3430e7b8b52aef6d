"""The folder of one run among its siblings: `<root>/<ISO date>_<counter>_<slug>`."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from pnnlab.errors import RunError

__all__ = ["RECORD", "find_run", "list_runs", "make_folder"]

RECORD: Final = "run.json"

_NAME: Final = re.compile(r"\d{4}-\d{2}-\d{2}_(\d{4,})_.+")
_LOCK: Final = ".runs.lock"
_LOCK_TIMEOUT_S: Final = 30.0
_LONGEST_SLUG: Final = 60
_CANDIDATES: Final = 8
"""How many runs an error message lists."""


def make_folder(root: Path, name: str, started: datetime) -> Path:
    """Make the folder of a new run below `root`; counters are unique there, also between processes.

    Args:
        root: Made where it is missing.
        name: The run's name, any text.
        started: When the run began, UTC; its date stands in the folder's name.

    Raises:
        RunError: The folder cannot be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / _LOCK, timeout=_LOCK_TIMEOUT_S):
            counter = 1 + max((_counter(path) for path in root.iterdir()), default=0)
            folder = root / f"{started.date().isoformat()}_{counter:04d}_{_slug(name)}"
            folder.mkdir()
    except Timeout as error:
        raise RunError(
            f"another process has been making a run in {root} for {_LOCK_TIMEOUT_S:g} s; look whether it hangs"
        ) from error
    except OSError as error:
        raise RunError(f"a run cannot be recorded in {root}: {error}; name a folder that can be written") from error
    return folder


def list_runs(root: Path) -> list[Path]:
    """Return the folders of all runs below `root`, the oldest first; empty where there is no such folder.

    A folder counts as a run once it holds a record; `Run.open` says what is wrong with a broken one.
    """
    if not root.is_dir():
        return []
    runs = [path for path in root.iterdir() if _counter(path) and (path / RECORD).exists()]
    return sorted(runs, key=lambda path: (_counter(path), path.name))


def find_run(root: Path, text: str) -> Path:
    """Return the folder of the run that a person means.

    Args:
        root: Where runs are recorded.
        text: The folder's full name, its counter (`7`), a beginning that fits one run only, or `latest`.

    Raises:
        RunError: No run or more than one fits; the message lists candidates.
    """
    runs = list_runs(root)
    if not runs:
        raise RunError(f"there is no run in {root}; name the folder in which runs are recorded")
    if text == "latest":
        return runs[-1]
    exact = [path for path in runs if path.name == text]
    counted = [path for path in runs if text.isdecimal() and _counter(path) == int(text)]
    begun = [path for path in runs if text and path.name.startswith(text)]
    for fitting in (exact, counted, begun):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise RunError(f"{text!r} fits {len(fitting)} runs in {root}: {_listed(fitting)}; write more of the name")
    raise RunError(f"no run in {root} is named {text!r}; there are {_listed(runs)}")


def _counter(path: Path) -> int:
    """Return the counter in a folder's name; 0 where it is no run's."""
    fits = _NAME.fullmatch(path.name)
    return int(fits.group(1)) if fits and path.is_dir() else 0


def _slug(name: str) -> str:
    """Return what a file system, a shell and a person can all read of a name."""
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower())
    return words[:_LONGEST_SLUG].strip("-") or "run"


def _listed(runs: Sequence[Path]) -> str:
    newest = ", ".join(path.name for path in reversed(runs[-_CANDIDATES:]))
    left = len(runs) - _CANDIDATES
    return f"{newest} and {left} older" if left > 0 else newest
