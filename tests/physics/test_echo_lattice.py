"""Waves that come back: time reversal, what breaks it, and the momentum of the medium."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pnnlab.physics import EchoLattice

N = 5


def coupling() -> Tensor:
    drawn = torch.randn(N, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (drawn + drawn.mT) / 4


def lattice(n_slabs: int = 2, n_steps: int = 40, **changes: object) -> EchoLattice:
    return EchoLattice(
        **{"coupling": coupling(), "kerr": 0.5, "duration": 2.0, "n_steps": n_steps, "n_slabs": n_slabs, **changes}  # type: ignore[arg-type]
    )


def drive(n_slabs: int = 2, batch: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    pulses, detuning = torch.randn(2, batch, n_slabs, N, generator=generator, dtype=torch.float64)
    return pulses, detuning


def entries(wave: EchoLattice, pulses: Tensor, detuning: Tensor) -> Tensor:
    """Return the field at the beginning of each slab, pulse included."""
    exits = wave(pulses, detuning, echo=False).exits
    return torch.cat([torch.zeros_like(exits[..., :1, :]), exits[..., :-1, :]], -2) - 1j * pulses


def missed(wave: EchoLattice) -> float:
    pulses, detuning = drive(wave.n_slabs)
    went = entries(wave, pulses, detuning)
    return float((wave(pulses, detuning).returned - went).norm() / went.norm())


def test_it_follows_its_equation_of_motion() -> None:
    pulses, detuning = drive(1, 1)
    loss, j, theta = 0.1, coupling().numpy(), detuning[0, 0].numpy()

    def motion(_: float, state: np.ndarray) -> np.ndarray:
        psi = state[:N]
        size = np.abs(psi) ** 2
        return np.concatenate([-1j * (j @ psi + (theta + 0.5 * size) * psi) - 0.5 * loss * psi, -size])

    start = np.concatenate([-1j * pulses[0, 0].numpy(), np.zeros(N)]).astype(complex)
    solved = solve_ivp(motion, (0, 2), start, rtol=1e-10, atol=1e-12).y[:, -1]
    found = lattice(1, 1000, loss=loss)(pulses, detuning, echo=False)
    np.testing.assert_allclose(found.exits[0, 0].numpy(), solved[:N], atol=1e-5)  # second order in the step
    np.testing.assert_allclose(found.momentum[0, 0].numpy(), solved[N:].real, atol=1e-5)


def test_an_echo_is_exact_for_any_step_and_leaves_no_momentum() -> None:
    wave = lattice(n_steps=3)
    assert missed(wave) < 1e-12
    assert float(wave(*drive()).momentum.abs().max()) < 1e-12


def test_energy_is_kept_without_loss_and_falls_exponentially_with_it() -> None:
    pulses, detuning = drive(1)
    for loss in (0.0, 0.3):
        left = lattice(1, loss=loss)(pulses, detuning, echo=False).exits.abs().square().sum(-1)
        torch.testing.assert_close(left, pulses.square().sum(-1) * math.exp(-2 * loss))


@pytest.mark.parametrize("knob", ["loss", "conjugation_error", "flux"])
def test_every_knob_breaks_the_echo_the_more_it_is_turned(knob: str) -> None:
    places = torch.arange(N, dtype=torch.float64)
    found = []
    for size in (0.001, 0.01, 0.1):
        turned = torch.polar(torch.ones(N, N, dtype=torch.float64), size * (places[:, None] - places))
        found.append(missed(lattice(coupling=coupling() * turned) if knob == "flux" else lattice(**{knob: size})))
    assert 1e-4 < found[0] < found[1] < found[2]


def test_momenta_of_nudged_echoes_are_the_gradient_to_second_order() -> None:
    wave, (pulses, detuning) = lattice(), drive()
    target = torch.rand(3, 2, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    theta = detuning.clone().requires_grad_()
    y = wave(pulses, theta, echo=False).exits.abs().square()
    (exact,) = torch.autograd.grad((y - target).square().sum() / 2, theta)
    errors = []
    for epsilon in (1e-3, 1e-4):
        nudge = -epsilon * (y - target).detach()
        one, other = (wave(pulses, detuning, sign * nudge).momentum for sign in (1, -1))
        errors.append(float(((one - other) / (2 * epsilon) - exact).norm() / exact.norm()))
    assert math.log10(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_a_coupling_that_gains_or_loses_is_refused() -> None:
    with pytest.raises(ValueError, match="Hermitian"):
        EchoLattice(torch.ones(2, 2).triu(), kerr=0.0, duration=1.0, n_steps=1)
