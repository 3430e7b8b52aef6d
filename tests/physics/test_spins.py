"""Quantum spins and sampled ones: expectation values, their answers to small fields, and what breaks those."""

import pytest
import torch
from torch import Tensor

from pnnlab.physics import Acting, IsingMachine, LayeredGraph, SpinNetwork, SpinStates
from tests.physics.energies import derivative_of, gradient_errors, slope

GRAPH = LayeredGraph((3, 2, 2), joining="all")
STATES = SpinStates(4)
BETAS = (0.01, 0.03, 0.1)


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    shapes = ((4, 3), (GRAPH.n_pairs,), (4, 2))
    return tuple(torch.randn(*s, dtype=torch.float64, generator=generator) for s in shapes)  # type: ignore[return-value]


def acting(couplings: Tensor) -> Acting:
    return GRAPH.acting(drawn()[0], couplings, torch.full((4,), 0.2, dtype=torch.float64))


def errors(network: SpinNetwork) -> Tensor:
    x, couplings, target = drawn()
    couplings = (0.5 * couplings).requires_grad_()

    def phase(force: Tensor | None) -> tuple[Tensor, Tensor]:
        fields = acting(couplings)
        found = STATES.moments(network.probability(fields if force is None else fields.nudged(force)))
        pairs = torch.zeros(len(x), 7, 7, dtype=torch.float64)
        pairs[:, STATES.first + 3, STATES.second + 3] = found[:, 4:]
        pairs[:, :3, 3:] = x[:, :, None] * found[:, None, :4]
        return found[:, 2:4], -pairs[:, GRAPH.first, GRAPH.second]

    return gradient_errors(phase, couplings, target.tanh(), BETAS)


def spins(**changes: float) -> SpinNetwork:
    flip = torch.full((4,), changes.pop("flip", 0.0), dtype=torch.float64)
    return SpinNetwork(flip, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_quantum_equilibrium_propagation_errs_by_the_nudge_and_by_its_square(temperature: float) -> None:
    one_sided, centred = errors(spins(temperature=temperature))
    assert slope(one_sided, BETAS) == pytest.approx(1, abs=0.1) and slope(centred, BETAS) == pytest.approx(2, abs=0.2)
    assert float(centred[0]) < 1e-3


def test_spins_that_are_hurried_or_misread_leave_an_error_that_no_nudge_removes() -> None:
    hurried = [float(errors(spins(ramp=ramp))[1, 0]) for ramp in (3.0, 10.0, 60.0)]
    assert hurried[0] > hurried[1] > hurried[2] and hurried[0] > 0.1 and hurried[2] < 0.01
    misread = [float(errors(spins(flip=flip))[1, 0]) for flip in (0.0, 0.02, 0.1)]
    assert misread[0] < 1e-3 < 0.01 < misread[1] < misread[2]


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.8}, {"ramp": 3.0}, {"flip": 0.05}])
def test_expectation_values_have_the_gradient_of_differences(changes: dict[str, float]) -> None:
    network = spins(**changes)

    def value(couplings: Tensor) -> Tensor:
        return (STATES.moments(network.probability(acting(couplings))) ** 2).sum()

    couplings = drawn()[1]
    (gradient,) = torch.autograd.grad(value(leaf := couplings.clone().requires_grad_()), leaf)
    along = torch.randn(len(couplings), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float(gradient @ along) == pytest.approx(derivative_of(value, couplings, along), rel=1e-6)


def test_one_spin_is_that_of_the_textbook() -> None:
    network = SpinNetwork(torch.zeros(1, dtype=torch.float64), transverse=0.8)
    field = torch.tensor([[0.6]], dtype=torch.float64)
    found = SpinStates(1).moments(network.probability(Acting(field, torch.zeros(1, 1, dtype=torch.float64))))
    assert float(found) == pytest.approx(0.6)  # h / sqrt(h^2 + g^2)


def test_spins_without_a_transverse_field_are_those_of_boltzmann() -> None:
    fields = acting(drawn()[1])
    machine = IsingMachine(torch.zeros(4, 4, dtype=torch.float64), temperature=1.3)
    torch.testing.assert_close(
        spins(transverse=0.0, temperature=1.3).probability(fields), machine.probability(fields, STATES)
    )


@pytest.mark.parametrize("joining", ["all", "neighbours"])
def test_annealed_reads_have_the_moments_of_boltzmann(joining: str) -> None:
    graph = LayeredGraph((3, 2, 2), joining=joining)  # type: ignore[arg-type]
    x, _, _ = drawn()
    couplings = torch.randn(graph.n_pairs, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    fields = graph.acting(x, 0.7 * couplings, torch.zeros(4, dtype=torch.float64))
    machine = IsingMachine(torch.zeros(4, 4, dtype=torch.float64))
    exact = STATES.moments(machine.probability(fields, STATES))
    found = machine.moments(machine.sample(fields, 8000, torch.Generator().manual_seed(0)))
    assert float((found - exact).abs().max()) < 5 * 8000**-0.5


def test_a_spin_that_is_held_is_read_as_it_is_held() -> None:
    machine = IsingMachine(torch.zeros(4, 4, dtype=torch.float64))
    clamp = torch.tensor([[1.0, torch.nan]] * 4, dtype=torch.float64)
    drawn_spins = machine.sample(acting(drawn()[1]), 50, torch.Generator().manual_seed(0), clamp=clamp)
    assert bool((drawn_spins[..., 2] == 1).all()) and 0 < float((drawn_spins[..., 3] == 1).double().mean()) < 1


def test_counted_states_come_to_their_probability() -> None:
    exact = spins().probability(acting(drawn()[1]))
    counted = STATES.counted(exact, 20_000, torch.Generator().manual_seed(0))
    assert float((counted - exact).abs().max()) < 5 * 0.5 / 20_000**0.5
    torch.testing.assert_close(counted.sum(-1), torch.ones(4, dtype=torch.float64))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 16"):
        SpinStates(17)
    with pytest.raises(ValueError, match="temperature"):
        spins(temperature=1.0, ramp=2.0)
    with pytest.raises(ValueError, match="sweep"):
        IsingMachine(torch.zeros(2, 2), sweeps=0)
