"""How a run is followed: by a bar in a terminal, by lines in a log."""

import time
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pnnlab import training, twins
from pnnlab.cli._terminal import open_console
from pnnlab.cli._text import count, duration

__all__ = ["RunWatcher", "open_watcher"]

_REFRESHES_PER_S: Final = 4
"""Drawing takes time from the training; a person reads no faster."""


class RunWatcher(training.Watcher):
    """Writes a line when something begins and once an epoch.

    A context manager, so that what is drawn ends with the run. Mutable: it keeps what it was told last.

    Attributes:
        run: The run's folder; `None` before it was made.
    """

    def __init__(self, console: Console) -> None:
        self.run: Path | None = None
        self._console = console
        self._validation: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""

    def began(self, run: Path) -> None:
        """See `Watcher.began`."""
        self.run = run
        self._console.print(f"run {run}")

    def phase(self, text: str) -> None:
        """See `Watcher.phase`."""
        self._console.print(text)

    def fitted(self, system: str, report: twins.FitReport) -> None:
        """See `Watcher.fitted`."""
        self._console.print(f"twin of {system}: {report}")

    def step(self, progress: training.Progress) -> None:
        """See `Watcher.step`."""
        if self._keep(progress):
            self._console.print(f"epoch {progress.epoch}: step {progress.step} of {progress.steps}, {self._figures(progress)}")

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        self._console.print(f"warning: {text}")

    def _keep(self, progress: training.Progress) -> bool:
        """Remember a step's validation accuracy; return whether it had one, which is once an epoch."""
        found = progress.metrics.get("validation_accuracy")
        self._validation = self._validation if found is None else found
        return found is not None

    def _figures(self, progress: training.Progress) -> str:
        validation = "" if self._validation is None else f"validation {self._validation:.3f}, "
        return (
            f"loss {progress.metrics['loss']:.3f}, {validation}{count(progress.shots)} shots, "
            f"bench {duration(progress.bench_s)}"
        )


class TerminalWatcher(RunWatcher):
    """Draws a bar for what goes on, and leaves a line for what is done."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=console, transient=True, refresh_per_second=_REFRESHES_PER_S, expand=True,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._text, self._figures_last, self._since_s = "", "", 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See `RunWatcher.__exit__`."""
        self._end_phase(done=kind is None)
        self._bar.stop()
