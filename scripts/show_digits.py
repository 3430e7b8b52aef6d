"""What a bench learns of handwritten digits, beside everything it must be compared with.

    python scripts/show_digits.py                                  # the shipped optical bench: table
    python scripts/show_digits.py --mismatch 0 0.5 1 1.5 2         # and accuracy against mismatch, drawn
    python scripts/show_digits.py --bench scripts/benches/crossbar.yaml

Prints test accuracy on the bench, mean and standard deviation over seeds: untrained controls (floor), in-silico
training deployed on the bench, physics-aware training with the same twin, and training with the plant's own exact
gradient (ceiling); beside them a linear classifier on the pixels and a linear read-out of the untrained physics.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from pnnlab.bench import Bench, Imperfection, scaled_text
from pnnlab.training import (
    build_model,
    build_twins,
    deploy,
    linear_on_inputs,
    linear_on_physics,
    load_task,
    read_recipe,
    train,
)

ROWS = {
    "linear_inputs": "linear classifier on the pixels",
    "untrained": "untrained controls (floor)",
    "linear_physics": "linear read-out of the untrained physics",
    "in_silico": "in-silico, deployed on the bench",
    "physics_aware": "physics-aware",
    "ceiling": "exact gradient of the plant (ceiling)",
}
TRAINED = ("in_silico", "physics_aware", "ceiling")


@dataclass(frozen=True)
class Job:
    """One number to find."""

    bench: Path
    row: str
    seed: int
    mismatch: float
    runs: Path
    epochs: int | None


def accuracy(job: Job) -> float:
    """Find one number; runs in a process of its own."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Path(folder) / f"mismatch-{job.mismatch:g}-{job.bench.name}"
        bench.write_text(scaled_text(job.bench, Imperfection.MISMATCH, job.mismatch), encoding="utf-8")
        if job.row in TRAINED:
            changes: dict[str, object] = {"seed": job.seed}
            if job.epochs is not None:
                changes["epochs"] = job.epochs
            if job.row == "ceiling":
                _, recipe = read_recipe(Bench.from_file(bench).file)
                changes |= {"method": "physics_aware", "twins": {name: {"kind": "plant"} for name in recipe.twins}}
                changes["fit"] = None
            else:
                changes["method"] = job.row
            return train(bench, changes=changes, root=job.runs).test_accuracy
        with Bench.from_file(bench) as opened:
            _, recipe = read_recipe(opened.file)
            torch.manual_seed(job.seed)
            task = load_task(recipe.task)
            if job.row == "linear_inputs":
                return linear_on_inputs(task)
            model = build_model(recipe, task, opened.systems, build_twins(recipe, opened.systems))
            if job.row == "untrained":
                return deploy(model, task.test).accuracy
            return linear_on_physics(model, task)


def mean_std(values: Sequence[float]) -> str:
    """Return percent with the standard deviation over seeds."""
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread} %"


def draw(results: dict[Job, float], path: Path) -> None:
    """Draw accuracy against mismatch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    styles = {"in_silico": ("C3", "s--"), "physics_aware": ("C0", "o-"), "ceiling": ("0.45", "^:")}
    for row, (colour, style) in styles.items():
        scales = sorted({job.mismatch for job in results if job.row == row})
        if not scales:
            continue
        each = [[100 * v for job, v in results.items() if job.row == row and job.mismatch == s] for s in scales]
        means = [statistics.mean(values) for values in each]
        errors = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in each]
        axes.errorbar(scales, means, errors, fmt=style, color=colour, capsize=3, label=ROWS[row])
    linear = [v for job, v in results.items() if job.row == "linear_inputs"]
    if linear:
        axes.axhline(100 * linear[0], color="0.75", linewidth=1, zorder=0)
        axes.annotate("linear on pixels", (0, 100 * linear[0]), (2, -12), textcoords="offset points", color="0.5")
    axes.set(xlabel="mismatch between bench and twin (1 = as shipped)", ylabel="test accuracy on the bench (%)")
    axes.set_ylim(0, 101)
    axes.legend(loc="lower left", frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Parse, run, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("instruments.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mismatch", type=float, nargs="*", default=[1.0], help="scales; all but 1 use the first seed")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--plot", type=Path, help="where to draw accuracy against mismatch (PNG)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    jobs = [
        Job(args.bench, row, seed, scale, args.runs, args.epochs)
        for scale in args.mismatch
        for row in args.rows
        if row in TRAINED or scale == 1.0
        for seed in (args.seeds if scale == 1.0 else args.seeds[:1])
    ]
    begin = time.perf_counter()
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        results = dict(zip(jobs, pool.map(accuracy, jobs), strict=True))
    console = Console()
    for scale in args.mismatch:
        table = Table(title=f"{args.bench}, mismatch {scale:g}: test accuracy on the bench", title_justify="left")
        table.add_column("")
        table.add_column("accuracy", justify="right")
        table.add_column("each seed", justify="right")
        for row, label in ROWS.items():
            values = [value for job, value in results.items() if job.row == row and job.mismatch == scale]
            if values:
                table.add_row(label, mean_std(values), "  ".join(f"{100 * v:.1f}" for v in values))
        console.print(table)
    console.print(f"{len(jobs)} numbers in {time.perf_counter() - begin:.0f} s on {args.jobs} processes")
    if args.plot is not None:
        draw(results, args.plot)
        console.print(f"drawn: {args.plot}")


if __name__ == "__main__":
    main()
