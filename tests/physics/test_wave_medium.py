"""Cavities and delay lines: reciprocity, energy, exactness of a run backwards in time."""

import math

import pytest
import torch
from torch import Tensor

from pnnlab.physics import AcousticCavity, DelayLine, FeedbackMedium, NodeFunction, PortedMedium

PORTS = ((1, 2), (5, 7), (3, 4))


def cavity(**changes: float) -> AcousticCavity:
    options = {"damping": 0.1, "wall_damping": 0.2, "roughness": 0.5, "seed": 1} | changes
    return AcousticCavity((8, 10), PORTS, **options)  # type: ignore[arg-type]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def backwards(medium: PortedMedium, function: NodeFunction, bias: float) -> tuple[Tensor, Tensor]:
    """Return a gradient by a run reversed in time, and by backpropagation through time."""
    system = FeedbackMedium(medium, gain=0.5, function=function, bias=bias)
    injected = draw(2, 30, medium.n_ports).requires_grad_()
    weight = draw(2, 30, medium.n_ports, seed=1)
    a, s = system(injected)
    (exact,) = torch.autograd.grad((weight * s).sum(), injected)
    a = a.detach()
    slope = 1 - a.tanh().square() if function == "tanh" else torch.sin(2 * (a + bias))
    _, returned = system(weight.flip(1), slope.flip(1), torch.ones(2, dtype=torch.bool))
    return returned.flip(1), exact


def test_a_damped_cavity_is_reciprocal_to_rounding_and_a_flow_breaks_it() -> None:
    response = cavity().response(40)
    torch.testing.assert_close(response, response.mT, rtol=0, atol=1e-14)
    ended = AcousticCavity((8, 10), PORTS, damping=0.1, walls="open").response(40)
    torch.testing.assert_close(ended, ended.mT, rtol=0, atol=1e-14)
    blown = cavity(flow=0.05).response(40)
    assert (blown - blown.mT).abs().max() > 0.05


def test_a_cavity_without_damping_keeps_its_energy_and_damping_takes_it() -> None:
    quiet = AcousticCavity((8, 10), PORTS, damping=0.0)
    lossy = cavity()
    energies = []
    for medium in (quiet, lossy):
        state, sent = medium.rest(torch.zeros(1, 3, dtype=torch.float64)), torch.zeros(1, 3, dtype=torch.float64)
        # a push and a pull: no pressure is left that would only pile up
        for k in range(200):
            sent[:] = torch.tensor([1.0, -1.0, 0.0]) if k == 0 else 0.0
            state = medium.carried(state, sent)
            if k in (50, 199):
                u, before = state
                # the energy that leapfrog steps keep
                gap = [(x.diff(dim=d) * y.diff(dim=d)).sum() for d in (1, 2) for x, y in [(u, before)]]
                energies.append(float((u - before).square().sum() / 2 + medium.courant**2 * sum(gap) / 2))
    assert energies[0] == pytest.approx(energies[1], rel=1e-10)
    assert energies[3] < 0.05 * energies[2]


def test_a_pipe_with_open_ends_has_the_notes_of_its_length_and_no_pressure_stays() -> None:
    medium = AcousticCavity((2, 39), ((0, 10), (1, 10)), damping=0.0, walls="open", courant=0.5)
    tones = torch.fft.rfft(medium.response(4000)[:, 0, 0]).abs()
    # across two cells the lowest note is high: of a wave that vanishes half a cell outside both
    across = 4 * math.sin(math.pi / 6) ** 2
    lowest = 2 * math.asin(0.25 * math.sqrt(across + 4 * math.sin(math.pi / 80) ** 2)) / (2 * math.pi)
    assert float(tones.argmax()) / 4000 == pytest.approx(lowest, rel=0.2)
    assert tones[:20].max() < 0.02 * tones.max()


def test_sound_arrives_no_sooner_than_it_can_travel() -> None:
    response = AcousticCavity((3, 12), ((1, 1), (1, 9))).response(12)
    # a cell a sample is the fastest that leapfrog steps carry anything, and one sample to be sent
    assert not response[:9, 1, 0].any() and response[9, 1, 0] != 0


def test_a_delay_line_answers_a_step_as_a_low_pass_does_that_was_told_late() -> None:
    line, sent = DelayLine(4, response=2.5), torch.ones(1, 1, dtype=torch.float64)
    state, found = line.rest(sent), []
    for _ in range(12):
        found.append(float(line.heard(state)))
        state = line.carried(state, sent)
    assert found == pytest.approx([0.0] * 4 + [1 - math.exp(-k / 2.5) for k in range(1, 9)])


@pytest.mark.parametrize(
    ("medium", "function", "bias"),
    [
        (cavity(), "tanh", 0.0), (cavity(), "sin2", 0.4), (DelayLine(7, response=2.0), "sin2", 0.3),
        (DelayLine(1), "tanh", 0.0),
    ],
)  # fmt: skip
def test_a_run_backwards_in_time_is_backpropagation_through_time_whatever_the_damping(
    medium: PortedMedium, function: NodeFunction, bias: float
) -> None:
    found, exact = backwards(medium, function, bias)
    assert (found - exact).norm() < 1e-12 * exact.norm()


def test_it_is_so_no_longer_where_a_flow_breaks_reciprocity() -> None:
    errors = []
    for flow in (0.0, 0.01, 0.05):
        found, exact = backwards(cavity(flow=flow), "tanh", 0.0)
        errors.append(float((found - exact).norm() / exact.norm()))
    assert errors[0] < 1e-12 and 1e-3 < errors[1] < errors[2]


def test_media_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="do not lie"):
        AcousticCavity((4, 4), ((4, 0),))
    with pytest.raises(ValueError, match="stable"):
        AcousticCavity((4, 4), ((0, 0),), courant=0.8)
    with pytest.raises(ValueError, match="different cells"):
        AcousticCavity((4, 4), ((0, 0), (0, 0)))
    with pytest.raises(ValueError, match="give 1 and 0"):
        DelayLine(0)
