"""Coupled modes beside a time integration, energy conservation, and the formulas of their gradients."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pnnlab.physics import CoupledModes

N, PAIRS = 6, ((0, 3), (1, 4), (2, 5))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def modes(kerr: float = 0.0, internal: float = 0.2, antisymmetric: float = 0.0) -> CoupledModes:
    coupling = 0.5 * draw(N, N, seed=1)
    return CoupledModes(
        torch.linspace(0.8, 1.2, N, dtype=torch.float64), internal_hz=internal, detuning_hz=draw(N, seed=2),
        coupling_hz=(coupling + coupling.T) / 2 + antisymmetric * (coupling - coupling.T) / 2, kerr_hz_per_v2=kerr,
        pairs=PAIRS,
    )  # fmt: skip


DETUNING, COUPLING = 0.3 * draw(3, N, seed=3), 0.2 * draw(3, 3, seed=4)
FIELD = torch.complex(draw(3, N, seed=5), draw(3, N, seed=6))


@pytest.mark.parametrize("kerr", [0.0, 0.1])
def test_the_steady_state_is_where_the_equations_of_motion_lead_from_the_dark(kerr: float) -> None:
    system = modes(kerr)
    out = system(FIELD, DETUNING, COUPLING)
    h = system.hamiltonian_hz(DETUNING, COUPLING).numpy()
    root, k = system.external_hz.sqrt().numpy(), kerr * system.external_hz.numpy()
    for sample in range(3):
        field = FIELD[sample].numpy()

        def motion(_: float, a: np.ndarray, h: np.ndarray = h[sample], field: np.ndarray = field) -> np.ndarray:
            return 2 * math.pi * (-1j * (h @ a + k * np.abs(a) ** 2 * a) - root * field)

        end = solve_ivp(motion, (0, 12), np.zeros(N, complex), rtol=1e-10, atol=1e-12).y[:, -1]
        np.testing.assert_allclose(out[sample].numpy(), field + root * end, atol=1e-8)


def test_without_losses_inside_the_power_that_leaves_is_the_power_that_enters() -> None:
    for kerr in (0.0, 0.1):
        out = modes(kerr, internal=0.0)(FIELD, DETUNING, COUPLING)
        torch.testing.assert_close(out.abs().square().sum(1), FIELD.abs().square().sum(1))


def test_the_scattering_matrix_is_what_fields_meet_and_symmetric_where_couplings_are() -> None:
    s = modes().scattering(DETUNING, COUPLING)
    torch.testing.assert_close((s @ FIELD[..., None])[..., 0], modes()(FIELD, DETUNING, COUPLING))
    torch.testing.assert_close(s, s.mT)
    broken = modes(antisymmetric=0.2).scattering(DETUNING, COUPLING)
    assert (broken - broken.mT).abs().max() > 1e-2


def test_derivatives_of_a_kerr_network_are_those_of_finite_differences() -> None:
    system = modes(0.1)
    inputs = [t.clone().requires_grad_() for t in (FIELD, DETUNING, COUPLING)]
    assert torch.autograd.gradcheck(system, inputs, eps=1e-5, atol=1e-6)


def test_each_derivative_of_the_scattering_matrix_is_a_product_of_two_of_its_elements() -> None:
    system, r, p = modes(), 4, 1
    detuning, coupling = (t[0].clone().requires_grad_() for t in (DETUNING, COUPLING))
    s = system.scattering(detuning, coupling)
    found = [
        torch.autograd.grad(part, (detuning, coupling), retain_graph=True) for part in (s[r, p].real, s[r, p].imag)
    ]
    less = (s - torch.eye(N)).detach()
    k = system.external_hz
    torch.testing.assert_close(torch.complex(found[0][0], found[1][0]), 1j / k * less[r] * less[:, p])
    j, m = (torch.tensor([pair[k] for pair in PAIRS]) for k in (0, 1))
    both = less[r, j] * less[m, p] + less[r, m] * less[j, p]
    torch.testing.assert_close(torch.complex(found[0][1], found[1][1]), 1j / (k[j] * k[m]).sqrt() * both)


def test_a_mode_driven_past_its_bistability_rings_up_to_the_branch_that_starts_in_the_dark() -> None:
    # one mode far detuned: both the low and the high state exist
    mode = CoupledModes(
        torch.ones(1, dtype=torch.float64), coupling_hz=torch.zeros(1, 1, dtype=torch.float64), kerr_hz_per_v2=-1.0,
        detuning_hz=3.0,
    )  # fmt: skip
    field = torch.full((1, 1), 1.1 + 0j, dtype=torch.complex128)
    out = mode(field, torch.zeros(1, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    assert 0 < -float(mode.kerr_shift_hz(field, out)) < 0.3


def test_modes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        CoupledModes(torch.zeros(2), coupling_hz=torch.zeros(2, 2))
    with pytest.raises(ValueError, match="different modes"):
        CoupledModes(torch.ones(2), coupling_hz=torch.zeros(2, 2), pairs=((1, 1),))
