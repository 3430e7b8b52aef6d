"""How a run is followed."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pnnlab.cli._watcher import RunWatcher, TerminalWatcher
from pnnlab.training import Progress


def progress(step: int, **metrics: float) -> Progress:
    return Progress(step, 1 + step // 10, 20, 64 * step, 2.0 * step, 0.1 * step, {"loss": 1.25, **metrics})


def terminal(encoding: str = "utf-8") -> tuple[Console, io.BytesIO]:
    """Return a terminal of 80 columns, and what is written to it."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    console = Console(
        file=stream, force_terminal=True, width=80, height=24, markup=False, highlight=False, _environ={"TERM": "xterm"}
    )
    return console, raw


def test_a_log_gets_a_line_an_epoch() -> None:
    text = io.StringIO()
    with RunWatcher(Console(file=text, width=200)) as watcher:
        watcher.began(Path("runs/one"))
        watcher.phase("training")
        for step in range(1, 21):
            watcher.step(progress(step, **({"validation_accuracy": 0.5} if step % 10 == 0 else {})))
        watcher.warn("odd")
    assert watcher.run == Path("runs/one")
    assert text.getvalue().splitlines() == [
        "run runs/one",
        "training",
        "epoch 2: step 10 of 20, loss 1.250, validation 0.500, 640 shots, bench 20.0 s",
        "epoch 3: step 20 of 20, loss 1.250, validation 0.500, 1,280 shots, bench 40.0 s",
        "warning: odd",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_terminal_gets_a_bar_and_a_line_a_phase(encoding: str) -> None:
    console, raw = terminal(encoding)
    with TerminalWatcher(console) as watcher:
        watcher.phase("fitting the twin")
        watcher.fitting("optics", 3, 40, 0.0125)
        watcher._live.refresh()
        watcher.phase("training [1]")
        watcher.step(progress(9, validation_accuracy=0.75))
        watcher._live.refresh()
        watcher.step(progress(10))
    written = raw.getvalue().decode(encoding)
    for words in (
        "epoch 3 of 40", "optics: held-out mean square error 1.25e-02", "step 9 of 20", "training [1] (",
        "epoch 2, loss 1.250, validation 0.750, 640 shots, bench 20.0 s",
    ):  # fmt: skip
        assert words in written
    assert written.rstrip().endswith("\x1b[?25h")  # the cursor is shown again


def test_the_time_left_of_a_resumed_run_does_not_count_the_steps_made_before() -> None:
    console, _ = terminal()
    with TerminalWatcher(console) as watcher:
        watcher.phase("training")
        watcher.step(progress(18))
        assert watcher._bar.tasks[0].speed is None
        watcher.step(progress(19))
        assert watcher._bar.tasks[0].completed == 19


def test_an_error_leaves_the_phase_unfinished() -> None:
    console, raw = terminal()
    with pytest.raises(ValueError, match="odd"), TerminalWatcher(console) as watcher:
        watcher.phase("training")
        raise ValueError("odd")
    assert b"not finished" in raw.getvalue()
