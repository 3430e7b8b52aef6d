"""One recorded training: bench file and recipe in, run folder out; and going on with one that was stopped."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from pydantic import ValidationError
from torch import nn

from pnnlab.bench import Bench, BenchFile
from pnnlab.errors import BenchFileError, Problem, RunError
from pnnlab.methods import TrainingMethod
from pnnlab.runs import JsonValue, Run, read_or_previous, write_atomically
from pnnlab.training._build import (
    build_method,
    build_model,
    build_twins,
    build_watches,
    fit_twins,
    fits_twins,
    record_training_shots,
)
from pnnlab.training._calibrations import keep_calibrations, kept_calibrations
from pnnlab.training._recipe import Recipe
from pnnlab.training._tasks import Task, load_task
from pnnlab.training._trainer import Progress, Trainer, deploy
from pnnlab.twins import DigitalTwin, FitReport

__all__ = ["Outcome", "Watcher", "fit_only", "read_recipe", "resume_training", "train"]

BENCH_COPY = "instruments.yaml"


class Watcher:
    """Told how a training goes on; every method may be overridden, and does nothing here."""

    def began(self, run: Path) -> None:
        """The run's folder was made, or taken up again; no device has been opened yet."""

    def phase(self, text: str) -> None:
        """Something longer begins: recording shots, fitting a twin, training, testing."""

    def fitting(self, system: str, epoch: int, epochs: int, error: float) -> None:
        """A twin's fit made an epoch."""

    def fitted(self, system: str, report: FitReport) -> None:
        """A twin was fitted."""

    def step(self, progress: Progress) -> None:
        """Training made a step."""

    def warn(self, text: str) -> None:
        """Something is odd but not wrong."""


@dataclass(frozen=True)
class Outcome:
    """What came out of a training.

    Attributes:
        run: The folder of its record.
        test_accuracy: On the bench, on samples that were never used before.
        test_loss: The same samples' mean loss.
        steps: Steps made.
        shots: Shots of the whole run, the test included.
        bench_s: Bench time of the whole run in s.
        stopped_because: Why training ended.
        fits: The twins' reports by system; empty where twins were taken as designed, and after resuming.
    """

    run: Path
    test_accuracy: float
    test_loss: float
    steps: int
    shots: int
    bench_s: float
    stopped_because: str
    fits: Mapping[str, FitReport]


def read_recipe(file: BenchFile, name: str | None = None) -> tuple[str, Recipe]:
    """Return a recipe of a bench file by its name; the first where no name is given.

    Raises:
        BenchFileError: There is no such recipe, or something is wrong with it.
    """
    section = file.document.at(("training",))
    if not isinstance(section, dict) or not section:
        raise BenchFileError(
            [Problem(file.document.file, 0, "training", "the section is missing", "add a recipe to train by")]
        )
    if name is None:
        name = str(next(iter(section)))
    if name not in section:
        raise BenchFileError(
            [file.document.problem(("training",), f"there is no recipe {name!r}", f"there are {', '.join(section)}")]
        )
    return name, file.document.read(("training", name), Recipe)


def train(
    bench_file: Path, recipe_name: str | None = None, *, changes: Mapping[str, object] | None = None,
    root: Path = Path("runs"), watcher: Watcher | None = None,
) -> Outcome:  # fmt: skip
    """Train by a recipe of a bench file and record it.

    Args:
        bench_file: The bench file.
        recipe_name: One below its `training:`; the first if `None`.
        changes: Keys of the recipe to replace, as `{"seed": 1, "method": "in_silico"}`.
        root: Folder of all runs.
        watcher: Told how it goes.

    Raises:
        BenchFileError: Something is wrong with the file; no device was touched.
        BenchError: A device could not be opened.
        RunError: The run cannot be recorded, or the loss became infinite.
    """
    bench = Bench.from_file(bench_file)
    name, recipe = read_recipe(bench.file, recipe_name)
    recipe = _changed(name, recipe, changes)
    build_method(recipe)
    run = Run.create(
        root, f"{name} {recipe.method}", kind="train", bench_file=bench_file,
        configuration={"recipe_name": name, "recipe": recipe.model_dump(mode="json")},
        bench_snapshot=_json(bench.file.snapshot()), bench_hash=bench.file.hash, seed=recipe.seed,
    )  # fmt: skip
    return _execute(run, bench, recipe, watcher or Watcher(), resuming=False)


def resume_training(path: Path, *, watcher: Watcher | None = None) -> Outcome:
    """Go on with a run that was stopped or killed; on a simulated bench the numbers are those of an uninterrupted run.

    It goes by the calibration records that it began with, of which it keeps copies.

    Args:
        path: The run's folder.
        watcher: Told how it goes.

    Raises:
        RunError: It is no training, is being written, is finished, or its checkpoint does not read.
    """
    record = Run.open(path).record
    recipe_data = record.configuration.get("recipe")
    if record.kind != "train" or recipe_data is None:
        raise RunError(f"{path.name}: it is a run of the kind {record.kind!r}; only trainings can be resumed")
    if record.status == "finished":
        raise RunError(f"{path.name}: it is finished; start a new run")
    recipe = Recipe.model_validate(recipe_data)
    bench = Bench.from_file(path / BENCH_COPY, store=kept_calibrations(path))
    if bench.file.hash != record.bench_hash:
        raise RunError(
            f"{path.name}: its copy of the bench file, or a driver's defaults, changed since it began; start a new run"
        )
    return _execute(Run.resume(path), bench, recipe, watcher or Watcher(), resuming=True)


def fit_only(
    bench_file: Path, recipe_name: str | None = None, *, changes: Mapping[str, object] | None = None,
    root: Path = Path("runs"), watcher: Watcher | None = None,
) -> tuple[Path, dict[str, FitReport]]:  # fmt: skip
    """Record shots, fit the recipe's twins and keep shots, twins and reports in a run; arguments as in `train`.

    Raises:
        RunError: The recipe does not say how to fit.
    """
    bench = Bench.from_file(bench_file)
    name, recipe = read_recipe(bench.file, recipe_name)
    recipe = _changed(name, recipe, changes)
    if recipe.fit is None:
        raise RunError(f"recipe {name!r} has no `fit`; add it, as `fit: {{shots: 4096}}`")
    run = Run.create(
        root, f"{name} twin", kind="fit", bench_file=bench_file,
        configuration={"recipe_name": name, "recipe": recipe.model_dump(mode="json")},
        bench_snapshot=_json(bench.file.snapshot()), bench_hash=bench.file.hash, seed=recipe.seed,
    )  # fmt: skip
    watcher = watcher or Watcher()
    watcher.began(run.path)
    with run, bench:
        run.update(devices=_json(bench.settings()))
        keep_calibrations(run, bench)
        _, _, _, reports = _prepare(run, bench, recipe, watcher, fitting=True)
        run.finish("finished", {name: dict(report.summary()) for name, report in reports.items()})
    return run.path, reports


def _execute(run: Run, bench: Bench, recipe: Recipe, watcher: Watcher, *, resuming: bool) -> Outcome:
    watcher.began(run.path)
    with run, bench:
        run.update(devices=_json(bench.settings()))
        if not resuming:
            keep_calibrations(run, bench)
        begin_s = bench.clock.now_s()
        checkpoint = read_checkpoint(run, watcher) if resuming else None
        reports: dict[str, FitReport] = {}
        if checkpoint is None:
            run.truncate_after(0)
            model, method, task, reports = _prepare(run, bench, recipe, watcher, fitting=fits_twins(recipe))
        else:
            model, method, task, twins = build(bench, recipe)
            load_twins(run, twins)

        def observe(progress: Progress) -> None:
            run.log(
                progress.metrics, step=progress.step, epoch=progress.epoch, shots=progress.shots,
                bench_s=progress.bench_s, wall_s=progress.wall_s,
            )  # fmt: skip
            watcher.step(progress)

        path = run.checkpoint_path()
        trainer = Trainer(
            model, method, task, recipe, bench=bench, begin_s=begin_s, observers=(observe,),
            save=lambda state: write_atomically(path, lambda file: torch.save(state, file)),
            watches=build_watches(recipe, model, task, watcher.warn),
        )  # fmt: skip
        if checkpoint is not None:
            trainer.load_state(checkpoint)
            run.truncate_after(trainer.step)
        watcher.phase(f"training, {recipe.method}")
        trainer.run()
        watcher.phase("testing on the bench")
        score = deploy(model, task.test, method=method, micro_batch=trainer.micro_batch)
        outcome = Outcome(
            run.path, score.accuracy, score.loss, trainer.step, trainer.shots, trainer.bench_s,
            trainer.stopped_because, reports,
        )  # fmt: skip
        run.finish(
            "finished",
            {
                "test_accuracy": outcome.test_accuracy, "test_loss": outcome.test_loss, "steps": outcome.steps,
                "shots": outcome.shots, "bench_s": outcome.bench_s, "stopped_because": outcome.stopped_because,
            },
        )  # fmt: skip
    return outcome


def build(bench: Bench, recipe: Recipe) -> tuple[nn.Sequential, TrainingMethod, Task, dict[str, DigitalTwin]]:
    """Make model, method, task and twins from the seed on."""
    torch.manual_seed(recipe.seed)
    for plant in bench.plants.values():
        plant.reseed(recipe.seed)
    task = load_task(recipe.task)
    twins = build_twins(recipe, bench.systems)
    model = build_model(recipe, task, bench.systems, twins)
    if any(layer.config.precision == "float64" for layer in bench.systems.values()):
        task = task.to(torch.float64)
    return model, build_method(recipe), task, twins


def _prepare(
    run: Run, bench: Bench, recipe: Recipe, watcher: Watcher, *, fitting: bool
) -> tuple[nn.Sequential, TrainingMethod, Task, dict[str, FitReport]]:
    """Build everything; fit the twins if the recipe says how, and freeze them."""
    model, method, task, twins = build(bench, recipe)
    reports: dict[str, FitReport] = {}
    config = recipe.fit
    if fitting and config is not None and any(p.requires_grad for twin in twins.values() for p in twin.parameters()):
        watcher.phase(f"recording {config.shots} shots for the twin")
        shots = record_training_shots(model, task, config)
        watcher.phase("fitting the twin")
        reports = fit_twins(
            twins, shots, config, on_epoch=lambda name, epoch, error: watcher.fitting(name, epoch, config.epochs, error)
        )
        for name, report in reports.items():
            shots[name].save(run.path / f"shots-{name}.nc")
            report.plot(run.path / f"twin-{name}.png")
            watcher.fitted(name, report)
    _freeze(twins)
    states = {name: twin.state_dict() for name, twin in twins.items()}
    write_atomically(run.checkpoint_path("twins"), lambda file: torch.save(states, file))
    return model, method, task, reports


def load_twins(run: Run, twins: Mapping[str, DigitalTwin]) -> None:
    """Put the twins of a run into place, and freeze them."""
    states, _ = read_or_previous(run.checkpoint_path("twins"), _load)
    try:
        for name, twin in twins.items():
            twin.load_state_dict(states[name])
    except (KeyError, RuntimeError) as error:
        raise RunError(f"{run.path.name}: the saved twins do not fit the recipe ({error}); start a new run") from error
    _freeze(twins)


def _changed(name: str, recipe: Recipe, changes: Mapping[str, object] | None) -> Recipe:
    """Return a recipe with some keys replaced; SI numbers need no unit here."""
    try:
        return Recipe.model_validate(recipe.model_dump() | dict(changes or {}))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RunError(f"recipe {name!r} cannot be changed so: {wrong}") from error


def _json(data: Mapping[str, object]) -> Mapping[str, JsonValue]:
    """Say of plain data what its type cannot; `Run` checks it."""
    return cast(Mapping[str, JsonValue], data)


def _freeze(twins: Mapping[str, DigitalTwin]) -> None:
    for twin in twins.values():
        twin.freeze()


def read_checkpoint(run: Run, watcher: Watcher) -> dict[str, Any] | None:
    """Return the newest checkpoint that reads; `None` where the run was stopped before its first."""
    path = run.checkpoint_path()
    if not any(path.parent.glob("last*.pt")):
        return None
    state, warning = read_or_previous(path, _load)
    if warning is not None:
        watcher.warn(warning)
    return state


def _load(file: BinaryIO) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu")
    return state
