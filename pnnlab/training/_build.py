"""From a recipe and an open bench to a model with twins."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from pnnlab.errors import RunError
from pnnlab.methods import TrainingMethod, make_method, physical_layers
from pnnlab.nn import ClassBins, Embed, PhysicalLayer, Reencode, Spread, interface_of, record_shots
from pnnlab.systems import System
from pnnlab.training._drift import DriftWatch
from pnnlab.training._recipe import Recipe, TwinFitConfig
from pnnlab.training._tasks import Task
from pnnlab.training._watch import FidelityWatch, Tell, Watch
from pnnlab.twins import DigitalTwin, FitReport, ShotSet, fit, make_twin

__all__ = [
    "Scale", "build_method", "build_model", "build_twins", "build_watches", "fit_twins", "fits_twins",
    "record_training_shots",
]  # fmt: skip


class Scale(nn.Module):
    """Multiply by a fixed number.

    Args:
        factor: The number.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `factor · x`."""
        return self.factor * x


def build_method(recipe: Recipe) -> TrainingMethod:
    """Return the recipe's method with its options.

    Raises:
        RunError: There is none, or the options do not fit it.
    """
    return make_method(recipe.method, recipe.method_options.get(recipe.method))


def fits_twins(recipe: Recipe) -> bool:
    """Return whether training by a recipe fits its twins first: it says how, and something looks at fitted twins.

    Raises:
        RunError: The method's options do not fit it.
    """
    method = build_method(recipe)
    if recipe.fit is None or method.twin_as_designed:
        return False
    return method.wants_twin(method.options) or recipe.fidelity is not None or recipe.drift is not None


def build_twins(recipe: Recipe, systems: Mapping[str, System]) -> dict[str, DigitalTwin]:
    """Return the twins that a recipe describes, as designed.

    Raises:
        RunError: A system is not on the bench.
        TwinError: A twin does not fit its system.
    """
    twins = {}
    for name, config in recipe.twins.items():
        system = _system(name, systems, "twins")
        twins[name] = make_twin(config, interface_of(system), dtype=_dtype(system))
    return twins


def build_model(
    recipe: Recipe, task: Task, systems: Mapping[str, System], twins: Mapping[str, DigitalTwin]
) -> nn.Sequential:
    """Return the recipe's network: task inputs in, logits out.

    Raises:
        RunError: A system is not on the bench, or the task does not fit the first one.
    """
    network = recipe.network
    chain = [_system(name, systems, "network.layers") for name in network.layers]
    modules: list[nn.Module] = []
    first, last = chain[0], chain[-1]
    if network.input_scale != 1.0:
        modules.append(Scale(network.input_scale))
    if network.embedding == "linear":
        embed = Embed(task.grid[0] * task.grid[1], first.n_in, _finite(first.input_range))
        modules.append(embed.to(_dtype(first)))
    else:
        modules += _fit_input(task, first)
    for k, system in enumerate(chain):
        if k:
            modules.append(Reencode(system.n_in, scale=network.reencode_scale))
        modules.append(PhysicalLayer(system, twins.get(system.name)))
    if network.readout == "linear":
        modules.append(nn.Linear(last.n_out, task.n_classes, dtype=_dtype(last)))
    else:
        modules.append(ClassBins(last.n_out, task.n_classes, gain=network.readout_gain))
    return nn.Sequential(*modules)


def build_watches(recipe: Recipe, model: nn.Module, task: Task, tell: Tell) -> list[Watch]:
    """Return what the recipe wants to be looked at while training goes on.

    Raises:
        RunError: A twin cannot be refreshed.
    """
    watches: list[Watch] = []
    if recipe.fidelity is not None:
        loss = nn.functional.cross_entropy
        watches.append(FidelityWatch(model, task.train, loss, recipe.fidelity, recipe.seed))
    if recipe.drift is not None:
        watches.append(DriftWatch(model, task.train[0], recipe.drift, tell))
    return watches


def record_training_shots(model: nn.Module, task: Task, config: TwinFitConfig) -> dict[str, ShotSet]:
    """Spend shots on a twin's training data, drawn from what training will visit.

    Each round draws fresh controls (as far from the present ones as chance has it: half of the rounds start anew, half
    stay near) and walks training samples through the whole network on the bench.

    Returns:
        Shots by the system's name. The model's own controls are as before.
    """
    layers = physical_layers(model)
    kept = [layer.raw_controls.detach().clone() for layer in layers]
    n_visits = max(sum(1 for other in layers if other.system is layer.system) for layer in layers)
    per_round = max(1, config.shots // (config.rounds * n_visits))
    generator = torch.Generator().manual_seed(config.seed)
    x_train = task.train[0]
    with torch.no_grad(), record_shots(model) as shots:
        for k in range(config.rounds):
            for layer, start in zip(layers, kept, strict=True):
                noise = torch.rand(start.shape, generator=generator, dtype=start.dtype)
                anew = noise if layer.system.control_range == "periodic" else noise.clamp(1e-3, 1 - 1e-3).logit()
                layer.raw_controls.copy_(anew if k % 2 else start + 0.2 * (anew - start))
            pick = torch.randint(len(x_train), (per_round,), generator=generator)
            for index in pick.split(64):
                model(x_train[index])
        for layer, start in zip(layers, kept, strict=True):
            layer.raw_controls.copy_(start)
    return {name: ShotSet.join(parts) for name, parts in shots.items()}


def fit_twins(
    twins: Mapping[str, DigitalTwin], shots: Mapping[str, ShotSet], config: TwinFitConfig,
    on_epoch: Callable[[str, int, float], None] | None = None,
) -> dict[str, FitReport]:  # fmt: skip
    """Fit each twin that has something to learn to its system's shots; report how well."""
    reports = {}
    for name, twin in twins.items():
        if any(p.requires_grad for p in twin.parameters()):
            tell = None if on_epoch is None else (lambda epoch, error, name=name: on_epoch(name, epoch, error))
            reports[name] = fit(twin, shots[name], config, on_epoch=tell)
    return reports


def _fit_input(task: Task, system: System) -> list[nn.Module]:
    """Return what brings the task's inputs onto the first system's."""
    n_task = task.grid[0] * task.grid[1]
    if n_task == system.n_in:
        return []
    grid = getattr(system, "input_shape", None)
    if grid is not None and grid[0] % task.grid[0] == 0 and grid[1] % task.grid[1] == 0:
        return [Spread(task.grid, grid)]
    if n_task < system.n_in:
        return [nn.ZeroPad1d((0, system.n_in - n_task))]
    raise RunError(
        f"the task {task.name!r} has {n_task} inputs ({task.grid[0]} x {task.grid[1]}), system {system.name!r} takes "
        f"{system.n_in}; give the system more inputs in the bench file, or the network a trained layer before it "
        "(`embedding: linear`)"
    )


def _dtype(system: System) -> torch.dtype:
    return torch.float64 if system.config.precision == "float64" else torch.float32


def _finite(span: tuple[float, float]) -> tuple[float, float]:
    """Return a legal range with ends, -1 to 1 where it has none."""
    return span if math.isfinite(span[1] - span[0]) else (-1.0, 1.0)


def _system(name: str, systems: Mapping[str, System], where: str) -> System:
    if name not in systems:
        raise RunError(f"{where}: system {name!r} is not on the bench{_nearest(name, systems)}")
    return systems[name]


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
