"""Where a record lies: `<store>/<kind>/<subject>/<UTC stamp>-<key's digest>-<id>.nc`.

The name tells what a search needs, so that it opens only the files that may be the answer.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from pnnlab.records._record import CalibrationRecord

__all__ = ["RecordFile", "files_in", "mark_path", "place_of", "stamp_of", "subject_folder"]

MARK_ENDING: Final = ".bad.json"

_NAME: Final = re.compile(r"(?P<stamp>\d{8}T\d{6}\.\d{6}Z)-(?P<key>[0-9a-f]{8})-(?P<id>[0-9a-f]{16})\.nc")
_STAMP_FORMAT: Final = "%Y%m%dT%H%M%S.%fZ"
_LONGEST_FOLDER: Final = 60
_RESERVED: Final = re.compile(r"con|prn|aux|nul|conin|conout|(com|lpt)\d")
"""Names of devices on Windows, where no folder can have them."""


@dataclass(frozen=True, order=True)
class RecordFile:
    """A file whose name is a record's; files sort by the date of their records.

    Attributes:
        stamp: Date of the record.
        id: Id of the record.
        key_digest: Digest of the record's key.
        path: The file.
    """

    stamp: datetime
    id: str
    key_digest: str = field(compare=False)
    path: Path = field(compare=False)

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return what a file's name tells; `None` where it is no record's."""
        parts = _NAME.fullmatch(path.name)
        if parts is None:
            return None
        try:
            stamp = datetime.strptime(parts["stamp"], _STAMP_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(stamp, parts["id"], parts["key"], path)


def place_of(record: CalibrationRecord) -> Path:
    """Return where a record lies, relative to its store."""
    name = f"{stamp_of(record.created)}-{record.key.digest}-{record.id}.nc"
    return subject_folder(record.kind, record.subject) / name


def subject_folder(kind: str, subject: str) -> Path:
    """Return the folder of a kind's records of a subject, relative to their store; two subjects may share one."""
    return Path(_folder_name(kind), _folder_name(subject))


def stamp_of(created: datetime) -> str:
    """Return a date in UTC as it stands in names; no colons, which Windows refuses."""
    return re.sub("[-:]", "", created.replace(tzinfo=None).isoformat(timespec="microseconds")) + "Z"


def mark_path(file: RecordFile) -> Path:
    """Return where the mark lies that says that a record is bad."""
    return file.path.with_name(file.path.stem + MARK_ENDING)


def files_in(folder: Path) -> Iterator[Path]:
    """Yield all files in and below a folder but hidden ones; a folder that cannot be listed is yielded itself."""
    unlisted: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))
    yield from (path for path in unlisted if path.exists())


def _folder_name(name: str) -> str:
    """Return what every file system and a person can read of a name."""
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9_]+", "-", ascii_text.lower())[:_LONGEST_FOLDER].strip("-")
    return f"{words}-" if not words or _RESERVED.fullmatch(words) else words
