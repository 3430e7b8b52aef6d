"""A file that is either the old one or the new one, whenever the machine stops."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from pnnlab.errors import RunError

__all__ = ["previous_path", "read_or_previous", "remove_leftovers", "replace_atomically", "write_atomically"]

T = TypeVar("T")

_LEFTOVER: Final = ".*.writing"


def previous_path(path: Path) -> Path:
    """Return where `write_atomically` keeps the file that stood at `path` before: `last.previous.pt` for `last.pt`."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def write_atomically(path: Path, writer: Callable[[BinaryIO], None]) -> None:
    """Write a file beside the old one, then put it in its place; the old one is kept at `previous_path(path)`.

    Killed at any moment, the file before or the new one is whole, at `path` or at `previous_path(path)`; read it with
    `read_or_previous`. Where `writer` raises, nothing has changed.

    Args:
        path: The file; its folder exists.
        writer: Writes the content into the binary file that it is given.
    """
    written = _write_beside(path, writer)
    if path.exists():
        # two renames, not a hard link: links are missing on FAT sticks and many network drives of a lab
        os.replace(path, previous_path(path))
    os.replace(written, path)
    _sync_folder(path.parent)


def replace_atomically(path: Path, writer: Callable[[BinaryIO], None]) -> None:
    """Write a file as `write_atomically` does, and keep no previous one: `path` exists all the time."""
    os.replace(_write_beside(path, writer), path)
    _sync_folder(path.parent)


def read_or_previous(path: Path, reader: Callable[[BinaryIO], T]) -> tuple[T, str | None]:
    """Read a file that was written by `write_atomically`; where it does not read, the previous one.

    Args:
        path: The file.
        reader: Returns the content of the binary file that it is given; whatever it raises means: not readable.

    Returns:
        The content, and a warning for the user: `None`, or why the previous file was taken.

    Raises:
        RunError: Neither file reads.
    """
    previous = previous_path(path)
    try:
        with path.open("rb") as file:
            return reader(file), None
    except Exception as error:  # a reader of any format meets a torn file, and each raises in its own way
        reason = _reason(error)
    try:
        with previous.open("rb") as file:
            content = reader(file)
    except Exception as error:
        raise RunError(
            f"{path.name} does not read ({reason}), nor does {previous.name} ({_reason(error)}) in {path.parent}; "
            "begin a new run, or put a copy of the file there"
        ) from error
    return content, f"{path.name} does not read ({reason}); the previous one, {previous.name}, was taken instead"


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files that a killed writer left in a folder."""
    for leftover in folder.glob(_LEFTOVER):
        leftover.unlink(missing_ok=True)


def _write_beside(path: Path, writer: Callable[[BinaryIO], None]) -> Path:
    """Write a complete file next to `path`, safe on the disk, and return where."""
    # not `tempfile`: its files are readable by their owner only, and a rename would keep that
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.writing")
    try:
        with beside.open("xb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut; Windows has no handle to a folder, and NTFS logs its renames."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    return "it is missing" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
