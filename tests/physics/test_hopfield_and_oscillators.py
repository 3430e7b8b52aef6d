"""Hopfield units and phase oscillators: energies, rest, gradients, clamps, and what breaks their symmetry."""

import math

import pytest
import torch
from torch import Tensor

from pnnlab.physics import Acting, HopfieldNetwork, LayeredGraph, PhaseOscillators, Settling
from tests.physics.energies import derivative_of, gradient_errors, slope

Network = HopfieldNetwork | PhaseOscillators
GRAPH = LayeredGraph((6, 8, 4))
BETAS = (0.01, 0.03, 0.1)


def made(kind: str, skew: float = 0.0, settling: Settling | None = None) -> Network:
    away = torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    uneven = skew * (away - away.T) / math.sqrt(2)
    if kind == "hopfield":
        return HopfieldNetwork(uneven, settling)
    return PhaseOscillators(uneven, torch.zeros(12, dtype=torch.float64), injection=0.2, settling=settling)


def drawn() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return normal(3, 6), 0.3 * normal(GRAPH.n_pairs), 0.1 * normal(12), 0.5 * normal(3, 4)


def local(kind: str, x: Tensor, state: Tensor) -> Tensor:
    """Return the derivative of the energy in every coupling."""
    first, second = GRAPH.first, GRAPH.second
    if kind == "hopfield":
        value = torch.cat([x, state.tanh()], -1)
        return -value[:, first] * value[:, second]
    cosine, sine = torch.cat([0 * x, state.cos()], -1), torch.cat([x, state.sin()], -1)
    return -cosine[:, first] * cosine[:, second] - sine[:, first] * sine[:, second]


@pytest.mark.parametrize("kind", ["hopfield", "oscillators"])
def test_it_rests_where_its_energy_has_no_slope(kind: str) -> None:
    x, couplings, biases, _ = drawn()
    network, acting = made(kind), GRAPH.acting(x, couplings, biases)
    state = network.relax(acting, network.start(acting)).requires_grad_()
    (down,) = torch.autograd.grad(network.energy(state, acting).sum(), state)
    assert float(down.abs().max()) < 1e-13 and float(network.force(state, acting).detach().abs().max()) < 1e-13
    elsewhere = torch.randn(
        state.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(8)
    ).requires_grad_()
    (down,) = torch.autograd.grad(network.energy(elsewhere, acting).sum(), elsewhere)
    torch.testing.assert_close(network.force(elsewhere, acting), -down)


@pytest.mark.parametrize("kind", ["hopfield", "oscillators"])
def test_a_graph_gives_every_pair_its_part_of_the_energy(kind: str) -> None:
    x, couplings, biases, _ = drawn()
    network = made(kind)
    state = torch.randn(3, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = couplings.requires_grad_()
    each = torch.autograd.functional.jacobian(lambda w: network.energy(state, GRAPH.acting(x, w, biases)), weights)
    torch.testing.assert_close(each, local(kind, x, state))


@pytest.mark.parametrize("kind", ["hopfield", "oscillators"])
@pytest.mark.parametrize("skew", [0.0, 0.3])
def test_the_gradient_of_an_equilibrium_is_that_of_differences(kind: str, skew: float) -> None:
    x, couplings, biases, target = drawn()
    network = made(kind, skew)

    def loss(weights: Tensor) -> Tensor:
        acting = GRAPH.acting(x, weights, biases)
        y = network.values(network.relax(acting, network.start(acting)))[:, -4:]
        return ((y - target) ** 2).sum()

    weights = couplings.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(weights), weights)
    along = torch.randn(len(couplings), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert float(gradient @ along) == pytest.approx(derivative_of(loss, couplings, along), rel=1e-6)


def errors(kind: str, skew: float = 0.0, settling: Settling | None = None) -> Tensor:
    x, couplings, biases, target = drawn()
    weights, network = couplings.requires_grad_(), made(kind, skew, settling)

    def phase(force: Tensor | None) -> tuple[Tensor, Tensor]:
        acting = GRAPH.acting(x, weights, biases)
        state = network.relax(acting, network.start(acting))
        if force is not None:
            state = network.relax(acting.nudged(force), state)
        return network.values(state)[:, -4:], local(kind, x, state)

    return gradient_errors(phase, weights, target, BETAS)


@pytest.mark.parametrize("kind", ["hopfield", "oscillators"])
def test_equilibrium_propagation_errs_by_the_nudge_and_by_its_square(kind: str) -> None:
    one_sided, centred = errors(kind)
    assert slope(one_sided, BETAS) == pytest.approx(1, abs=0.1)
    assert slope(centred, BETAS) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("kind", ["hopfield", "oscillators"])
def test_uneven_couplings_leave_an_error_that_no_nudge_removes_and_that_grows(kind: str) -> None:
    left = [float(errors(kind, skew)[1, 0]) for skew in (0.0, 0.1, 0.3)]
    assert left[0] < 1e-3 < 0.01 < left[1] < left[2]


def test_units_that_are_not_given_the_time_to_settle_leave_an_error() -> None:
    left = [float(errors("hopfield", settling=Settling(duration=time))[1, 0]) for time in (2.0, 5.0, 40.0)]
    assert left[0] > left[1] > left[2] and left[0] > 0.05 and left[2] < 1e-3


def test_time_enough_is_equilibrium() -> None:
    x, couplings, biases, _ = drawn()
    acting = GRAPH.acting(x, couplings, biases)
    found = [net.relax(acting, net.start(acting)) for net in (made("hopfield"), made("hopfield", 0, Settling(80.0)))]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("kind", ["hopfield", "oscillators"])
def test_clamped_outputs_stay_where_they_are_held_and_pull_on_the_others(kind: str) -> None:
    x, couplings, biases, _ = drawn()
    network, acting = made(kind), GRAPH.acting(x, couplings, biases)
    free = network.relax(acting, network.start(acting))
    clamp = torch.full((3, 4), torch.nan, dtype=torch.float64)
    clamp[:, 1] = 0.7
    held = network.values(network.relax(acting, free, clamp=clamp))
    torch.testing.assert_close(held[:, 9], torch.full((3,), 0.7, dtype=torch.float64))
    assert bool((held[:, :8] - network.values(free)[:, :8]).abs().amax(-1).gt(1e-3).all())


def test_injection_at_the_second_harmonic_makes_phases_ahead_or_behind_by_a_quarter_turn() -> None:
    zero = torch.zeros(12, 12, dtype=torch.float64)
    network = PhaseOscillators(zero, zero[0], lock=0.5, injection=3.0)
    x, couplings, biases, _ = drawn()
    acting = GRAPH.acting(x, couplings, biases)
    assert float(network.values(network.relax(acting, network.start(acting))).abs().min()) > 0.99


def test_phase_noise_is_that_of_its_temperature() -> None:
    zero = torch.zeros(1, 1, dtype=torch.float64)
    network = PhaseOscillators(zero, zero[0], lock=2.0, settling=Settling(duration=6.0, step=0.02, noise=0.05))
    acting = Acting(torch.zeros(4000, 1, dtype=torch.float64), zero)
    phase = network.relax(acting, 0 * acting.field, generator=torch.Generator().manual_seed(0))
    # a stiffness of 2 at a temperature of 0.05, a little softer where the cosine bends
    assert float(phase.var()) == pytest.approx(0.05 / 2, rel=0.08)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more"):
        LayeredGraph((4,))
    with pytest.raises(ValueError, match="give it a duration"):
        Settling(noise=0.1)
