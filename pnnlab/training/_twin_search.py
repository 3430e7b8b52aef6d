"""Which twin to learn: many are tried on the same shots, and judged by their gradients as well as by their outputs."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from pnnlab.bench import Bench
from pnnlab.errors import RunError, TwinError
from pnnlab.methods import physical_layers
from pnnlab.nn import (
    Derivatives,
    FidelityConfig,
    PhysicalLayer,
    compare_derivatives,
    interface_of,
    measure_derivatives,
    record_shots,
)
from pnnlab.training._build import record_training_shots
from pnnlab.training._experiment import Watcher, build
from pnnlab.training._recipe import Recipe, TwinFitConfig
from pnnlab.twins import (
    CircuitTwinConfig,
    CrossbarTwinConfig,
    FitReport,
    MlpTwinConfig,
    OpticalTwinConfig,
    ResidualTwinConfig,
    ShotSet,
    TwinConfig,
    evaluate,
    fit,
    make_twin,
)

__all__ = ["Candidate", "TwinSearch", "search_twins"]

_PHYSICS: Final = (OpticalTwinConfig, CircuitTwinConfig, CrossbarTwinConfig)


@dataclass(frozen=True)
class Candidate:
    """One twin that was tried.

    Attributes:
        config: As it would stand in a recipe.
        learning_rate: Its fit's; 0 for a twin that was taken as designed.
        r2: Held-out coefficient of determination over all outputs.
        cosine: Mean cosine of its gradient with the bench's, in controls and inputs.
        cosine_error: Its standard error.
        fit_s: Time that the fit took.
        best: Whether no other candidate is better in both figures.
    """

    config: TwinConfig
    learning_rate: float
    r2: float
    cosine: float
    cosine_error: float
    fit_s: float
    best: bool = False


@dataclass(frozen=True)
class TwinSearch:
    """What a search found.

    Attributes:
        system: Whose twin was sought.
        candidates: All that were tried, by falling cosine.
        shots: Shots of the system that were spent, all candidates together.
    """

    system: str
    candidates: tuple[Candidate, ...]
    shots: int


def search_twins(
    bench_file: Path, recipe: Recipe, *, system: str | None = None, trials: int = 20,
    config: FidelityConfig | None = None, watcher: Watcher | None = None,
    on_trial: Callable[[int, Candidate], None] | None = None,
) -> TwinSearch:  # fmt: skip
    """Search for a learned twin by held-out error and gradient fidelity (Optuna, tree-structured Parzen estimator).

    The bench is asked once: shots to learn from, and derivatives along random directions. Every candidate is fitted to
    the same shots and compared with the same derivatives. Widths, depths and learning rates are sought; where the
    recipe's twin is a physical one, also networks on top of it.

    Args:
        bench_file: The bench file.
        recipe: Whose network is walked through; its `fit` says how many shots, and how long each fit may take.
        system: Whose twin; the first layer's if `None`.
        trials: Candidates to try.
        config: How derivatives are measured.
        watcher: Told what goes on.
        on_trial: Told each candidate, numbered from 1.

    Raises:
        RunError: Optuna is not installed, or the network has no such system.
        PnnlabError: What opening a bench, measuring and fitting may raise.
    """
    optuna = _optuna()
    watcher, config = watcher or Watcher(), config or FidelityConfig()
    fitting = recipe.fit or TwinFitConfig()
    bench = Bench.from_file(bench_file)
    with bench:
        model, _, task, twins = build(bench, recipe)
        layers = [layer for layer in physical_layers(model) if system in (None, layer.system.name)]
        if not layers:
            raise RunError(
                f"the recipe's network has no layer of a system {system!r}; layers are {recipe.network.layers}"
            )
        layer = layers[0]
        name = layer.system.name
        before = layer.system.n_shots
        watcher.phase(f"recording {fitting.shots} shots and {config.directions} derivatives of {name}")
        shots = record_training_shots(model, task, fitting)[name]
        derivatives = _derivatives(model, layer, task.train[0][: config.samples], config, recipe.seed)
        spent = layer.system.n_shots - before
        trial = _Trials(layer, shots, derivatives, fitting, recipe.twins.get(name))
        watcher.phase(f"trying {trials} twins")
        found = [] if name not in twins else [trial.as_designed(recipe.twins[name])]
        sampler = optuna.samplers.TPESampler(seed=recipe.seed)
        study = optuna.create_study(directions=["maximize", "maximize"], sampler=sampler)

        def objective(chosen: Any) -> tuple[float, float]:
            candidate = trial.fitted(*_suggest(chosen, recipe.twins.get(name)))
            found.append(candidate)
            if on_trial is not None:
                on_trial(chosen.number + 1, candidate)
            return candidate.r2, candidate.cosine

        study.optimize(objective, n_trials=trials, catch=(TwinError,))
    return TwinSearch(name, _ranked(found), spent)


class _Trials:
    """Fits and judges candidates, all with the same data.

    Args:
        layer: Of the system whose twin is sought.
        shots: To learn from.
        derivatives: To compare gradients with.
        fitting: How long a fit may take.
        physics: The recipe's twin.
    """

    def __init__(
        self, layer: PhysicalLayer, shots: ShotSet, derivatives: list[Derivatives], fitting: TwinFitConfig,
        physics: TwinConfig | None,
    ) -> None:  # fmt: skip
        self._layer, self._shots, self._derivatives, self._fitting = layer, shots, derivatives, fitting
        self._physics = physics
        self._dtype = layer.raw_controls.dtype

    def as_designed(self, config: TwinConfig) -> Candidate:
        """Judge a twin that is not fitted, on the shots that fits hold out."""
        twin = make_twin(config, interface_of(self._layer.system), dtype=self._dtype)
        order = torch.randperm(len(self._shots), generator=torch.Generator().manual_seed(self._fitting.seed))
        held_out = self._shots[order[: max(1, round(self._fitting.validation * len(self._shots)))]]
        return self._judge(config, twin, evaluate(twin, held_out), 0.0, 0.0)

    def fitted(self, config: TwinConfig, learning_rate: float) -> Candidate:
        """Fit a twin and judge it."""
        begin_s = time.perf_counter()
        twin = make_twin(config, interface_of(self._layer.system), dtype=self._dtype)
        report = fit(twin, self._shots, self._fitting.model_copy(update={"learning_rate": learning_rate}))
        return self._judge(config, twin, report, learning_rate, time.perf_counter() - begin_s)

    def _judge(self, config: TwinConfig, twin: Any, report: FitReport, learning_rate: float, fit_s: float) -> Candidate:
        agreements = [compare_derivatives(self._layer, twin, one) for one in self._derivatives]
        cosines = [0.0 if math.isnan(one.cosine) else one.cosine for one in agreements]
        errors = [1.0 if math.isnan(one.cosine) else one.cosine_error for one in agreements]
        error = math.sqrt(sum(one**2 for one in errors)) / len(errors)
        return Candidate(config, learning_rate, report.r2_total, sum(cosines) / len(cosines), error, fit_s)


def _suggest(trial: Any, designed: TwinConfig | None) -> tuple[TwinConfig, float]:
    depth = trial.suggest_int("hidden_layers", 1, 3)
    width = trial.suggest_int("width", 32, 512, log=True)
    network = MlpTwinConfig(hidden=(width,) * depth)
    learning_rate = trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
    if isinstance(designed, _PHYSICS) and trial.suggest_categorical("physics", [True, False]):
        return ResidualTwinConfig(physics=designed, residual=network), learning_rate
    return network, learning_rate


def _derivatives(
    model: torch.nn.Module, layer: PhysicalLayer, x: torch.Tensor, config: FidelityConfig, seed: int
) -> list[Derivatives]:
    """Measure derivatives at inputs that training visits, for output errors of random size and sign."""
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    try:
        with torch.no_grad(), record_shots(model):
            model(x)
    finally:
        hook.remove()
    generator = torch.Generator().manual_seed(seed)
    errors = torch.randn((len(x), layer.system.n_out), generator=generator, dtype=x.dtype)
    kinds = ("controls", "inputs") if config.inputs else ("controls",)
    return [measure_derivatives(layer, seen[0], errors, of, config, generator=generator) for of in kinds]


def _ranked(found: list[Candidate]) -> tuple[Candidate, ...]:
    """Return candidates by falling cosine, with those marked that none betters in both figures."""
    marked = []
    for one in found:
        beaten = any(
            other.r2 >= one.r2 and other.cosine >= one.cosine and (other.r2, other.cosine) != (one.r2, one.cosine)
            for other in found
        )
        marked.append(Candidate(**{**vars(one), "best": not beaten}))
    return tuple(sorted(marked, key=lambda one: -one.cosine))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise RunError(
            "searching for twins needs Optuna, which is not installed; pip install 'pnnlab[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
