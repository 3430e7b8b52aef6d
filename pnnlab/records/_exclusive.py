"""A new file that is there whole or not at all, and never in the place of another one."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["create_exclusively", "remove_leftovers"]

_LEFTOVER: Final = ".*.writing"


def create_exclusively(path: Path, writer: Callable[[Path], None]) -> None:
    """Create a file under its name only once it is complete and safe on the disk; nothing is ever replaced.

    Killed at any moment, the file is whole or missing; what is left besides is a hidden file that
    `remove_leftovers` removes. Where `writer` raises, nothing has changed.

    Args:
        path: The file; its folder exists.
        writer: Writes the complete content into a file, not there yet, whose path it is given.

    Raises:
        FileExistsError: There is a file of that name; it stays as it is.
        OSError: The file cannot be written.
    """
    beside = path.with_name(f".{secrets.token_hex(4)}.writing")
    try:
        writer(beside)
        with beside.open("r+b") as file:  # Windows flushes only what is open for writing
            os.fsync(file.fileno())
        _name_exclusively(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files that killed writers left in a folder; nobody else may be writing there."""
    for leftover in folder.glob(_LEFTOVER):
        leftover.unlink(missing_ok=True)


def _name_exclusively(source: Path, target: Path) -> None:
    """Give a file its name, and fail where the name is taken."""
    if os.name == "nt":
        os.rename(source, target)  # refuses to replace there; elsewhere it replaces in silence
        return
    try:
        os.link(source, target)  # the one call of POSIX that names a file and never replaces one
    except FileExistsError:
        raise
    except OSError as error:
        # FAT sticks and many network drives of a lab have no links: look first; the store's lock keeps others out
        if target.exists():
            raise FileExistsError(f"{target} exists") from error
        os.rename(source, target)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut; Windows has no handle to a folder, and NTFS logs its names."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
