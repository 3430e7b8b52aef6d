"""Train the first public task of physics-aware training on devices that are off by once, twice and three times as much.

    python scripts/show_reference_task.py                         # 50 and 810 pendula, seed 0
    python scripts/show_reference_task.py --seeds 0 1 2           # and its spread
    python scripts/show_reference_task.py --pendula 100           # the size of the source

Example 2 of https://github.com/mcmahon-lab/Physics-Aware-Training on 5000 digits of MNIST, see
`bench_reference_task.py`: accuracy on the device after 8 epochs of in-silico training, of physics-aware training, and
of training with the equations of the device itself (ideal). Beside them, in brackets, what the functions of the source
gave with the same springs, digits, optimiser and epochs (seed 0). 1000 test digits: a standard error is 0.9 points.
The source trains in silico with the device's input noise of 0.02 rad; so does the row "in silico" (`noise_injection`).
Without it the same training overfits the model: `--rows noiseless`.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pnnlab.methods import InSilico, PhysicsAware, TrainingMethod, make_method, physical_layers, set_rule
from pnnlab.nn import ForwardRule
from scripts.bench_reference_task import ANGLE_STD_RAD, BATCH, load_digits, pnnlab_learner


def noisy_in_silico() -> TrainingMethod:
    """Return in-silico training with the noise with which the device's angles are set."""
    noise = {"input_noise": ANGLE_STD_RAD, "control_noise": 0, "output_noise": 0}
    return make_method("noise_injection", noise)


ROWS: dict[str, tuple[Callable[[], TrainingMethod], bool]] = {
    "physics-aware": (PhysicsAware, False), "in silico": (noisy_in_silico, False), "ideal": (PhysicsAware, True),
    "noiseless": (InSilico, False),
}  # fmt: skip
IN_SILICO = ("in silico", "noiseless")
SOURCE = {
    (50, "in silico", 1.0): 88.0, (50, "physics-aware", 1.0): 89.6, (50, "in silico", 2.0): 81.9,
    (50, "physics-aware", 2.0): 86.6, (50, "in silico", 3.0): 69.7, (50, "physics-aware", 3.0): 83.3,
    (100, "in silico", 1.0): 87.2, (100, "physics-aware", 1.0): 90.1, (100, "ideal", 1.0): 91.0,
}  # fmt: skip
"""Accuracy of the source's functions in percent, by pendula of the small network, row and mismatch."""


@dataclass(frozen=True)
class Job:
    """One training; in silico it serves devices of every mismatch."""

    row: str
    mismatches: tuple[float, ...]
    seed: int
    n_pendula: int
    epochs: int


def accuracies(job: Job) -> list[float]:
    """Train; return the accuracy on each device in percent."""
    torch.set_num_threads(1)
    method, exact = ROWS[job.row]
    learn, judge = load_digits()
    learner = pnnlab_learner(job.n_pendula, job.seed, mismatch=job.mismatches[0], method=method(), exact=exact)
    for _ in range(job.epochs):
        for rows in torch.randperm(len(learn[0])).split(BATCH):
            learner.step(learn[0][rows], learn[1][rows])
    found = []
    for mismatch in job.mismatches:
        model = pnnlab_learner(job.n_pendula, job.seed, mismatch=mismatch).model
        with torch.no_grad():
            model.get_parameter("gain").copy_(learner.model.get_parameter("gain"))
            for layer, trained in zip(physical_layers(model), physical_layers(learner.model), strict=True):
                layer.raw_controls.copy_(trained.raw_controls)
            set_rule(model, ForwardRule.MEASURED)
            right: Tensor = model(judge[0]).argmax(-1) == judge[1]
        found.append(100 * float(right.double().mean()))
    return found


def main() -> None:
    """Train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pendula", type=int, default=50, help="of the small network")
    parser.add_argument("--mismatch", type=float, nargs="+", default=[1.0, 2.0, 3.0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS)[:3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    jobs = [
        Job(row, mismatches, seed, args.pendula, args.epochs)
        for row in args.rows for seed in args.seeds
        for mismatches in ([tuple(args.mismatch)] if row in IN_SILICO else [(one,) for one in args.mismatch])
    ]  # fmt: skip
    console, begin = Console(), time.perf_counter()
    found: dict[tuple[str, float, int], float] = {}
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        waiting = {pool.submit(accuracies, job): job for job in jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            for mismatch, value in zip(job.mismatches, future.result(), strict=True):
                found[job.row, mismatch, job.seed] = value
                told = f"{job.row}, mismatch {mismatch:g}, seed {job.seed}: {value:.1f} %"
                console.print(f"[dim]{told} ({time.perf_counter() - begin:.0f} s)")
    table = Table("mismatch", *args.rows, title="accuracy on the device in percent (the source's functions)")
    for mismatch in args.mismatch:
        cells = []
        for row in args.rows:
            values = [found[row, mismatch, seed] for seed in args.seeds]
            source = SOURCE.get((args.pendula, row, mismatch))
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}" + (f" ({source:.1f})" if source else ""))
        table.add_row(f"{mismatch:g} x", *cells)
    console.print(table)


if __name__ == "__main__":
    main()
