"""How far a recipe's twins can be trusted: their gradients compared with the bench's own."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pnnlab.bench import Bench
from pnnlab.errors import RunError
from pnnlab.nn import Agreement, FidelityConfig, gradient_fidelity
from pnnlab.runs import Run
from pnnlab.training._calibrations import kept_calibrations
from pnnlab.training._experiment import BENCH_COPY, Watcher, build, load_twins, read_checkpoint
from pnnlab.training._recipe import Recipe

__all__ = ["TwinCheck", "check_twins", "check_twins_of_run"]


@dataclass(frozen=True)
class TwinCheck:
    """How well gradients of twins and bench agree.

    Attributes:
        found: Every layer's agreement.
        step: The training step whose controls were set; 0 for those that training begins with.
        shots: Shots that it cost.
    """

    found: tuple[Agreement, ...]
    step: int
    shots: int


def check_twins(
    bench_file: Path, recipe: Recipe, config: FidelityConfig, *, watcher: Watcher | None = None
) -> TwinCheck:
    """Compare a recipe's twins as designed with the bench, at the controls that training begins with.

    Args:
        bench_file: The bench file.
        recipe: Whose network and twins are looked at.
        config: How.
        watcher: Told what goes on.

    Raises:
        RunError: The recipe fits its twins, so there is nothing yet that could be looked at.
        PnnlabError: What opening a bench and measuring may raise.
    """
    if recipe.fit is not None:
        raise RunError(
            "this recipe fits its twins first; fit them (`pnnlab twin fit`, or a training) and look at those of the "
            "run: `pnnlab twin check --run latest`"
        )
    bench = Bench.from_file(bench_file)
    with bench:
        model, _, task, _ = build(bench, recipe)
        return _check(bench, model, task.train, recipe.seed, 0, config, watcher or Watcher())


def check_twins_of_run(path: Path, config: FidelityConfig, *, watcher: Watcher | None = None) -> TwinCheck:
    """Compare the twins of a run with the bench, at the controls of its last checkpoint.

    Args:
        path: The run's folder; a training, or a fit of twins.
        config: How.
        watcher: Told what goes on.

    Raises:
        RunError: It has no recipe, or its twins do not read.
        PnnlabError: What opening a bench and measuring may raise.
    """
    run = Run.open(path)
    data = run.record.configuration.get("recipe")
    if data is None:
        raise RunError(f"{path.name}: it is a run of the kind {run.record.kind!r}, without a recipe and twins")
    recipe, watcher = Recipe.model_validate(data), watcher or Watcher()
    bench = Bench.from_file(path / BENCH_COPY, store=kept_calibrations(path))
    with bench:
        model, _, task, twins = build(bench, recipe)
        load_twins(run, twins)
        checkpoint = read_checkpoint(run, watcher)
        if checkpoint is not None:
            model.load_state_dict(checkpoint["model"], strict=False)
            bench.restore(checkpoint["bench"])
        step = 0 if checkpoint is None else int(checkpoint["step"])
        return _check(bench, model, task.train, recipe.seed, step, config, watcher)


def _check(
    bench: Bench, model: nn.Module, data: tuple[torch.Tensor, torch.Tensor], seed: int, step: int,
    config: FidelityConfig, watcher: Watcher,
) -> TwinCheck:  # fmt: skip
    watcher.phase(f"comparing gradients along {config.directions} directions")
    before = sum(system.n_shots for system in bench.systems.values())
    x, y = (part[: config.samples] for part in data)
    generator = torch.Generator().manual_seed(seed)
    found = gradient_fidelity(model, x, y, nn.functional.cross_entropy, config, generator=generator)
    return TwinCheck(tuple(found), step, sum(system.n_shots for system in bench.systems.values()) - before)
