"""The command `pnnlab train`."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._options import (
    BENCH,
    RUNS,
    BenchOption,
    JsonOption,
    RecipeArgument,
    RunsOption,
    SetOption,
    run_counter,
    run_folder,
)
from pnnlab.cli._terminal import print_facts, print_json, print_table
from pnnlab.cli._text import count, duration, number

if TYPE_CHECKING:
    from pnnlab.training import Outcome

__all__ = ["train"]


@dataclass(frozen=True)
class _Done:
    """A training that came to its end, and the wall time that it took."""

    outcome: "Outcome"
    wall_s: float


def train(
    recipe: RecipeArgument = None,
    *,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="The training method; see `pnnlab methods`.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the training data at most.")] = None,
    shots: Annotated[int | None, typer.Option(metavar="N", help="Stop once the run has taken this many shots.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of everything random in the run.")] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Train once with each seed; tell mean and spread.")
    ] = None,
    changes: SetOption = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run: `latest`, its counter, name or folder.")
    ] = None,
    runs: RunsOption = RUNS,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Train by a recipe of the bench file and test on the bench.

    Everything is recorded in a run's folder. Ctrl-C makes all outputs safe and keeps the run; `--resume` goes on.
    """
    given = {"method": method, "epochs": epochs, "budget_shots": shots, "seed": seed}
    replaced = recipe_changes(given, changes or [])
    if seeds is not None:
        if "seed" in replaced or resume is not None:
            raise typer.BadParameter("--seeds starts new runs with seeds of their own; leave --seed and --resume out")
        _train_each(bench, recipe, replaced, seeds=_read_seeds(seeds), root=runs, as_json=as_json)
        return
    if resume is None:
        done = _train(bench, recipe, replaced, runs)
    elif recipe is None and not replaced:
        done = _resume(run_folder(runs, resume), runs)
    else:
        raise typer.BadParameter("--resume goes on with the run's own recipe; leave out what would change it")
    if as_json:
        print_json(_facts(done))
    else:
        print_facts(_lines(done))


def _read_seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"--seeds is {text!r}; write whole numbers with commas between, as 0,1,2") from error


def _train(bench: Path, recipe: str | None, changes: Mapping[str, object], root: Path) -> _Done:
    from pnnlab.bench import BenchFile
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.training import change_recipe, train

    with open_watcher(root) as watcher:
        name, changed = change_recipe(BenchFile.load(bench), recipe, changes)
        start_s = time.perf_counter()
        outcome = train(bench, name, changes=changed.model_dump(), root=root, watcher=watcher)
        return _Done(outcome, time.perf_counter() - start_s)


def _resume(run: Path, root: Path) -> _Done:
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.training import resume_training

    with open_watcher(root) as watcher:
        start_s = time.perf_counter()
        return _Done(resume_training(run, watcher=watcher), time.perf_counter() - start_s)


def _train_each(
    bench: Path, recipe: str | None, changes: Mapping[str, object], *, seeds: list[int], root: Path, as_json: bool
) -> None:
    done: dict[int, _Done] = {}
    try:
        for k, seed in enumerate(seeds, start=1):
            typer.echo(f"seed {seed}, {k} of {len(seeds)}", err=True)
            done[seed] = _train(bench, recipe, {**changes, "seed": seed}, root)
    finally:
        # hours may have gone into the first seeds when a later one fails
        if as_json:
            print_json([{"seed": seed, **_facts(one)} for seed, one in done.items()])
        elif done:
            _tell_all(done)


def _tell_all(done: Mapping[int, _Done]) -> None:
    rows = [
        [
            str(seed), number(one.outcome.test_accuracy), count(one.outcome.shots), duration(one.outcome.bench_s),
            duration(one.wall_s), str(run_counter(one.outcome.run)),
        ]
        for seed, one in done.items()
    ]  # fmt: skip
    columns = ["seed", "test accuracy", "shots", "bench time", "wall time", "run"]
    print_table(columns, rows, folding=[], right=columns)
    accuracies = [one.outcome.test_accuracy for one in done.values()]
    spread = f" ± {statistics.stdev(accuracies):.4f} (sample standard deviation)" if len(accuracies) > 1 else ""
    typer.echo(f"test accuracy {statistics.mean(accuracies):.4f}{spread}, {len(accuracies)} seeds")


def _lines(done: _Done) -> dict[str, str]:
    outcome = done.outcome
    twins = {f"twin of {system}": f"held-out R² {report.r2_total:.4f}" for system, report in outcome.fits.items()}
    return {
        "test accuracy": f"{outcome.test_accuracy:.4f} on the bench, loss {outcome.test_loss:.4f}",
        **twins,
        "steps": f"{count(outcome.steps)}; {outcome.stopped_because}",
        "shots": count(outcome.shots),
        "bench time": duration(outcome.bench_s),
        "wall time": duration(done.wall_s),
        "run": str(outcome.run),
    }


def _facts(done: _Done) -> dict[str, object]:
    outcome = done.outcome
    return {
        "run": str(outcome.run),
        "test_accuracy": outcome.test_accuracy,
        "test_loss": outcome.test_loss,
        "steps": outcome.steps,
        "stopped_because": outcome.stopped_because,
        "shots": outcome.shots,
        "bench_s": outcome.bench_s,
        "wall_s": done.wall_s,
        "twins": {system: report.summary() for system, report in outcome.fits.items()},
    }
