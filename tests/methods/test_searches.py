"""Methods that try settings and keep what is good, on problems whose answers are known."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pnnlab.errors import RunError
from pnnlab.methods import (
    Bayesian,
    BayesianOptions,
    Genetic,
    GeneticOptions,
    GreedyBoolean,
    GreedyBooleanOptions,
    Nes,
    NesOptions,
    ParticleSwarm,
    ParticleSwarmOptions,
    SimulatedAnnealing,
    SimulatedAnnealingOptions,
    TrainingMethod,
)
from pnnlab.methods._population import Population
from pnnlab.methods.nes import rank_weights
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import ControlRange
from scripts.setups import FunctionSystem
from tests.methods.set_ups import descended, of_controls, quadratic, setting

MIRRORS, SAMPLES = 10, 40


def mirrors() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return a read-out that sums the nodes whose mirror looks at the detector, nodes, and a target for the sum."""

    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return (x * theta.round()).sum(-1, keepdim=True)

    system = FunctionSystem(physics, (MIRRORS, MIRRORS, 1), precision="float64")
    generator = torch.Generator().manual_seed(5)
    nodes = torch.randn(SAMPLES, MIRRORS, dtype=torch.float64, generator=generator)
    target = nodes @ torch.rand(MIRRORS, 1, dtype=torch.float64, generator=generator) + 0.1 * torch.randn(
        SAMPLES, 1, dtype=torch.float64, generator=generator
    )
    start = torch.zeros(MIRRORS, dtype=torch.float64)  # all mirrors look away
    return nn.Sequential(PhysicalLayer(system, controls=start)), nodes, target


def trained(method: TrainingMethod, model: nn.Sequential, x: Tensor, y: Tensor, steps: int) -> list[float]:
    method.prepare(model, setting(steps))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    return [method.step(model, x, y, nn.functional.mse_loss, optimiser)["loss"] for _ in range(steps)]


def test_the_error_of_greedy_boolean_learning_only_falls_and_ends_no_worse_than_rounded_least_squares() -> None:
    model, nodes, target = mirrors()
    errors = trained(GreedyBoolean(GreedyBooleanOptions(rounds=1)), model, nodes, target, 60)
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0]
    controls = model[0].controls.detach().round()  # type: ignore[operator, union-attr]

    def error(bits: Tensor) -> float:
        return float(nn.functional.mse_loss(nodes @ bits[:, None], target))

    assert errors[-1] == pytest.approx(error(controls))
    found = errors[-1] * (1 - 1e-12)  # the same sum in another order, on another processor, differs by rounding
    # no single mirror improves it
    for k in range(MIRRORS):
        flipped = controls.clone()
        flipped[k] = 1 - flipped[k]
        assert error(flipped) >= found
    rounded = torch.linalg.lstsq(nodes, target).solution.flatten().clamp(0, 1).round()
    assert found <= error(rounded)
    # the best of all 1024 is not far: a minimum of single flips is what was promised
    best = min(error(torch.tensor(bits, dtype=torch.float64)) for bits in product((0.0, 1.0), repeat=MIRRORS))
    assert errors[-1] <= 1.5 * best


def test_boolean_phases_are_0_or_half_a_turn_and_ternary_controls_have_a_middle() -> None:
    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return theta + 0 * x

    for kind, levels, values in (
        (ControlRange.PERIODIC, 2, [0.0, 0.5]), (ControlRange.BOUNDED, 2, [0.001, 0.999]),
        (ControlRange.BOUNDED, 3, [0.001, 0.5, 0.999]),
    ):  # fmt: skip
        model = nn.Sequential(PhysicalLayer(FunctionSystem(physics, (4, 4, 4), control_range=kind)))
        x = torch.zeros(1, 4)
        options: dict[str, Any] = {"levels": levels, "rounds": 3, "flips": 2}
        trained(GreedyBoolean(GreedyBooleanOptions.model_validate(options)), model, x, torch.full((1, 4), 0.4), 5)
        found = model[0].controls.detach().remainder(1)  # type: ignore[operator, union-attr]
        assert all(min(abs(float(one) - value) for value in values) < 1e-6 for one in found)


def test_levels_are_refused_where_there_are_digital_parameters_or_groups() -> None:
    model = nn.Sequential(*mirrors()[0], nn.Linear(1, 2, dtype=torch.float64))
    with pytest.raises(RunError, match="the model has trained digital parameters"):
        GreedyBoolean().prepare(model, setting())
    with pytest.raises(RunError, match="`groups` is set"):
        Genetic(GeneticOptions(levels=2, groups=3)).prepare(mirrors()[0], setting())


def test_a_genetic_algorithm_of_boolean_controls_finds_the_best_of_all() -> None:
    model, nodes, target = mirrors()
    trained(Genetic(GeneticOptions(levels=2, population=30)), model, nodes, target, 25)
    bits = model[0].controls.detach().round()  # type: ignore[operator, union-attr]
    found = float(nn.functional.mse_loss(nodes @ bits[:, None], target))
    every = torch.tensor(list(product((0.0, 1.0), repeat=MIRRORS)), dtype=torch.float64)
    best = float((nodes @ every.T - target).square().mean(0).min())
    assert found == pytest.approx(best)


def test_annealing_keeps_changes_for_the_worse_as_the_rule_of_metropolis_says() -> None:
    method = SimulatedAnnealing(SimulatedAnnealingOptions(temperature=0.5))
    method.prepare(of_controls(quadratic(3)[0], 3), setting())
    kept = sum(method._keeps(0.5) for _ in range(4000)) / 4000
    assert kept == pytest.approx(float(torch.exp(torch.tensor(-1.0))), abs=0.03)  # four standard errors
    assert method._keeps(-1e-9)
    method._k = 100  # the end: a thousandth of the temperature
    assert not any(method._keeps(0.01) for _ in range(100))


def test_hill_climbing_never_climbs() -> None:
    method = SimulatedAnnealing(SimulatedAnnealingOptions(temperature=0, change=0.2, candidates=3))
    losses = descended(method, of_controls(quadratic(6)[0], 6), 40)
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.5 * abs(losses[0])


SEARCHES: dict[str, TrainingMethod] = {
    "annealing": SimulatedAnnealing(SimulatedAnnealingOptions(change=0.2)),
    "genetic": Genetic(GeneticOptions(population=20, spread=0.3)),
    "nes": Nes(NesOptions(spread=0.3)),
    "particles": ParticleSwarm(ParticleSwarmOptions(spread=0.5)),
    "particles that remember": ParticleSwarm(ParticleSwarmOptions(spread=0.5, measure_bests=False)),
    "few groups": Nes(NesOptions(spread=0.5, groups=4)),
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("shared", [True, False])
def test_it_descends(name: str, shared: bool) -> None:
    """The least value of the quadratic is known; half of the way to it must be gone, or what 4 of 6 dimensions give."""
    value, _ = quadratic(6)
    model = of_controls(value, 6, shared=shared)
    start = float(value(model[0].raw_controls.detach()))  # type: ignore[arg-type, operator, union-attr]
    descended(SEARCHES[name], model, 40)
    end = float(value(model[0].raw_controls.detach()))  # type: ignore[arg-type, operator, union-attr]
    assert end < start - 0.5 * abs(start)


def test_an_elite_lives_on_and_the_best_is_what_the_model_gets() -> None:
    value, _ = quadratic(6)
    model = of_controls(value, 6)
    method = Genetic(GeneticOptions(population=12, spread=0.5))
    method.prepare(model, setting())
    best = torch.inf
    for _ in range(10):
        asked = method.ask()
        chosen = method.tell(asked, value(asked))
        assert float(value(chosen)) == pytest.approx(float(value(asked).min())) and float(value(chosen)) <= best + 1e-12
        assert (method.ask()[0] == chosen).all()
        best = float(value(chosen))


def test_ranks_weigh_the_better_half_and_sum_to_nothing() -> None:
    weights = rank_weights(torch.tensor([3.0, 1.0, 2.0, 4.0]))
    assert float(weights.sum()) == pytest.approx(0.0, abs=1e-12)
    assert weights.argsort(descending=True).tolist()[:2] == [1, 2] and float(weights[0]) == float(weights[3]) == -0.25


@pytest.mark.parametrize("method", [Nes(), Genetic(), ParticleSwarm()], ids=lambda method: method.name)
def test_each_setting_of_a_population_costs_a_batch(method: Population) -> None:
    model = of_controls(quadratic(6)[0], 6)
    method.prepare(model, setting())
    size = len(method.ask())
    method.prepare(model, setting())
    x, target = torch.zeros(5, 1, dtype=torch.float64), torch.zeros(5)
    method.step(model, x, target, lambda y, _: y.mean(), torch.optim.SGD(model.parameters(), lr=0.1))
    assert model[0].system.n_shots == 5 * size  # type: ignore[operator, union-attr]


def test_a_surrogate_finds_the_bottom_of_a_valley_in_few_measurements_and_despite_noise() -> None:
    """Eighty noisy measurements in four dimensions come nearer than the best of as many random ones on average."""
    bottom = torch.tensor([0.3, -0.2, 0.1, 0.4], dtype=torch.float64)
    model = of_controls(lambda z: (z - bottom).square().sum(-1), 4)
    with torch.no_grad():
        model[0].raw_controls.zero_()  # type: ignore[operator, union-attr]
    method = Bayesian(BayesianOptions(spread=0.6, groups=None, first=16, population=8))
    method.prepare(model, setting())
    generator = torch.Generator().manual_seed(9)
    for _ in range(10):
        asked = method.ask()
        noise = 0.02 * torch.randn(len(asked), dtype=torch.float64, generator=generator)
        chosen = method.tell(asked, (asked - bottom).square().sum(-1) + noise)
    random = 1.2 * torch.rand(100, 80, 4, dtype=torch.float64, generator=generator) - 0.6
    best_random = (random - bottom).square().sum(-1).min(1).values
    assert float((chosen - bottom).square().sum()) < 0.03 < float(best_random.mean())
