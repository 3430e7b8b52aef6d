"""A process that is killed in the middle of writing loses nothing but what it was writing."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from pnnlab.runs import Run, read_or_previous

PAYLOAD = 200_000
"""Bytes of a checkpoint: enough that a kill often falls into the writing of one."""

CHILD = """
import os, sys
from pathlib import Path
from pnnlab.runs import Run, read_or_previous, write_atomically
sys.path.insert(0, sys.argv[2])
from test_killed import load, save

path = Path(sys.argv[1])
if path.exists():
    run = Run.resume(path)
    step, warning = read_or_previous(run.checkpoint_path(), load)
    run.truncate_after(step)
else:
    run = Run.create(path.parent, "killed", kind="train", configuration={})
    step = -1
print(run.path, step, flush=True)
while True:
    step += 1
    run.log({"loss": 1 / (step + 1)}, step=step, epoch=0, shots=step, bench_s=0.0, wall_s=0.0)
    if step % 3 == 0:
        write_atomically(run.checkpoint_path(), lambda file: save(file, step))
        run.update(summary={"step": step})
        print("saved", step, flush=True)
"""


def save(file: BinaryIO, step: int) -> None:
    """Write a checkpoint that shows whether it is whole, in pieces, as a serialiser does."""
    payload = np.random.default_rng(step).bytes(PAYLOAD)
    file.write(step.to_bytes(8, "big"))
    for start in range(0, PAYLOAD, 4096):
        file.write(payload[start : start + 4096])
    file.write(hashlib.sha256(payload).digest())


def load(file: BinaryIO) -> int:
    """Return the step of a whole checkpoint."""
    step = int.from_bytes(file.read(8), "big")
    payload, digest = file.read(PAYLOAD), file.read()
    if hashlib.sha256(payload).digest() != digest or payload != np.random.default_rng(step).bytes(PAYLOAD):
        raise ValueError("the checkpoint is torn")
    return step


def killed(path: Path, seconds: float) -> tuple[Path, int, int]:
    """Let a process write the run for some time and kill it; return folder, first and last acknowledged step."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=path.parent) as child:
        assert child.stdout is not None
        folder, first = child.stdout.readline().split()
        acknowledged = int(child.stdout.readline().split()[1])
        time.sleep(seconds)
        child.kill()
        for line in child.stdout:
            if line.endswith("\n"):
                acknowledged = int(line.split()[1])
    return Path(folder), int(first), acknowledged


def test_a_killed_run_goes_on_from_its_checkpoint_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, saved = tmp_path / "first", -1
    pauses = np.random.default_rng(1)
    for attempt in range(6):
        path, first, acknowledged = killed(path, pauses.uniform(0, 0.1))
        assert first >= saved  # at least what was acknowledged before the kill was found again
        run = Run.open(path)
        assert run.status == "interrupted"
        assert run.record.status == "running"
        assert len(run.record.resumed) == attempt
        step, _ = read_or_previous(run.checkpoint_path(), load)
        assert step >= acknowledged
        steps = [line["step"] for line in run.metrics()]
        assert steps == list(range(len(steps)))
        assert steps[-1] >= step
        saved = acknowledged
    with Run.resume(path) as run:
        run.truncate_after(step)
        assert [line["metrics"]["loss"] for line in run.metrics()] == [1 / (k + 1) for k in range(step + 1)]
    left = {found.name for found in run.path.rglob("*") if found.is_file()}
    # a kill between the two renames leaves the checkpoint under its previous name only
    assert left | {"last.pt"} == {"run.json", "metrics.jsonl", ".lock", "last.pt", "last.previous.pt"}
    assert Run.open(path).status == "finished"
