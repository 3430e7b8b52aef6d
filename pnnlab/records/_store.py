"""The records of a bench: a folder to which is only added."""

import getpass
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from pnnlab.errors import Problem, RecordError
from pnnlab.records._departure import Departure
from pnnlab.records._exclusive import create_exclusively, remove_leftovers
from pnnlab.records._files import find_file, load, mark_of, problems_in, record_files
from pnnlab.records._key import Condition, RecordKey
from pnnlab.records._mark import BadMark
from pnnlab.records._mismatch import Mismatch
from pnnlab.records._netcdf import UnreadableRecordError, write_record
from pnnlab.records._place import RecordFile, mark_path, place_of, subject_folder
from pnnlab.records._record import CalibrationRecord

__all__ = ["CalibrationStore"]

_LOCK: Final = ".lock"
_LOCK_TIMEOUT_S: Final = 30.0
_CLOCK_TOLERANCE: Final = timedelta(days=1)
"""Computers that share a store disagree by minutes; a record of tomorrow was dated by a wrong clock."""
_TICK: Final = timedelta(microseconds=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CalibrationStore:
    """A folder of calibration records; nothing in it is ever changed or removed, also between processes.

    A file that does not read, was edited or lies in the wrong place is never used; `problems` tells them all. So is a
    record that is dated in the future, as a clock that was wrong would make it the latest for years.

    `add` and `mark_bad` make the folder where it is missing; everything else works on a read-only medium.

    Args:
        folder: Where the records lie.
        now: Tells the date, with its time zone.

    Raises:
        RecordError: There is a file of that name.
    """

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = _utc_now) -> None:
        if folder.exists() and not folder.is_dir():
            raise RecordError(f"{folder} is no folder; name one in which calibration records are kept")
        self._folder = folder
        self._now = now

    def __repr__(self) -> str:
        return f"<CalibrationStore {str(self._folder)!r}>"

    @property
    def folder(self) -> Path:
        """Return where the records lie."""
        return self._folder

    def add(self, record: CalibrationRecord) -> CalibrationRecord:
        """Store a record and return it as it was stored, safe on the disk.

        Its `supersedes`, whatever it was, becomes the id of the newest stored record of the same key that is not
        newer itself, and with it `id` changes. A record dated to the very microsecond of that one moves up by one,
        so that one of two is always the newer.

        Raises:
            RecordError: It is stored already or dated in the future, or the folder cannot be written.
        """
        name = f"{record.kind} of {record.subject}"
        if record.created > self._latest_date():
            raise RecordError(
                f"{name} is dated {record.created:%Y-%m-%d %H:%M} UTC, in the future; set the computer's clock"
            )
        with self._locked():
            former = next(self._newest_first(record.key, until=record.created), None)
            self._refuse_again(record)
            if former is not None and former.created == record.created:
                record = self._moved_up(record)
            stored = replace(record, supersedes=None if former is None else former.id)
            path = self._folder / place_of(stored)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                remove_leftovers(path.parent)
                create_exclusively(path, lambda beside: write_record(beside, stored))
            except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk by either
                raise RecordError(
                    f"{name} cannot be stored in {self._folder}: {error}; name a folder that can be written"
                ) from error
        return stored

    def records(self, kind: str | None = None, subject: str | None = None) -> list[CalibrationRecord]:
        """Return all records, the oldest first, failed ones and those marked bad among them.

        Args:
            kind: Only this kind.
            subject: Only of this system.
        """
        below = Path() if kind is None else subject_folder(kind, subject or "any")
        if kind is not None and subject is None:
            below = below.parent
        found = (self._read(file) for file in record_files(self._folder / below))
        return [
            record
            for record in found
            if record is not None and kind in (None, record.kind) and subject in (None, record.subject)
        ]

    def history(
        self,
        kind: str,
        subject: str,
        devices: Mapping[str, Mapping[str, str]],
        conditions: Mapping[str, Condition],
    ) -> list[CalibrationRecord]:
        """Return all records of one key, the oldest first; what one plots to see a drift.

        Failed ones are among them and those marked bad; `bad_marks` tells which.

        Args:
            kind: What was calibrated.
            subject: The system's name in the bench file.
            devices: Role to identity; firmware does not matter.
            conditions: Name to value, in SI units.
        """
        return list(self._newest_first(RecordKey(kind, subject, devices, conditions)))[::-1]

    def get(self, id_or_prefix: str) -> CalibrationRecord:
        """Return one record, also a failed one or one that is marked bad.

        Args:
            id_or_prefix: Its id, or a beginning of it that no other id has.

        Raises:
            RecordError: No record or more than one fits, or its file does not read; the message lists near ones.
        """
        return load(find_file(self._folder, id_or_prefix), self._folder)

    def latest(
        self,
        kind: str,
        subject: str,
        devices: Mapping[str, Mapping[str, str]],
        conditions: Mapping[str, Condition],
        *,
        passed: bool = True,
    ) -> CalibrationRecord | None:
        """Return the newest record that counts; `None` where there is none, and `explain` says why.

        It counts where kind, subject, the conditions and each device's vendor, model and serial number agree, where
        it is not marked bad and not dated in the future. Of many records only the newest are opened.

        Args:
            kind: What was calibrated.
            subject: The system's name in the bench file.
            devices: Role to identity; firmware does not matter.
            conditions: Name to value, in SI units.
            passed: Whether only a record with the verdict `PASS` counts.
        """
        return self._latest(RecordKey(kind, subject, devices, conditions), passed=passed)

    def mismatches(
        self,
        kind: str,
        subject: str,
        devices: Mapping[str, Mapping[str, str]],
        conditions: Mapping[str, Condition],
    ) -> tuple[Mismatch, ...]:
        """Return the subject's newest records of this kind that do not count, one a key, the nearest first.

        The nearest has the fewest reasons; of equally near ones the newest. Arguments as `latest`.
        """
        key = RecordKey(kind, subject, devices, conditions)
        return self._survey(key, record_files(self._folder / subject_folder(kind, subject)))[0]

    def explain(
        self,
        kind: str,
        subject: str,
        devices: Mapping[str, Mapping[str, str]],
        conditions: Mapping[str, Condition],
    ) -> str:
        """Return a sentence for a status table: which record counts, or why none does. Arguments as `latest`."""
        key = RecordKey(kind, subject, devices, conditions)
        latest = self._latest(key, passed=True)
        if latest is not None:
            text = f"calibrated {latest.created:%Y-%m-%d %H:%M} UTC (id {latest.id[:8]})"
            newer, unread = self._survey(key, [file for file in self._files_of(key) if file.stamp > latest.created])
            text += "".join(
                f"; the newer one (id {found.record.id[:8]}) does not count: {'; '.join(found.reasons)}"
                for found in newer
            )
        else:
            nearest, unread = self._survey(key, record_files(self._folder / subject_folder(kind, subject)))
            never = f"never calibrated: there is no {kind} record of {subject}"
            text = f"not calibrated: {nearest[0]}" if nearest else never
        files = "1 file does" if unread == 1 else f"{unread} files do"
        return f"{text}; {files} not read, see the store's problems" if unread else text

    def departure(self, record: CalibrationRecord) -> dict[str, Departure]:
        """Return how far each value of a record lies from the newest former record of its key that counts.

        A value that moved by more than about three combined standard uncertainties is a mistake, a fluke or the new
        normal: `history` shows which, and `mark_bad` tells the store.

        Args:
            record: Stored or not yet.

        Returns:
            By the value's name; empty where there is no former record that passed and is not marked bad.
        """
        former = self._latest(record.key, passed=True, before=record.created)
        if former is None:
            return {}
        return {name: Departure(value, former.values.get(name), former.id) for name, value in record.values.items()}

    def mark_bad(self, id_or_prefix: str, reason: str, *, who: str | None = None) -> BadMark:
        """Say that a record must not be used any more: from now on the one before it is the latest.

        The record stays as it is; a file `<name>.bad.json` is put beside it.

        Args:
            id_or_prefix: As `get`; the file need not read.
            reason: Why, on one line.
            who: Who says so; the name of the computer's user unless given.

        Raises:
            RecordError: No record fits, it is marked already, or the folder cannot be written.
        """
        file = find_file(self._folder, id_or_prefix)
        mark = BadMark(file.id, self._now(), _user() if who is None else who, reason)
        try:
            with self._locked():
                create_exclusively(mark_path(file), mark.write)
        except FileExistsError as error:
            raise RecordError(f"record {file.id} is marked already: {mark_of(file)}; nothing was changed") from error
        except OSError as error:
            raise RecordError(f"record {file.id} cannot be marked bad: {error}; make the folder writable") from error
        return mark

    def copy(self, ids: Iterable[str], folder: Path) -> None:
        """Put copies of records into another store; what it has already stays as it is.

        Args:
            ids: Of records that are stored here.
            folder: The other store.

        Raises:
            RecordError: There is no such record, or the folder cannot be written.
        """
        other = CalibrationStore(folder, now=self._now)
        for identifier in ids:
            source = find_file(self._folder, identifier)
            target = folder / source.path.relative_to(self._folder)
            with other._locked():
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    create_exclusively(target, partial(_copy, source.path))
                except FileExistsError:
                    continue
                except OSError as error:
                    raise RecordError(
                        f"record {source.id} cannot be copied to {folder}: {error}; name a folder that can be written"
                    ) from error

    def bad_marks(self) -> dict[str, BadMark]:
        """Return the marks of all records that are marked bad, by the record's id, the oldest record first."""
        marks = ((file.id, mark_of(file)) for file in record_files(self._folder))
        return {identifier: mark for identifier, mark in marks if mark is not None}

    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with the files in the folder; every record is opened. Hidden files are left out."""
        return tuple(problems_in(self._folder, self._latest_date()))

    def _latest(self, key: RecordKey, *, passed: bool, before: datetime | None = None) -> CalibrationRecord | None:
        latest_date = self._latest_date()
        for file in reversed(self._files_of(key)):
            if file.stamp > latest_date or (before is not None and file.stamp >= before) or mark_of(file) is not None:
                continue
            record = self._read(file)
            if record is not None and record.key == key and (record.passed or not passed):
                return record
        return None

    def _newest_first(self, key: RecordKey, until: datetime | None = None) -> Iterator[CalibrationRecord]:
        """Yield every record of a key, whatever its verdict and marks."""
        for file in reversed(self._files_of(key)):
            if until is not None and file.stamp > until:
                continue
            record = self._read(file)
            if record is not None and record.key == key:
                yield record

    def _survey(self, key: RecordKey, files: Sequence[RecordFile]) -> tuple[tuple[Mismatch, ...], int]:
        """Return the newest record of each key that does not count, the nearest first, and how many did not read."""
        mismatches, unread, seen = [], 0, set[str]()
        for file in reversed(files):
            if file.key_digest in seen:
                continue
            record = self._read(file)
            if record is None:
                unread += 1
                continue
            if (record.kind, record.subject) != (key.kind, key.subject):
                continue  # another subject whose name makes the same folder
            seen.add(file.key_digest)
            if reasons := (*key.differences(record.key), *self._faults(file, record)):
                mismatches.append(Mismatch(record, reasons))
        return tuple(sorted(mismatches, key=lambda mismatch: len(mismatch.reasons))), unread

    def _faults(self, file: RecordFile, record: CalibrationRecord) -> Iterator[str]:
        """Yield why a record does not count for anything."""
        if record.created > self._latest_date():
            yield "it is dated in the future"
        if (mark := mark_of(file)) is not None:
            yield f"it is {mark}"
        if not record.passed:
            yield f"it failed: {' '.join(record.reasons)}"

    def _refuse_again(self, record: CalibrationRecord) -> None:
        content = replace(record, supersedes=None).id
        for file in self._files_of(record.key):
            found = self._read(file) if file.stamp == record.created else None
            if found is not None and replace(found, supersedes=None).id == content:
                raise RecordError(
                    f"{record.kind} of {record.subject} is stored already as {found.id}; nothing was changed"
                )

    def _moved_up(self, record: CalibrationRecord) -> CalibrationRecord:
        """Return a record dated to the first free microsecond."""
        taken = {file.stamp for file in self._files_of(record.key)}
        created = record.created
        while created in taken:
            created += _TICK
        return replace(record, created=created)

    def _files_of(self, key: RecordKey) -> list[RecordFile]:
        files = record_files(self._folder / subject_folder(key.kind, key.subject))
        return [file for file in files if file.key_digest == key.digest]

    def _read(self, file: RecordFile) -> CalibrationRecord | None:
        try:
            return load(file, self._folder)
        except UnreadableRecordError:
            return None  # `problems` tells

    def _latest_date(self) -> datetime:
        return self._now() + _CLOCK_TOLERANCE

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from adding; readers need no lock."""
        lock = FileLock(self._folder / _LOCK, timeout=_LOCK_TIMEOUT_S)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise RecordError(
                f"another process has been adding to {self._folder} for {_LOCK_TIMEOUT_S:g} s; look whether it hangs"
            ) from error
        except OSError as error:
            raise RecordError(f"{self._folder} cannot be written: {error}; name a folder that can") from error
        try:
            yield
        finally:
            lock.release()


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name in the environment and none for the number of the user
        return "somebody"
