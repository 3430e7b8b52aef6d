"""Training methods side by side: the same bench, task and budget for each, with several seeds."""

import json
import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import nn

from pnnlab.bench import Bench, BenchFile, Imperfection, scaled_text
from pnnlab.devices import SimulatedClock
from pnnlab.errors import CapabilityError, PnnlabError, RunError
from pnnlab.methods import find_method
from pnnlab.runs import JsonValue, Run, list_runs, write_atomically
from pnnlab.training._build import fits_twins
from pnnlab.training._experiment import Outcome, Watcher, build, read_recipe, resume_training, train
from pnnlab.training._recipe import Recipe
from pnnlab.training._trainer import Trainer, evaluate

__all__ = ["Budget", "Trial", "compare", "fitting_steps", "read_trials", "resume_comparison", "validation_interval"]

_TRIALS: Final = "trials.json"
_POINTS: Final = 20
"""Validations in the course of a training, if nothing else is asked for."""
_PROBES: Final = 3
"""Steps from which the shots of the first step and of every other one are told."""


@dataclass(frozen=True)
class Budget:
    """What a training may spend: shots or bench time, whichever is given.

    Attributes:
        shots: Shots of fitting, training and validation together.
        time_s: Bench time of the same in s.
    """

    shots: int | None = None
    time_s: float | None = None

    @property
    def kind(self) -> str:
        """Return `shots` or `time`."""
        return "shots" if self.shots is not None else "time"


@dataclass(frozen=True)
class Trial:
    """One training of a comparison.

    Attributes:
        method: The training method.
        seed: Of the training.
        budget: What it may spend.
        sweep: Which imperfection of a simulated bench is scaled; empty where the bench is as it is.
        factor: By how much.
        run: Folder of its run, relative to the comparison's; empty before it began.
        result: What came out, as a run's summary; empty before it is done.
        failure: Why there is no result.
    """

    method: str
    seed: int
    budget: Budget
    sweep: str = ""
    factor: float = 1.0
    run: str = ""
    result: Mapping[str, Any] | None = None
    failure: str = ""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.result is not None or bool(self.failure)


OnTrial = Callable[[int, int, Trial], None]
"""Told how many trials are done, of how many, and the last one."""


def compare(
    bench_file: Path, recipe_name: str | None, *, methods: Sequence[str], seeds: Sequence[int],
    budgets: Sequence[Budget], sweeps: Mapping[str, Sequence[float]] | None = None,
    changes: Mapping[str, object] | None = None, points: int = _POINTS,
    root: Path = Path("runs"), jobs: int = 1,
    on_trial: OnTrial | None = None,
) -> Path:  # fmt: skip
    """Train by each method with each seed and budget, and record all of it in one run.

    A training that fails, or a method that the bench cannot run, is recorded with its reason; the others go on.

    Args:
        bench_file: The bench file.
        recipe_name: One below its `training:`; the first if `None`.
        methods: Names of training methods.
        seeds: Of every training.
        budgets: Each method is trained anew for each, because its schedules go by what it may spend.
        sweeps: Factors by imperfection (`mismatch`, `noise`, `drift`) of a simulated bench: every method is trained for
            each of them too, within the first budget.
        changes: Keys of the recipe to replace.
        points: Validations in the course of each training, and so points of its curve, and looks at the exact gradient
            where the bench can tell it. Their shots are within the budget.
        root: Folder of all runs.
        jobs: Trainings at a time, on a simulated bench; a real one is one bench.
        on_trial: Told each trial that is done.

    Returns:
        The folder of the comparison's run.

    Raises:
        BenchFileError: Something is wrong with the file.
        RunError: A method is not known, or the comparison cannot be recorded.
    """
    file = BenchFile.load(bench_file)
    name, recipe = read_recipe(file, recipe_name)
    for method in methods:
        find_method(method)
    scaled = {
        (kind, factor): scaled_text(bench_file, Imperfection(kind), factor)
        for kind, factors in (sweeps or {}).items()
        for factor in factors
    }
    plan: dict[str, Any] = {
        "recipe_name": name, "changes": dict(changes or {}), "bench_file": str(bench_file.resolve()), "points": points,
    }  # fmt: skip
    run = Run.create(
        root, f"{name} compare", kind="compare", bench_file=bench_file, configuration=plan,
        bench_snapshot=_json(file.snapshot()), bench_hash=file.hash, seed=recipe.seed,
    )  # fmt: skip
    for (kind, factor), text in scaled.items():
        _scaled_file(run.path, kind, factor).write_text(text, encoding="utf-8")
    pairs = [(method, seed) for seed in seeds for method in methods]  # what is stopped half-way has tried every method
    trials = [Trial(method, seed, budget) for budget in budgets for method, seed in pairs]
    trials += [Trial(method, seed, budgets[0], kind, factor) for kind, factor in scaled for method, seed in pairs]
    return _execute(run, trials, jobs, on_trial)


def resume_comparison(path: Path, *, jobs: int = 1, on_trial: OnTrial | None = None) -> Path:
    """Go on with a comparison that was stopped: what is done stays, what was begun is resumed.

    Args:
        path: Folder of its run.
        jobs: As in `compare`.
        on_trial: As in `compare`.

    Raises:
        RunError: It is no comparison, or is being written.
    """
    record = Run.open(path).record
    if record.kind != "compare":
        raise RunError(f"{path.name}: it is no comparison; only `pnnlab compare` makes one")
    if BenchFile.load(_bench_file(record.configuration)).hash != record.bench_hash:
        raise RunError(f"{path.name}: the bench file changed since the comparison began; start a new one")
    return _execute(Run.resume(path), read_trials(path), jobs, on_trial)


def read_trials(path: Path) -> list[Trial]:
    """Return the trials of a comparison, done or not.

    Raises:
        RunError: There are none, or they do not read.
    """
    try:
        entries = json.loads((path / _TRIALS).read_text(encoding="utf-8"))
        return [Trial(**{**entry, "budget": Budget(**entry["budget"])}) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: no comparison can be read from it ({error})") from error


def _execute(run: Run, trials: list[Trial], jobs: int, on_trial: OnTrial | None) -> Path:
    with run:
        _write(run.path, trials)
        simulated = isinstance(Bench.from_file(_bench_file(run.record.configuration)).clock, SimulatedClock)
        left = [index for index, trial in enumerate(trials) if not trial.done]
        for index, trial in _results(run, trials, left, jobs if simulated else 1):
            trials[index] = trial
            _write(run.path, trials)
            if on_trial is not None:
                on_trial(sum(one.done for one in trials), len(trials), trial)
        failed = sum(bool(trial.failure) for trial in trials)
        run.finish("finished", {"trials": len(trials), "failed": failed})
    return run.path


def _results(run: Run, trials: list[Trial], left: Sequence[int], jobs: int) -> Iterator[tuple[int, Trial]]:
    plan = run.record.configuration
    if jobs <= 1 or len(left) <= 1:
        for index in left:
            yield index, _try(run.path, plan, trials[index], index)
        return
    # a fresh interpreter for each worker: threads and open devices do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        futures = {pool.submit(_try, run.path, plan, trials[index], index): index for index in left}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _try(path: Path, plan: Mapping[str, Any], trial: Trial, number: int) -> Trial:
    """Train once; what goes wrong on purpose becomes the trial's result."""
    folder = path / "runs" / f"{number:04d}"
    try:
        file = _scaled_file(path, trial.sweep, trial.factor) if trial.sweep else _bench_file(plan)
        outcome = _train(file, plan, trial, folder)
    except CapabilityError as error:
        return replace(trial, failure=str(error))
    except PnnlabError as error:
        return replace(trial, failure=f"{type(error).__name__}: {error}")
    summary = dict(Run.open(outcome.run).record.summary)
    return replace(trial, run=outcome.run.relative_to(path).as_posix(), result=summary)


def _train(bench_file: Path, plan: Mapping[str, Any], trial: Trial, folder: Path) -> Outcome:
    begun = list_runs(folder)
    if begun:
        return resume_training(begun[-1])
    bench = Bench.from_file(bench_file)
    name, recipe = read_recipe(bench.file, str(plan["recipe_name"]))
    changes = {**plan["changes"], "method": trial.method, "seed": trial.seed}
    changes |= {"budget_shots": trial.budget.shots, "budget_time_s": trial.budget.time_s, "patience": None}
    recipe = Recipe.model_validate(recipe.model_dump() | changes)
    points = int(plan.get("points", _POINTS))
    n_steps = _steps_within(bench, recipe, points)
    epochs = max(recipe.epochs, n_steps)  # steps decide
    changes |= {"epochs": epochs, "max_steps": n_steps, "validate_every": validation_interval(n_steps, points)}
    if isinstance(bench.clock, SimulatedClock):
        changes["align_every"] = validation_interval(n_steps, points)
    return train(bench_file, name, changes=changes, root=folder, watcher=Watcher())


def _steps_within(bench: Bench, recipe: Recipe, points: int) -> int:
    """Return how many steps the budget allows, from what a few steps and a validation cost on this bench.

    Methods that take no shots while they train make the recipe's own epochs.

    Raises:
        RunError: One step takes more than the budget.
    """
    with bench:
        model, method, task, _ = build(bench, recipe)
        trainer = Trainer(model, method, task, recipe, bench=bench)
        x, y = task.train
        most = recipe.budget_shots or math.inf
        spent = [(trainer.shots, bench.clock.now_s())]
        while len(spent) <= _PROBES and spent[-1][0] - spent[0][0] < most / 2:
            rows = torch.arange((len(spent) - 1) * recipe.batch, len(spent) * recipe.batch) % len(x)
            method.step(model, x[rows], y[rows], nn.functional.cross_entropy, trainer.optimiser)
            spent.append((trainer.shots, bench.clock.now_s()))
        evaluate(lambda part: method.predict(model, part), task.validation)
        look, look_s = trainer.shots - spent[-1][0], bench.clock.now_s() - spent[-1][1]
    # what the first step takes besides, to look at the bench or to begin a search, no other one does
    rest = spent[1:] if len(spent) > 2 else spent
    first, first_s = (after - before for before, after in zip(*spent[:2], strict=True))
    step, step_s = ((after - before) / (len(rest) - 1) for before, after in zip(rest[0], rest[-1], strict=True))
    if first + look > most:
        raise RunError(
            f"method {recipe.method!r}: one step takes {first} and a validation {look} shots, the budget is {most}; "
            f"give it more shots, a smaller `batch`, or options that cost less (`pnnlab methods {recipe.method}`)"
        )
    fitting = recipe.fit.shots if recipe.fit is not None and fits_twins(recipe) else 0
    shots, time_s = recipe.budget_shots, recipe.budget_time_s
    if step == 0 or (shots is None and time_s is None):
        return recipe.epochs * trainer.steps_per_epoch
    if shots is not None:
        return fitting_steps(shots - fitting, first, step, look, points)
    assert time_s is not None  # noqa: S101 (one of the two is given)
    return fitting_steps(time_s - fitting * step_s / step, first_s, step_s, look_s, points)


def fitting_steps(budget: float, first: float, step: float, look: float, points: int) -> int:
    """Return the most steps that fit into a budget with their validations.

    Args:
        budget: Shots, or seconds.
        first: What the first step costs.
        step: What every other one costs.
        look: What a validation costs: there is one every `validation_interval` steps, and one after the last.
        points: Validations that are asked for.
    """
    n_steps = max(1, 1 + math.floor((budget - first) / step))
    while n_steps > 1:
        looks = math.ceil(n_steps / validation_interval(n_steps, points))
        if first + (n_steps - 1) * step + looks * look <= budget:
            break
        n_steps -= 1
    return n_steps


def validation_interval(n_steps: int, points: int) -> int:
    """Return after how many steps each there is a validation."""
    return max(1, n_steps // points)


def _scaled_file(path: Path, kind: str, factor: float) -> Path:
    return path / f"instruments-{kind}-{factor:g}.yaml"


def _bench_file(plan: Mapping[str, Any]) -> Path:
    # not the run's copy: calibration records lie beside the file itself
    return Path(str(plan["bench_file"]))


def _write(path: Path, trials: Sequence[Trial]) -> None:
    text = json.dumps([asdict(trial) for trial in trials], indent=1)
    write_atomically(path / _TRIALS, partial(_put, text.encode()))


def _put(text: bytes, file: BinaryIO) -> None:
    file.write(text)


def _json(data: Mapping[str, object]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = json.loads(json.dumps(data))
    return found
