"""Draw how accuracy on the bench stands mismatch, noise and drift, with the twin alone and with the bench in the loop.

    python scripts/show_robustness.py --plot robustness.png                       # the shipped optical bench
    python scripts/show_robustness.py --sweeps drift --drift 0 0.25 --epochs 5     # one sweep, and quicker

Mismatch and noise are scaled against the bench as it ships. Drift makes the medium decorrelate: factor 1 takes as long
to fall to 1/e as one training by measurement takes, and the final test comes after that time for every method, in
silico, too. The twin knows the design, and nothing of this specimen. A factor of 0 of drift is the bench as it ships.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from pnnlab.bench import Bench, Imperfection, scaled_text
from pnnlab.training import build_model, build_twins, deploy, load_task, read_recipe, train

METHODS = {"in_silico": ("C3", "s--"), "physics_aware": ("C0", "o-"), "online_physics_aware": ("C2", "^-")}


@dataclass(frozen=True)
class Job:
    """One number to find."""

    bench: Path
    sweep: str
    factor: float
    method: str
    seed: int
    epochs: int
    training_s: float


def changes(job: Job) -> dict[str, object]:
    """Return what differs from the bench file's recipe."""
    return {"method": job.method, "seed": job.seed, "epochs": job.epochs}


def bench_text(job: Job) -> str:
    """Return the bench file with one imperfection scaled."""
    if job.sweep != "drift":
        return scaled_text(job.bench, Imperfection(job.sweep), job.factor)
    yaml, text = YAML(), job.bench.read_text(encoding="utf-8")
    if not job.factor:
        return text
    data = yaml.load(text)
    for plant in data["plants"].values():
        plant["options"]["decorrelation_time"] = f"{job.training_s / job.factor} s"
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        yaml.dump(data, file)
        file.seek(0)
        return file.read()


def accuracy(job: Job) -> float:
    """Train; return the test accuracy on the bench, after the time that training by measurement takes."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(bench_text(job), encoding="utf-8")
        outcome = train(file, changes=changes(job), root=Path(folder))
        if job.sweep != "drift" or job.method != "in_silico":
            return outcome.test_accuracy
        with Bench.from_file(file) as bench:
            # the bench has aged meanwhile
            bench.clock.sleep_until(bench.clock.now_s() + job.training_s)
            _, recipe = read_recipe(bench.file)
            task = load_task(recipe.task)
            model = build_model(recipe, task, bench.systems, build_twins(recipe, bench.systems))
            kept = torch.load(outcome.run / "checkpoints" / "last.pt", weights_only=True)["model"]
            model.load_state_dict(kept, strict=False)
            return deploy(model, task.test).accuracy


def training_time(bench: Path, epochs: int) -> float:
    """Return the bench time of one training by measurement in s, test included."""
    with tempfile.TemporaryDirectory() as folder:
        return train(bench, changes={"method": "physics_aware", "epochs": epochs}, root=Path(folder)).bench_s


def draw(results: Mapping[Job, float], path: Path) -> None:
    """Draw one panel a sweep."""
    from matplotlib.figure import Figure

    sweeps = list(dict.fromkeys(job.sweep for job in results))
    figure = Figure(figsize=(4.2 * len(sweeps), 3.8), layout="constrained")
    panels = figure.subplots(1, len(sweeps), sharey=True, squeeze=False)[0]
    for axes, sweep in zip(panels, sweeps, strict=True):
        for method, (colour, style) in METHODS.items():
            points = sorted(
                (job.factor, 100 * v) for job, v in results.items() if (job.sweep, job.method) == (sweep, method)
            )
            axes.plot(*zip(*points, strict=True), style, color=colour, label=method)
        axes.set(xlabel=f"{sweep} (1 = as shipped)" if sweep != "drift" else "drift (1 = 1/e in one training)")
        axes.set_ylim(0, 101)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("test accuracy on the bench (%)")
    panels[0].legend(loc="lower left", frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Parse, train, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("instruments.yaml"))
    parser.add_argument(
        "--sweeps", nargs="+", choices=("mismatch", "noise", "drift"), default=["mismatch", "noise", "drift"]
    )
    for sweep, factors in (("mismatch", [0, 1, 2, 4]), ("noise", [0, 1, 2, 4]), ("drift", [0, 0.1, 0.25, 0.5])):
        parser.add_argument(f"--{sweep}", type=float, nargs="+", default=factors)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    console, begin = Console(), time.perf_counter()
    training_s = training_time(args.bench, args.epochs) if "drift" in args.sweeps else 1.0
    jobs = [
        Job(args.bench, sweep, factor, method, args.seed, args.epochs, training_s)
        for sweep in args.sweeps for factor in getattr(args, sweep) for method in args.methods
    ]  # fmt: skip
    results: dict[Job, float] = {}
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        waiting = {pool.submit(accuracy, job): job for job in jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            results[job] = future.result()
            told = f"{job.sweep} {job.factor:g}, {job.method}: {100 * results[job]:.1f} %"
            console.print(f"[dim]{told} ({time.perf_counter() - begin:.0f} s)")
    for sweep in args.sweeps:
        table = Table(sweep, *args.methods, title=f"{args.bench}: test accuracy on the bench in percent")
        for factor in getattr(args, sweep):
            row = {job.method: v for job, v in results.items() if (job.sweep, job.factor) == (sweep, factor)}
            table.add_row(f"{factor:g}", *(f"{100 * row[method]:.1f}" for method in args.methods))
        console.print(table)
    if args.plot is not None:
        draw({job: results[job] for job in jobs}, args.plot)
        console.print(f"drawn: {args.plot}")


if __name__ == "__main__":
    main()
