"""The metrics of a run: one JSON object a line, appended and never rewritten but by `truncate_after`."""

import os
from collections.abc import Mapping
from io import FileIO
from numbers import Real
from pathlib import Path
from typing import TypedDict

from pnnlab.errors import RunError
from pnnlab.runs._atomic import replace_atomically
from pnnlab.runs._json import JsonValue, decode, encode

__all__ = ["LoggedStep", "MetricsFile"]


class LoggedStep(TypedDict):
    """One line of the metrics file: where the run stood, and what was measured there."""

    step: int
    epoch: int
    shots: int
    bench_s: float
    wall_s: float
    metrics: dict[str, float]


class MetricsFile:
    """A file of lines; a line counts once its newline is written, so what a killed writer left half is no line.

    Each line is handed to the operating system as it is written: it survives the end of the process at once, and the
    end of the machine as soon as the system has written it out.

    Mutable: `open` and `close` take and leave the right to append, `append` and `truncate_after` change the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._last_step: int | None = None

    def open(self) -> None:
        """Remove a half-written last line and be ready to append."""
        lines = self._lines()
        with self._path.open("ab") as file:
            file.truncate(sum(len(line) for line in lines))
        self._last_step = self._parsed(lines[-1], len(lines))["step"] if lines else None
        self._file = FileIO(self._path, "ab")

    def close(self) -> None:
        """Put what was appended on the disk; does nothing where the file is not open."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def read(self) -> list[LoggedStep]:
        """Return all complete lines.

        Raises:
            RunError: A line in the middle is broken.
        """
        return [self._parsed(line, number) for number, line in enumerate(self._lines(), start=1)]

    def append(self, line: LoggedStep) -> None:
        """Write one line through to the operating system.

        Raises:
            RunError: The step lies before the last one, or there is no room on the disk; the file is as before.
        """
        file = self._opened()
        if self._last_step is not None and line["step"] < self._last_step:
            raise RunError(
                f"{self._path}: step {line['step']} comes after step {self._last_step}; "
                "steps do not run backwards: resume with truncate_after(step) first"
            )
        text = encode(_checked(line)) + b"\n"
        end = file.seek(0, os.SEEK_END)
        written = 0
        try:
            written = file.write(text)
        finally:
            if written != len(text):
                # half a line would make the next one unreadable
                file.truncate(end)
        if written != len(text):
            raise RunError(f"{self._path}: the disk took {written} of {len(text)} bytes of a line; make room on it")
        self._last_step = line["step"]

    def truncate_after(self, step: int) -> None:
        """Drop every line whose step is larger than `step`; the file is the old one or the new one at any time."""
        self._opened()
        kept = [
            line for number, line in enumerate(self._lines(), start=1) if self._parsed(line, number)["step"] <= step
        ]
        self.close()  # Windows replaces no file that is open
        replace_atomically(self._path, lambda file: file.writelines(kept))
        self.open()

    def _opened(self) -> FileIO:
        if self._file is None:
            raise RunError(f"{self._path} is open for reading only; open the run with Run.resume to write")
        return self._file

    def _lines(self) -> list[bytes]:
        """Return the complete lines with their newlines."""
        if not self._path.exists():
            return []
        return [line + b"\n" for line in self._path.read_bytes().split(b"\n")[:-1]]

    def _parsed(self, line: bytes, number: int) -> LoggedStep:
        try:
            return _step_of(decode(line))
        except ValueError as error:
            raise RunError(f"{self._path}:{number}: the line is no logged step ({error}); remove it by hand") from error


def _step_of(fields: JsonValue) -> LoggedStep:
    if not isinstance(fields, Mapping):
        raise ValueError(f"a {type(fields).__name__} stands there")
    metrics = fields.get("metrics")
    if not isinstance(metrics, Mapping):
        raise ValueError("it has no metrics")
    step, epoch, shots = (_whole(fields, name) for name in ("step", "epoch", "shots"))
    return {
        "step": step, "epoch": epoch, "shots": shots,
        "bench_s": _number(fields, "bench_s"), "wall_s": _number(fields, "wall_s"),
        "metrics": {name: _number(metrics, name) for name in metrics},
    }  # fmt: skip


def _whole(fields: Mapping[str, JsonValue], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}, a whole number is due")
    return value


def _number(fields: Mapping[str, JsonValue], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, a number is due")
    return value


def _checked(line: LoggedStep) -> Mapping[str, JsonValue]:
    """Return a line to be written; what could not be read back is refused."""
    for name, value in line["metrics"].items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise RunError(f"metric {name!r} is a {type(value).__name__}, a number is due; write its item()")
    return {
        "step": line["step"], "epoch": line["epoch"], "shots": line["shots"],
        "bench_s": line["bench_s"], "wall_s": line["wall_s"], "metrics": line["metrics"],
    }  # fmt: skip
