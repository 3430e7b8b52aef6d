"""Springs in a plane: energy, rest, gradients, and action without reaction."""

import pytest
import torch
from torch import Tensor

from pnnlab.physics import LayeredGraph, SpringLoad, SpringNetwork
from tests.physics.energies import derivative_of, gradient_errors, slope

GRAPH = LayeredGraph((4, 4, 3))
N = GRAPH.n_pairs
BETAS = (0.01, 0.03, 0.1)


def network(skew: float = 0.0) -> SpringNetwork:
    uneven = torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return SpringNetwork(GRAPH, skew * uneven)


def drawn() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(3, 4, dtype=torch.float64, generator=generator)
    stiffness = torch.rand(N, dtype=torch.float64, generator=generator)
    lengthening = 0.1 * torch.randn(N, dtype=torch.float64, generator=generator)
    return inputs, stiffness, lengthening, 0.3 * torch.randn(3, 3, dtype=torch.float64, generator=generator)


def load(controls: Tensor, pull: Tensor | None = None) -> SpringLoad:
    inputs = drawn()[0]
    stiffness, lengthening = controls.chunk(2)
    return SpringLoad(inputs, stiffness, lengthening, torch.zeros(3, 3, dtype=torch.float64) if pull is None else pull)


def test_nodes_rest_where_the_springs_balance() -> None:
    springs, acting = network(), load(torch.cat(drawn()[1:3]))
    state = springs.relax(acting, springs.start(acting)).requires_grad_()
    (down,) = torch.autograd.grad(springs.energy(state, acting).sum(), state)
    assert float(down.abs().max()) < 1e-13 and float(springs.values(state).detach().abs().max()) > 0.01
    elsewhere = (
        0.3 * torch.randn(state.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    ).requires_grad_()
    (down,) = torch.autograd.grad(springs.energy(elsewhere, acting).sum(), elsewhere)
    torch.testing.assert_close(springs.force(elsewhere, acting), -down)


def test_drawn_lengths_are_at_rest_without_a_load() -> None:
    springs = network()
    nothing = torch.zeros(1, 4, dtype=torch.float64)
    acting = SpringLoad(nothing, drawn()[1], torch.zeros(N, dtype=torch.float64), nothing[:, :3])
    assert float(springs.force(springs.start(acting), acting).abs().max()) < 1e-14


def test_the_answer_is_not_linear_in_the_load() -> None:
    springs, acting = network(), load(torch.cat([drawn()[1], 0 * drawn()[2]]))
    double = SpringLoad(2 * acting.inputs, acting.stiffness, acting.lengthening, acting.pull)
    once, twice = (springs.values(springs.relax(each, springs.start(each))) for each in (acting, double))
    assert float((twice - 2 * once).norm() / twice.norm()) > 0.05


def errors(skew: float = 0.0) -> Tensor:
    springs, target = network(skew), drawn()[3]
    controls = torch.cat(drawn()[1:3]).requires_grad_()

    def phase(force: Tensor | None) -> tuple[Tensor, Tensor]:
        acting = load(controls)
        state = springs.relax(acting, springs.start(acting))
        if force is not None:
            state = springs.relax(load(controls, force), state)
        stretch = springs.lengths(state, acting) - springs.rest_length - acting.lengthening
        return springs.values(state), torch.cat([stretch**2 / 2, -acting.stiffness * stretch], -1)

    return gradient_errors(phase, controls, target, BETAS)


def test_equilibrium_propagation_errs_by_the_nudge_and_by_its_square() -> None:
    one_sided, centred = errors()
    assert slope(one_sided, BETAS) == pytest.approx(1, abs=0.1) and slope(centred, BETAS) == pytest.approx(2, abs=0.2)


def test_action_without_reaction_leaves_an_error_that_no_nudge_removes() -> None:
    left = [float(errors(skew)[1, 0]) for skew in (0.0, 0.05, 0.2)]
    assert left[0] < 1e-4 < 0.01 < left[1] < left[2]


@pytest.mark.parametrize("skew", [0.0, 0.2])
def test_the_gradient_of_an_equilibrium_is_that_of_differences(skew: float) -> None:
    springs, target = network(skew), drawn()[3]

    def loss(controls: Tensor) -> Tensor:
        acting = load(controls)
        return ((springs.values(springs.relax(acting, springs.start(acting))) - target) ** 2).sum()

    controls = torch.cat(drawn()[1:3])
    (gradient,) = torch.autograd.grad(loss(leaf := controls.clone().requires_grad_()), leaf)
    along = torch.randn(2 * N, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    assert float(gradient @ along) == pytest.approx(derivative_of(loss, controls, along), rel=1e-6)


def test_clamped_outputs_are_held() -> None:
    springs, acting = network(), load(torch.cat(drawn()[1:3]))
    clamp = torch.full((3, 3), 0.2, dtype=torch.float64)
    state = springs.relax(acting, springs.start(acting), clamp=clamp)
    torch.testing.assert_close(springs.values(state), clamp)
