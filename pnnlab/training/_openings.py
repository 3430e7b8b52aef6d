"""Which training methods are open on a bench, and how good a gradient is that its physics itself makes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import torch
from torch import nn

from pnnlab.bench import Bench
from pnnlab.errors import CapabilityError, RunError
from pnnlab.methods import (
    PhysicalGradient,
    Setting,
    TrainingMethod,
    find_method,
    known_methods,
    lacking,
    make_method,
    physical_layers,
)
from pnnlab.nn import Agreement, FidelityConfig, gradient_fidelity
from pnnlab.systems import System
from pnnlab.training._conditions import Condition, measure_conditions
from pnnlab.training._experiment import Watcher, build
from pnnlab.training._recipe import Recipe

__all__ = ["Opening", "Openings", "Openness", "find_openings", "measure_openings"]


class Openness(StrEnum):
    """What a bench allows a method."""

    EXACT = "exact"
    """Its physical gradient is exact, as far as was measured."""
    APPROXIMATE = "approximate"
    """Its physical gradient is off by what was measured."""
    UNMEASURED = "physical"
    """Its gradient is physical; how exact it is was not measured."""
    RUNS = "runs"
    """It can run; its gradient, if it has one, does not come from the symmetry of the physics."""
    TWIN = "needs a twin"
    """It would run with a digital twin of each layer, which the recipe does not have."""
    CLOSED = "closed"
    """The physics lacks something, or the method does not fit this network."""


@dataclass(frozen=True)
class Opening:
    """What a bench allows one method.

    Attributes:
        method: Its name.
        openness: In a word.
        reason: In a sentence; empty where there is nothing to say.
        agreements: The physical gradient against the bench's own finite differences, layer by layer, where measured.
    """

    method: str
    openness: Openness
    reason: str = ""
    agreements: tuple[Agreement, ...] = ()

    @property
    def cosine(self) -> float:
        """Return the smallest measured cosine; NaN where nothing was measured."""
        return min((one.cosine for one in self.agreements), default=math.nan)


@dataclass(frozen=True)
class Openings:
    """What a bench allows.

    Attributes:
        systems: The systems of the network's layers.
        conditions: What was measured of their physics; empty where nothing was.
        methods: One entry a method, by name.
        shots: What it cost.
    """

    systems: tuple[str, ...]
    conditions: tuple[Condition, ...]
    methods: Mapping[str, Opening] = field(default_factory=dict)
    shots: int = 0

    @property
    def runnable(self) -> list[str]:
        """Return the names of the methods that can run as things are."""
        closed = (Openness.CLOSED, Openness.TWIN)
        return [name for name, opening in self.methods.items() if opening.openness not in closed]


def find_openings(systems: Iterable[System], twins: Iterable[str] | None) -> Openings:
    """Tell from what systems declare which methods they allow; takes no shot.

    Args:
        systems: Of the network's layers.
        twins: The systems that have a twin; `None` where no network is described, and any could have one.
    """
    systems = list({system.name: system for system in systems}.values())
    without = [] if twins is None else sorted({system.name for system in systems} - set(twins))
    found = {name: _declared(find_method(name), systems, without) for name in known_methods()}
    return Openings(tuple(system.name for system in systems), (), found)


def _declared(method: type[TrainingMethod], systems: list[System], without: list[str]) -> Opening:
    wrong = lacking(method, systems)
    if wrong:
        return Opening(method.name, Openness.CLOSED, "; ".join(wrong))
    if method.needs_twin and without:
        return Opening(method.name, Openness.TWIN, f"the recipe has no twin of {', '.join(without)}")
    physical = issubclass(method, PhysicalGradient)
    return Opening(method.name, Openness.UNMEASURED if physical else Openness.RUNS)


def measure_openings(
    bench_file: Path, recipe: Recipe, config: FidelityConfig, *, watcher: Watcher | None = None
) -> Openings:
    """Measure what the physics of a recipe's layers allows, and the gradient of every physical method that can run.

    Args:
        bench_file: The bench file.
        recipe: Whose network is looked at, at the controls that training begins with.
        config: How gradients are compared.
        watcher: Told what goes on.

    Raises:
        PnnlabError: What opening a bench and measuring may raise.
    """
    watcher = watcher or Watcher()
    with Bench.from_file(bench_file) as bench:
        model, _, _, _ = build(bench, recipe)
        systems = list({layer.system.name: layer.system for layer in physical_layers(model)}.values())
        declared = find_openings(systems, recipe.twins)
        before = _shots(bench)
        conditions: list[Condition] = []
        for system in systems:
            watcher.phase(f"looking at the symmetries of {system.name}")
            conditions += measure_conditions(system, seed=recipe.seed)
        methods = dict(declared.methods)
        for name, opening in declared.methods.items():
            if opening.openness is Openness.UNMEASURED:
                watcher.phase(f"comparing the gradient of {name} with finite differences of the bench")
                methods[name] = _measured(name, bench, recipe, config, conditions)
        return Openings(declared.systems, tuple(conditions), methods, _shots(bench) - before)


def _measured(
    name: str, bench: Bench, recipe: Recipe, config: FidelityConfig, conditions: Iterable[Condition]
) -> Opening:
    """Return what a method's gradient is worth at the controls that training begins with."""
    model, _, task, _ = build(bench, recipe)
    method = make_method(name, recipe.method_options.get(name))
    x, y = (part[: config.samples] for part in task.train)
    setting = Setting(
        x.shape[1], task.n_classes, 1, recipe.learning_rate, seed=recipe.seed, dtype=x.dtype, systems=bench.systems
    )  # fmt: skip
    generator = torch.Generator().manual_seed(recipe.seed)
    try:
        method.prepare(model, setting)
        found = tuple(gradient_fidelity(model, x, y, nn.functional.cross_entropy, config, generator=generator))
    except (CapabilityError, RunError) as error:
        return Opening(name, Openness.CLOSED, str(error))
    if isinstance(method, PhysicalGradient) and method.by_design:
        return Opening(name, Openness.APPROXIMATE, f"by design: {method.by_design}", found)
    qualified = [one for one in conditions if one.bears_on in type(method).needs and one.says == "not met"]
    why = "; ".join(f"{one.name} {one.value:.2g}" for one in qualified)
    off = any(one.cosine < 0.99 - 2 * one.cosine_error for one in found)
    if not off and not qualified:
        return Opening(name, Openness.EXACT, "", found)
    return Opening(name, Openness.APPROXIMATE, why or "nothing that was measured tells why", found)


def _shots(bench: Bench) -> int:
    return sum(system.n_shots for system in bench.systems.values())
