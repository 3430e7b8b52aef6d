"""How a run is followed: by a bar in a terminal, by lines in a log."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from pnnlab import training, twins
from pnnlab.cli._errors import INTERRUPTED, UNEXPECTED
from pnnlab.cli._options import RUNS
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
        self._tell(f"run {run}")

    def phase(self, text: str) -> None:
        """See `Watcher.phase`."""
        self._tell(text)

    def fitted(self, system: str, report: twins.FitReport) -> None:
        """See `Watcher.fitted`."""
        self._tell(f"twin of {system}: {report}")

    def step(self, progress: training.Progress) -> None:
        """See `Watcher.step`."""
        if self._keep(progress):
            self._tell(f"epoch {progress.epoch}: step {progress.step} of {progress.steps}, {self._figures(progress)}")

    def warn(self, text: str) -> None:
        """See `Watcher.warn`."""
        self._tell(f"warning: {text}")

    def _tell(self, text: str) -> None:
        # the terminal folds what is too long, so that a command or a path can be copied in one piece
        self._console.print(text, soft_wrap=True)

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
        self._task: TaskID | None = None
        self._text, self._below, self._since_s = "", "", 0.0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[place]}", markup=False),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            expand=True,
        )
        self._live = Live(
            get_renderable=self._draw, console=console, transient=True, refresh_per_second=_REFRESHES_PER_S
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is drawn, with a line for the last phase."""
        self._end_phase("" if kind is None else ", not finished")
        self._live.stop()

    def phase(self, text: str) -> None:
        """See `Watcher.phase`."""
        self._end_phase("")
        self._text, self._since_s = text, time.perf_counter()
        self._begin_task(None, 0)

    def fitting(self, system: str, epoch: int, epochs: int, error: float) -> None:
        """See `Watcher.fitting`."""
        self._below = f"{system}: held-out mean square error {error:.2e}"
        self._advance(epochs, epoch, f"epoch {epoch} of {epochs}")

    def fitted(self, system: str, report: twins.FitReport) -> None:
        """See `Watcher.fitted`."""
        super().fitted(system, report)
        self._below = ""

    def step(self, progress: training.Progress) -> None:
        """See `Watcher.step`."""
        self._keep(progress)
        self._below = f"epoch {progress.epoch}, {self._figures(progress)}"
        self._advance(progress.steps, progress.step, f"step {progress.step} of {progress.steps}")

    def _advance(self, total: int, completed: int, place: str) -> None:
        task = self._task
        if task is None or self._bar.tasks[0].total is None:
            # a new bar, so that a resumed run's earlier steps do not count as made just now
            task = self._begin_task(total, completed)
        self._bar.update(task, total=total, completed=completed, place=place)

    def _begin_task(self, total: int | None, completed: int) -> TaskID:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(self._text, total=total, completed=completed, place="")
        return self._task

    def _end_phase(self, how: str) -> None:
        if self._task is None:
            return
        self._bar.remove_task(self._task)
        figures = f": {self._below}" if self._below else ""
        self._tell(f"{self._text} ({duration(time.perf_counter() - self._since_s)}{how}){figures}")
        self._task, self._below = None, ""

    def _draw(self) -> RenderableType:
        return Group(self._bar, Text(self._below, style="dim")) if self._below else self._bar


@contextmanager
def open_watcher(root: Path, *, resumable: bool = True) -> Iterator[RunWatcher]:
    """Follow a run on stderr; where it is interrupted, say how it stands and end the process.

    Args:
        root: Where runs are recorded.
        resumable: Whether a run can go on after it was interrupted.

    Raises:
        Exit: Ctrl-C, or a signal that ends the process.
    """
    console = open_console(stderr=True)
    watcher = TerminalWatcher(console) if console.is_terminal else RunWatcher(console)
    try:
        with watcher:
            yield watcher
    except (KeyboardInterrupt, SystemExit) as stop:
        # not through the console: the signal may have come while it wrote, and it would write that line again
        typer.echo(_interrupted(watcher.run if resumable else None, root, stop), err=True)
        code = stop.code if isinstance(stop, SystemExit) else INTERRUPTED
        raise typer.Exit(code if isinstance(code, int) else UNEXPECTED) from stop


def _interrupted(run: Path | None, root: Path, stop: BaseException) -> str:
    # the bench adds a note where a device could not be made safe or closed, and logs it
    safe = "look at the outputs, a device failed" if getattr(stop, "__notes__", None) else "all outputs are safe"
    if run is None:
        return f"interrupted; {safe}"
    elsewhere = "" if root == RUNS else f" --runs {shlex.quote(str(root))}"
    return f"interrupted; {safe}; go on with: pnnlab train --resume {run.name}{elsewhere}"
