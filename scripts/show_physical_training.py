"""Train the benches whose physics makes the gradient, each by its recipe, with several seeds.

    python scripts/show_physical_training.py                                  # all rows, three seeds
    python scripts/show_physical_training.py --rows mesh spins --seeds 0 1    # some of them
    python scripts/show_physical_training.py --vowels hillenbrand_vowels.csv  # with the vowels, where you have the file

Beside the test accuracy of the method stands that of a ridge read-out of the same physics, untrained (`reservoir`):
what training the physics must be better than. Where the recipe has a twin of the bench as designed, training in silico
and physics-aware training go by that. A linear classifier on the inputs themselves is there, too. All figures in
percent, mean and standard deviation over seeds, on samples that were never used before.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from pnnlab.bench import Bench
from pnnlab.training import Recipe, linear_on_inputs, load_task, read_recipe, train

BENCHES = Path(__file__).parent / "benches"


@dataclass(frozen=True)
class Row:
    """A bench and how it is trained.

    Attributes:
        bench: Name of the bench file.
        recipe: Of that file.
        methods: By which it is trained; most of them take the gradient from the physics.
        twin: Whether the recipe has a twin of the design, so that training through twins can be compared.
    """

    bench: str
    recipe: str
    methods: tuple[str, ...]
    twin: bool = False


ROWS = {
    "mesh": Row("mesh", "iris", ("in_situ",), twin=True),
    "factored_mesh": Row("factored_mesh", "iris", ("l2ight",)),
    "fitted_mesh": Row("factored_mesh", "fitted", ("state_separation",), twin=True),
    "absorber": Row("absorber", "digits", ("saturable_absorption",)),
    "diffractive": Row("diffractive", "digits", ("fully_forward",), twin=True),
    "fields": Row("diffractive", "iris", ("in_situ_diffractive",), twin=True),
    "free_space": Row("free_space", "digits", ("fully_forward",), twin=True),
    "free_space_fields": Row("free_space", "iris", ("in_situ_diffractive",), twin=True),
    "echo": Row("echo", "digits", ("hamiltonian_echo",), twin=True),
    "echo_series": Row("echo_series", "iris", ("recurrent_hamiltonian_echo",)),
    "resonators": Row("resonators", "digits", ("scattering_gradient",)),
    "resonators_small": Row("resonators_small", "iris", ("scattering_gradient",), twin=True),
    "kerr_modes": Row("kerr_modes", "iris", ("scattering_backpropagation",)),
    "wave_medium": Row("wave_medium", "digits", ("physical_media",)),
    "vowels": Row("wave_medium", "vowels", ("physical_media",)),
    "delay_reservoir": Row("delay_reservoir", "digits_masks", ("physical_media",)),
    "resistor_network": Row("resistor_network", "digits", ("equilibrium_propagation",)),
    "flow_network": Row("flow_network", "iris", ("multi_mechanism",)),
    "resistor_copies": Row(
        "resistor_copies", "iris", ("equilibrium_propagation", "coupled_learning", "contrastive_local_learning")
    ),
    "hopfield": Row("hopfield", "digits", ("equilibrium_propagation",)),
    "hopfield_soft": Row("hopfield_soft", "iris", ("agnostic_equilibrium_propagation",)),
    "oscillators": Row("oscillators", "digits", ("equilibrium_propagation",)),
    "springs": Row("springs", "iris", ("equilibrium_propagation",)),
    "ising": Row("ising", "iris", ("equilibrium_propagation",)),
    "ising_hebbian": Row("ising", "hebbian", ("contrastive_hebbian",)),
    "spins": Row("spins", "iris", ("equilibrium_propagation",)),
    "madem": Row("crossbar", "madem", ("madem",)),
    "crossbar_training": Row(
        "crossbar_training", "digits", ("tiki_taka", "mixed_precision", "analog_sgd", "write_verify")
    ),
}


@dataclass(frozen=True)
class Job:
    """One training."""

    row: str
    method: str
    seed: int
    vowels: Path | None


def accuracy(job: Job) -> tuple[float, float]:
    """Train; return the test accuracy on the bench in percent, and the shots that it took."""
    torch.set_num_threads(1)
    row = ROWS[job.row]
    with tempfile.TemporaryDirectory() as folder:
        changes = {"seed": job.seed, "method": job.method, **task_of(job.row, job.vowels)}
        outcome = train(BENCHES / f"{row.bench}.yaml", row.recipe, changes=changes, root=Path(folder))
    return 100 * outcome.test_accuracy, outcome.shots


def task_of(row: str, vowels: Path | None) -> dict[str, JsonValue]:
    """Return what a recipe's task is changed to: the vowels come from the file that was named, if any was."""
    if row != "vowels" or vowels is None:
        return {}
    return {"task": {"kind": "vowels", "path": str(vowels)}}


def methods_of(row: Row) -> tuple[str, ...]:
    """Return all methods of a row of the table, the baselines last."""
    return (*row.methods, *(("in_silico", "physics_aware") if row.twin else ()), "reservoir")


def linear(name: str, vowels: Path | None) -> float:
    """Return the test accuracy of a linear classifier of a row's inputs in percent."""
    row = ROWS[name]
    _, recipe = read_recipe(Bench.from_file(BENCHES / f"{row.bench}.yaml").file, row.recipe)
    recipe = Recipe.model_validate(recipe.model_dump() | task_of(name, vowels))
    return 100 * linear_on_inputs(load_task(recipe.task))


def mean_std(values: Sequence[float]) -> str:
    """Return the mean with the standard deviation over seeds."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def main() -> None:
    """Train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="all of which the data are there if left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--vowels", type=Path, help="hillenbrand_vowels.csv from the public code of Momeni et al. 2023")
    args = parser.parse_args()
    args.rows = args.rows or [name for name in ROWS if name != "vowels" or args.vowels]
    jobs = [
        Job(name, method, seed, args.vowels)
        for seed in args.seeds for name in args.rows for method in methods_of(ROWS[name])
    ]  # fmt: skip
    console, begin = Console(), time.perf_counter()
    found: dict[Job, tuple[float, float]] = {}
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        waiting = {pool.submit(accuracy, job): job for job in jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            found[job] = future.result()
            value, shots = found[job]
            told = f"{job.row}, {job.method}, seed {job.seed}: {value:.1f} %, {shots:,} shots"
            console.print(f"[dim]{told} ({time.perf_counter() - begin:.0f} s)")
    table = Table("bench", "task", "method", "test accuracy in percent", "each seed", "shots")
    for name in args.rows:
        row = ROWS[name]
        for method in methods_of(row):
            values = [found[Job(name, method, seed, args.vowels)][0] for seed in args.seeds]
            shots = statistics.mean(found[Job(name, method, seed, args.vowels)][1] for seed in args.seeds)
            each = "  ".join(f"{value:.1f}" for value in values)
            table.add_row(name, row.recipe, method, mean_std(values), each, f"{shots:,.0f}")
        table.add_row(
            name, row.recipe, "linear, on the inputs", f"{linear(name, args.vowels):.1f}", "", "", end_section=True
        )
    console.print(table)


if __name__ == "__main__":
    main()
