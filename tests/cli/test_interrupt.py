"""Ctrl-C and SIGTERM in the middle of a training, in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pnnlab.cli._watcher import open_watcher
from pnnlab.runs import Run, list_runs

# a shell may start a job with SIGINT ignored, which Python would keep
COMMAND = """
import signal, sys, torch
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)
from pnnlab.cli import main
main(sys.argv[1:])
"""


def stop_after_an_epoch(number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Start a command, send a signal once an epoch is done, and return the exit code and what it wrote to stderr."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    with process:
        told = [next(line for line in process.stderr if line.startswith("epoch 1:"))]
        process.send_signal(number)
        told += process.stderr
    return process.returncode, "".join(told)


def test_ctrl_c_keeps_the_run_and_resuming_gives_the_numbers_of_an_uninterrupted_one(folder: Path, pnnlab) -> None:
    training = ["train", "--epochs", "5", "--set", "batch=8"]
    code, told = stop_after_an_epoch(signal.SIGINT, *training)
    assert code == 130
    assert "all outputs are safe" in told
    assert "Traceback" not in told
    run = list_runs(folder / "runs")[0]
    assert Run.open(run).status == "interrupted"
    assert f"pnnlab train --resume {run.name}" in told

    resumed = pnnlab("train", "--resume", run.name)
    assert resumed.code == 0, resumed.err
    assert pnnlab(*training).code == 0
    stopped, straight = (Run.open(path) for path in list_runs(folder / "runs"))
    assert stopped.record.summary == straight.record.summary
    losses = [[line["metrics"] for line in one.metrics()] for one in (stopped, straight)]
    assert losses[0] == losses[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_sigterm_keeps_the_run(folder: Path) -> None:
    code, told = stop_after_an_epoch(signal.SIGTERM, "train", "--epochs", "40", "--set", "batch=4", "--runs", "my runs")
    assert code == 128 + signal.SIGTERM
    run = list_runs(folder / "my runs")[0]
    assert Run.open(run).status == "interrupted"
    assert f"pnnlab train --resume {run.name} --runs 'my runs'" in told


def test_a_device_that_failed_while_closing_is_not_called_safe(capsys: pytest.CaptureFixture[str]) -> None:
    stop = KeyboardInterrupt()
    stop.add_note("1 of the bench's devices could not be closed")
    with pytest.raises(typer.Exit) as ended, open_watcher(Path("runs")):
        raise stop
    assert ended.value.exit_code == 130
    assert "safe" not in capsys.readouterr().err
