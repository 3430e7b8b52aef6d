"""Ctrl-C and SIGTERM in the middle of a training."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pnnlab.cli._watcher import RunWatcher, open_watcher
from pnnlab.runs import Run, list_runs
from pnnlab.training import Progress

# a shell may start a job with SIGINT ignored, which Python would keep
COMMAND = """
import signal, sys, torch
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
from pnnlab.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def signal_at_step(monkeypatch: pytest.MonkeyPatch):
    """Return a function that lets this process get a signal in a step of the next training."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)

    def arm(number: signal.Signals, step: int) -> None:
        waiting = [number]

        def step_and_signal(watcher: RunWatcher, progress: Progress) -> None:
            if progress.step == step and waiting:
                signal.raise_signal(waiting.pop())

        monkeypatch.setattr(RunWatcher, "step", step_and_signal)

    yield arm
    signal.signal(signal.SIGINT, previous)


def test_ctrl_c_in_a_process_of_its_own(folder: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", COMMAND, "train", "--epochs", "40", "--set", "batch=8"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("epoch 1:"))
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130
    assert "all outputs are safe" in told
    assert "Traceback" not in told
    (run,) = list_runs(folder / "runs")
    assert Run.open(run).status == "interrupted"
    assert f"pnnlab train --resume {run.name}" in told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_gives_the_numbers_of_an_uninterrupted_one(
    pnnlab, folder: Path, signal_at_step, number: signal.Signals, code: int
) -> None:
    signal_at_step(number, 7)  # between two checkpoints, in the second epoch
    stopped = pnnlab("train")
    assert stopped.code == code
    (run,) = list_runs(folder / "runs")
    assert Run.open(run).status == "interrupted"
    assert f"go on with: pnnlab train --resume {run.name}\n" in stopped.err
    resumed, straight = pnnlab("train", "--resume", run.name), pnnlab("train")
    assert (resumed.code, straight.code) == (0, 0)
    one, other = (Run.open(path) for path in list_runs(folder / "runs"))
    assert one.record.summary == other.record.summary
    assert [line["metrics"] for line in one.metrics()] == [line["metrics"] for line in other.metrics()]


def test_the_way_to_go_on_names_the_folder_of_the_runs(pnnlab, folder: Path, signal_at_step) -> None:
    signal_at_step(signal.SIGINT, 1)
    stopped = pnnlab("train", "--runs", "my runs")
    assert "--runs 'my runs'" in stopped.err


def test_a_device_that_failed_while_closing_is_not_called_safe(capsys: pytest.CaptureFixture[str]) -> None:
    stop = KeyboardInterrupt()
    stop.add_note("1 part of the bench could not be closed")  # as the bench does
    with pytest.raises(typer.Exit) as ended, open_watcher(Path("runs")):
        raise stop
    assert ended.value.exit_code == 130
    told = capsys.readouterr().err
    assert "a device failed" in told
    assert "safe" not in told
