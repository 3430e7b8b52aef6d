"""The files of a store: which there are, what they say, and what is wrong with them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

from pnnlab.errors import Problem, RecordError
from pnnlab.records._mark import BadMark
from pnnlab.records._netcdf import UnreadableRecordError, read_record
from pnnlab.records._place import MARK_ENDING, RecordFile, files_in, mark_path, place_of
from pnnlab.records._record import CalibrationRecord

__all__ = ["find_file", "load", "mark_of", "problems_in", "record_files"]

_CANDIDATES: Final = 5
"""How many records an error message lists."""


def record_files(folder: Path) -> list[RecordFile]:
    """Return all files in and below a folder whose names are records', the oldest first; none is opened."""
    return sorted(file for path in files_in(folder) if (file := RecordFile.of(path)) is not None)


def load(file: RecordFile, root: Path) -> CalibrationRecord:
    """Return the record in a file of the store at `root`.

    Raises:
        UnreadableRecordError: As `read_record`; or the file lies elsewhere than its content belongs.
    """
    record = read_record(file.path)
    place, found = place_of(record), file.path.relative_to(root)
    if found != place:
        where = f"was moved or renamed: its content belongs to {place.as_posix()}"
        raise UnreadableRecordError(found.as_posix(), where, "move it back")
    return record


def mark_of(file: RecordFile) -> BadMark | None:
    """Return the mark of a bad record; one that does not read makes a record bad all the same."""
    path = mark_path(file)
    try:
        return BadMark.read(path)
    except RecordError:
        if not path.exists():
            return None
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return BadMark(file.id, written, "somebody", "the mark does not read")


def find_file(root: Path, text: str) -> RecordFile:
    """Return the one file whose record's id begins with a text.

    Raises:
        RecordError: No record or more than one fits; the message lists near ones.
    """
    prefix = text.strip().lower()
    files = record_files(root)
    if not files:
        raise RecordError(f"there is no calibration record in {root}; calibrate first, or name another folder")
    # a copy in a wrong folder has the same id; the one that lies right is meant
    fitting = {file.id: file for file in reversed(files) if prefix and file.id.startswith(prefix)}
    if len(fitting) == 1:
        (identifier,) = fitting
        copies = [file for file in files if file.id == identifier]
        return next((file for file in copies if _is_at_home(file, root)), copies[0])
    if fitting:
        listed = _listed(list(fitting.values()), root)
        raise RecordError(f"{text!r} fits {len(fitting)} records in {root}: {listed}; write more of the id")
    nearest = files[::-1]
    nearest.sort(key=lambda file: -SequenceMatcher(None, file.id[: len(prefix)], prefix).ratio())
    raise RecordError(f"no record in {root} has an id that begins with {text!r}; near are {_listed(nearest, root)}")


def problems_in(root: Path, latest_date: datetime) -> Iterator[Problem]:
    """Yield what is wrong with the files of a store; every record is opened.

    Args:
        root: The store's folder.
        latest_date: Records that are dated later were dated by a wrong clock.
    """
    for path in sorted(files_in(root)):
        name = path.relative_to(root).as_posix()
        if path.name.endswith(MARK_ENDING):
            yield from _mark_problems(path, name)
            continue
        file = RecordFile.of(path)
        if file is None:
            yield Problem(name, 0, "", "is no calibration record", "move it elsewhere")
            continue
        try:
            record = load(file, root)
        except UnreadableRecordError as error:
            yield Problem(name, 0, "", error.found, error.allowed)
            continue
        if record.created > latest_date:
            found = f"is dated in the future, {record.created:%Y-%m-%d %H:%M} UTC"
            yield Problem(name, 0, "", found, "set the computer's clock, or mark the record bad and calibrate again")


def _mark_problems(path: Path, name: str) -> Iterator[Problem]:
    record_path = path.with_name(path.name.removesuffix(MARK_ENDING) + ".nc")
    file = RecordFile.of(record_path)
    if file is None or not record_path.exists():
        yield Problem(name, 0, "", "marks a record that is not there", "put the record back, or remove the mark")
        return
    try:
        marked = BadMark.read(path).id
    except RecordError:
        yield Problem(name, 0, "", "is a mark that does not read", "write it anew; its record counts as bad")
        return
    if marked != file.id:
        yield Problem(name, 0, "id", f"names {marked!r}", f"its record is {file.id!r}, which counts as bad")


def _is_at_home(file: RecordFile, root: Path) -> bool:
    try:
        load(file, root)
    except UnreadableRecordError:
        return False
    return True


def _listed(files: Sequence[RecordFile], root: Path) -> str:
    """Return the first few, told by what their paths say."""
    shown = []
    for file in files[:_CANDIDATES]:
        kind, *rest = file.path.relative_to(root).parts[:-1] or ("record",)
        shown.append(f"{file.id} ({' of '.join([kind, *rest])}, {file.stamp:%Y-%m-%d %H:%M} UTC)")
    left = len(files) - _CANDIDATES
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")
