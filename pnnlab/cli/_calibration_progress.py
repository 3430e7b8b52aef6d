"""How a calibration is followed: by a bar in a terminal, by lines in a log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pnnlab.cli._errors import INTERRUPTED, UNEXPECTED
from pnnlab.cli._terminal import open_console

__all__ = ["CalibrationProgress", "open_progress"]

_REFRESHES_PER_S: Final = 4


class CalibrationProgress:
    """Writes a line when something begins."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, what: str, steps: int) -> None:
        """See `pnnlab.calibration.Progress.begin`."""
        del steps
        self._console.print(what, soft_wrap=True)

    def step(self) -> None:
        """See `pnnlab.calibration.Progress.step`."""


class _TerminalProgress(CalibrationProgress):
    """Draws a bar for what goes on."""

    def __init__(self, bar: Progress) -> None:
        super().__init__(bar.console)
        self._bar = bar
        self._task: TaskID | None = None

    def begin(self, what: str, steps: int) -> None:
        """See `pnnlab.calibration.Progress.begin`."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=steps)

    def step(self) -> None:
        """See `pnnlab.calibration.Progress.step`."""
        if self._task is None:
            return
        task = self._bar.tasks[0]
        # how many steps it takes is an estimate where a routine looks until it is sure
        self._bar.update(self._task, advance=1, total=max(task.total or 0, task.completed + 1))


@contextmanager
def open_progress() -> Iterator[CalibrationProgress]:
    """Follow a calibration on stderr; where it is interrupted, say so and end the process.

    Raises:
        Exit: Ctrl-C, or a signal that ends the process.
    """
    console = open_console(stderr=True)
    try:
        if not console.is_terminal:
            yield CalibrationProgress(console)
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, TimeElapsedColumn(), console=console, transient=True, refresh_per_second=_REFRESHES_PER_S
        ) as bar:
            yield _TerminalProgress(bar)
    except (KeyboardInterrupt, SystemExit) as stop:
        # the bench adds a note where a device could not be made safe or closed, and logs it
        safe = "look at the outputs, a device failed" if getattr(stop, "__notes__", None) else "all outputs are safe"
        typer.echo(f"interrupted, nothing was stored; {safe}", err=True)
        code = stop.code if isinstance(stop, SystemExit) else INTERRUPTED
        raise typer.Exit(code if isinstance(code, int) else UNEXPECTED) from stop
