"""Gradients that are estimated from losses, against what can be said on paper."""

import math

import pytest
import torch
from torch import Tensor

from pnnlab.methods import Spsa, SpsaOptions
from tests.methods.set_ups import descended, estimated, mean_output, of_controls, one_sample, quadratic, setting


def cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=0))


@pytest.mark.parametrize(("n", "directions"), [(10, 10), (100, 10), (100, 100), (1000, 30)])
def test_spsa_points_along_the_gradient_as_well_as_theory_says(n: int, directions: int) -> None:
    """E[cos] = √(N / (N + P - 1)) for Rademacher directions; the published check finds it to 0.02 for N >= 10."""
    cosines = []
    for repeat in range(20):
        gradient = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(repeat))
        method = Spsa(SpsaOptions(directions=directions))
        method.prepare(of_controls(lambda z, g=gradient: z @ g, n), setting(seed=repeat))
        _, found = method.estimate(lambda z, g=gradient: z.double() @ g)
        assert found is not None
        cosines.append(cosine(found, gradient))
    assert sum(cosines) / 20 == pytest.approx(math.sqrt(directions / (directions + n - 1)), rel=0.1)


@pytest.mark.parametrize("options", [{}, {"update": "gains", "first_step": 0.05}, {"groups": 15}, {"repeats": 2}])
def test_spsa_descends(options: dict[str, object]) -> None:
    value, _ = quadratic(20)
    losses = descended(Spsa(SpsaOptions.model_validate(options)), of_controls(value, 20), 300)
    assert losses[-1] < losses[0] - 0.5 * abs(losses[0])


def test_spalls_gains_begin_with_the_step_that_was_asked_for_and_fall() -> None:
    """a_k = a / (k + 1 + A)^0.602 with A a tenth of the steps: the step after the first of 100 is (11 / 12)^0.602."""
    slope = torch.ones(20, dtype=torch.float64)
    model = of_controls(lambda z: z @ slope, 20)
    method = Spsa(SpsaOptions(update="gains", first_step=0.03))
    method.prepare(model, setting(100))
    optimiser, sizes = torch.optim.SGD(model.parameters(), lr=0.1), []
    method.signs = lambda count: torch.ones(count, 20)  # type: ignore[method-assign]
    for _ in range(2):
        before = model[0].raw_controls.detach().clone()
        method.step(model, *one_sample(), mean_output, optimiser)
        sizes.append(float((before - model[0].raw_controls.detach()).mean()))
    assert sizes == pytest.approx([0.03, 0.03 * (11 / 12) ** 0.602], rel=1e-6)


def test_spsa_needs_two_losses_a_direction() -> None:
    model = of_controls(quadratic(20)[0], 20)
    estimated(Spsa(SpsaOptions(directions=3, repeats=2)), model)
    assert model[0].system.n_shots == 2 * 3 * 2  # type: ignore[union-attr]
