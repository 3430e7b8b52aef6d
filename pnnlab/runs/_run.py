"""One recorded execution, in a folder of its own."""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Self

from filelock import FileLock, Timeout

from pnnlab.errors import RunError
from pnnlab.runs._atomic import remove_leftovers, replace_atomically
from pnnlab.runs._folder import RECORD, make_folder
from pnnlab.runs._json import JsonValue, plain, plain_items
from pnnlab.runs._metrics import LoggedStep, MetricsFile
from pnnlab.runs._provenance import collect_provenance
from pnnlab.runs._record import EndStatus, RunRecord, RunStatus

__all__ = ["Run"]

_BENCH_FILE: Final = "instruments.yaml"
_CHECKPOINTS: Final = "checkpoints"
_CHECKPOINT_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_LOCK: Final = ".lock"
_LOCK_TIMEOUT_S: Final = 1.0
"""A reader that asks whether the run is alive holds the lock for an instant; a writer holds it for hours."""


class Run:
    """One recorded execution.

    The folder holds `run.json` (a `RunRecord`), `instruments.yaml` (the bench file, byte for byte), `metrics.jsonl`
    and `checkpoints/`. `create` and `resume` give a run that this process writes, under a lock that goes with the
    process however it ends; `open` gives one to read, also while another process writes it.

    As a context manager a run that nobody finished is finished on leaving: `interrupted` on Ctrl-C and exit, `failed`
    on any other error, `finished` without one.

    NaN and infinity may stand anywhere in it. JSON has neither: the files hold the texts `"NaN"`, `"Infinity"` and
    `"-Infinity"`, which are read back as floats.

    Mutable: `log`, `truncate_after`, `update`, `finish` and `close` change it.
    """

    def __init__(self, path: Path, record: RunRecord, lock: FileLock | None) -> None:
        self._path = path
        self._record = record
        self._lock = lock
        self._metrics = MetricsFile(path / "metrics.jsonl")

    def __repr__(self) -> str:
        return f"<Run {self._path.name!r} ({self._record.kind}), {self.status}>"

    @classmethod
    def create(
        cls, root: Path, name: str, *, kind: str, configuration: Mapping[str, JsonValue],
        bench_file: Path | None = None, bench_snapshot: Mapping[str, JsonValue] | None = None,
        bench_hash: str | None = None, seed: int | None = None,
    ) -> Self:  # fmt: skip
        """Make the folder of a new run and begin to write it.

        Args:
            root: Where runs are recorded; the run's folder is `<root>/<UTC date>_<counter>_<slug of the name>`.
            name: What a person calls it.
            kind: What is executed, as `train` or `fit`.
            configuration: What the user asked for.
            bench_file: Copied as it stands.
            bench_snapshot: The bench as it was opened.
            bench_hash: Fingerprint of the bench.
            seed: The seed of everything random in the run.

        Raises:
            RunError: Something given is no JSON or cannot be read, or the folder cannot be written; nothing was made.
        """
        if not name.strip():
            raise RunError("a run needs a name; its name is empty")
        bench_text = None if bench_file is None else _read(bench_file, "the bench file")
        started = datetime.now(UTC)
        record = RunRecord(
            name=name,
            kind=kind,
            status="running",
            started=_iso(started),
            ended=None,
            pid=os.getpid(),
            host=socket.gethostname(),
            seed=seed,
            configuration=plain(configuration, "configuration"),
            bench_hash=bench_hash,
            bench_snapshot=plain(bench_snapshot or {}, "bench_snapshot"),
            provenance=plain(collect_provenance(Path.cwd()), "provenance"),
        )
        path = make_folder(root, name, started)
        run = cls(path, record, _locked(path, record))
        try:
            (path / _CHECKPOINTS).mkdir()
            if bench_text is not None:
                (path / _BENCH_FILE).write_bytes(bench_text)
            run._write(record)
            run._metrics.open()
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return a run to read; another process may be writing it.

        Raises:
            RunError: There is no such folder, no record in it, or one that this pnnlab cannot read.
        """
        return cls(path, _record_in(path), None)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Take up a run again: lock it, repair what a killed writer left half, and say so in the record.

        Lines newer than the checkpoint that the caller goes on from are still there: drop them by `truncate_after`.

        Raises:
            RunError: As `open`; or another process is writing the run.
        """
        lock = _locked(path, _record_in(path))
        try:
            record = _record_in(path)  # again: it may have been finished while the lock was waited for
            for folder in (path, path / _CHECKPOINTS):
                remove_leftovers(folder)
            again = plain({"at": _iso(datetime.now(UTC)), "provenance": collect_provenance(Path.cwd())}, "resumed")
            run = cls(path, record, lock)
            run._write(
                replace(
                    record, status="running", ended=None, error=None, pid=os.getpid(), host=socket.gethostname(),
                    resumed=(*record.resumed, again),
                )
            )  # fmt: skip
            run._metrics.open()
        except BaseException:
            lock.release()
            raise
        return run

    @property
    def path(self) -> Path:
        """Return the run's folder."""
        return self._path

    @property
    def record(self) -> RunRecord:
        """Return what `run.json` said when the run was opened or written last by this process."""
        return self._record

    @property
    def status(self) -> RunStatus:
        """Return how the run stands; one that says `running` and that no process writes was `interrupted`."""
        if self._record.status != "running" or self._lock is not None:
            return self._record.status
        probe = FileLock(self._path / _LOCK)
        try:
            probe.acquire(timeout=0)
        except (Timeout, OSError):
            return "running"  # or on a read-only medium, where nothing else is known
        probe.release()
        return "interrupted"

    def log(
        self, metrics: Mapping[str, float], *, step: int, epoch: int, shots: int, bench_s: float, wall_s: float
    ) -> None:
        """Append one line to the metrics; it survives the end of the process.

        Args:
            metrics: Numbers by name; NaN and infinity are kept.
            step: The training step; never smaller than the one before.
            epoch: The epoch.
            shots: Shots taken so far.
            bench_s: Bench time used so far in s.
            wall_s: Wall time used so far in s.

        Raises:
            RunError: The run is not open for writing, the step runs backwards, or something is no number.
        """
        self._require_writing()
        line = LoggedStep(step=step, epoch=epoch, shots=shots, bench_s=bench_s, wall_s=wall_s, metrics=dict(metrics))
        self._metrics.append(line)

    def metrics(self) -> list[LoggedStep]:
        """Return all lines logged so far; a line that a killed writer left half is no line.

        Raises:
            RunError: A complete line is broken.
        """
        return self._metrics.read()

    def truncate_after(self, step: int) -> None:
        """Drop the metrics of all steps after `step`, the step of the checkpoint that a resumed run goes on from."""
        self._require_writing()
        self._metrics.truncate_after(step)

    def checkpoint_path(self, name: str = "last") -> Path:
        """Return where a checkpoint lies; write it with `write_atomically`, read it with `read_or_previous`.

        Args:
            name: Letters, digits, `_` and `-`.
        """
        if not _CHECKPOINT_NAME.fullmatch(name):
            raise RunError(f"a checkpoint is to be named {name!r}; allowed are letters, digits, _ and -")
        return self._path / _CHECKPOINTS / f"{name}.pt"

    def update(
        self,
        *,
        devices: Mapping[str, JsonValue] | None = None,
        calibrations: Sequence[JsonValue] | None = None,
        summary: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Write what became known since the run was created; what is `None` stays, the rest is replaced.

        Args:
            devices: Identity and settings by the device's name.
            calibrations: What was used, one entry a record.
            summary: What came out so far.
        """
        self._require_writing()
        record = self._record
        self._write(
            replace(
                record,
                devices=record.devices if devices is None else plain(devices, "devices"),
                calibrations=record.calibrations if calibrations is None else plain_items(calibrations, "calibrations"),
                summary=record.summary if summary is None else plain(summary, "summary"),
            )
        )

    def finish(
        self, status: EndStatus, summary: Mapping[str, JsonValue] | None = None, *, error: str | None = None
    ) -> None:
        """Say how the run ended, and let it go; it can be read on, and resumed.

        Args:
            status: How it ended.
            summary: What came out; `None` keeps what `update` wrote.
            error: What ended it, where that was an error.
        """
        self._require_writing()
        kept = self._record.summary if summary is None else plain(summary, "summary")
        self._write(replace(self._record, status=status, ended=_iso(datetime.now(UTC)), summary=kept, error=error))
        self.close()

    def close(self) -> None:
        """Let the run go without saying how it ended: it counts as interrupted; may be called twice."""
        try:
            self._metrics.close()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if self._lock is None:
                return
            if error is None:
                self.finish("finished")
            else:
                stopped = isinstance(error, KeyboardInterrupt | SystemExit)
                self.finish("interrupted" if stopped else "failed", error=f"{type(error).__name__}: {error}")
        finally:
            self.close()

    def _require_writing(self) -> None:
        if self._lock is None:
            raise RunError(f"run {self._path.name} is open for reading only; open it with Run.resume to write")

    def _write(self, record: RunRecord) -> None:
        text = record.to_text()
        replace_atomically(self._path / RECORD, lambda file: _write_all(file, text))
        self._record = record


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{what} {path} does not read: {error}") from error


def _record_in(path: Path) -> RunRecord:
    if not path.is_dir():
        raise RunError(f"there is no run folder {path}; list the runs for the names that there are")
    if not (path / RECORD).exists():
        raise RunError(f"{path} is no run: it holds no {RECORD}; name the folder of a run")
    return RunRecord.from_text(_read(path / RECORD, "the record"), str(path / RECORD))


def _locked(path: Path, record: RunRecord) -> FileLock:
    lock = FileLock(path / _LOCK)
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_S)
    except Timeout as error:
        raise RunError(
            f"run {path.name} is being written by process {record.pid} on {record.host}; "
            "wait until it ends, or stop that process"
        ) from error
    except OSError as error:
        raise RunError(f"run {path.name} cannot be locked: {error}; it can only be read there") from error
    return lock


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def _write_all(file: BinaryIO, text: bytes) -> None:
    file.write(text)
