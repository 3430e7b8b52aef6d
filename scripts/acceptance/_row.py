"""One row of the acceptance table: a figure of the literature, found again with what pnnlab ships."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finding", "MissingFileError", "Row"]


class MissingFileError(Exception):
    """A row needs data that no package carries, and they are not in the folder of `--data`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a row found.

    Attributes:
        text: The figure with its spread and unit, for people.
        passed: Whether it meets the row's threshold.
    """

    text: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the acceptance table.

    Attributes:
        name: What it is called on the command line, words joined by hyphens; unique.
        expected: The figure to be met and where it comes from.
        threshold: When the row passes.
        find: Finds the figure; told the folder of `--data`. It seeds everything, so that it finds the same each time.
        minutes: About how long it takes on one core.
    """

    name: str
    expected: str
    threshold: str
    find: Callable[[Path], Finding]
    minutes: float = 0.1


def data_file(folder: Path, name: str, source: str) -> Path:
    """Return a file of the data folder.

    Args:
        folder: Of `--data`.
        name: Of the file, or of a folder.
        source: Where it can be had, for the message.

    Raises:
        MissingFileError: It is not there.
    """
    path = folder / name
    if not path.exists():
        raise MissingFileError(f"{name} is not in {folder}; it comes from {source}; tell the folder by --data")
    return path
