"""Gradients of coupled modes by scattering, through devices, beside autograd through the same physics."""

import numpy as np
import pytest

from pnnlab.errors import CapabilityError
from pnnlab.methods import (
    ScatteringBackpropagation,
    ScatteringBackpropagationOptions,
    ScatteringGradient,
    ScatteringGradientOptions,
)
from scripts.setups import FunctionSystem, cosine, error, gradients
from scripts.setups.coupled_modes import kerr_modes, resonators


def nudged(nudge: float, *, symmetric: bool = False) -> ScatteringBackpropagation:
    return ScatteringBackpropagation(ScatteringBackpropagationOptions(nudge=nudge, symmetric=symmetric))


@pytest.mark.parametrize("reciprocity", [True, False])
@pytest.mark.parametrize("quadratures", ["i", "iq"])
def test_two_injections_give_the_exact_gradient_of_lossy_and_uneven_resonators(
    reciprocity: bool, quadratures: str
) -> None:
    uneven = {"detuning_spread_hz": 3e5, "coupling_spread_hz": 1e5}
    system = resonators(plant=uneven, system={"quadratures": quadratures, "full_scale": 0.5})
    method = ScatteringGradient(ScatteringGradientOptions(reciprocity=reciprocity))
    found = gradients(system, method)
    assert all(error(pair) < 1e-12 for pair in found.values())
    assert system.n_shots == 3 * (2 if reciprocity else 1 + 12)


def test_it_degrades_with_non_reciprocity_unless_reciprocity_is_not_assumed() -> None:
    strengths, seeds = (0.0, 0.01, 0.05, 0.2), range(5)
    found = [
        np.median([
            cosine(gradients(resonators(seed=k, plant={"nonreciprocity": s}), ScatteringGradient())["controls"])
            for k in seeds
        ])
        for s in strengths
    ]  # fmt: skip
    assert found == sorted(found, reverse=True)
    assert found[1] > 0.99 and found[3] < 0.8
    full = ScatteringGradient(ScatteringGradientOptions(reciprocity=False))
    assert error(gradients(resonators(plant={"nonreciprocity": 0.2}), full)["controls"]) < 1e-12


def test_an_error_of_nothing_is_no_gradient() -> None:
    system = resonators()
    x, theta = np.zeros((2, system.n_in)), np.full(system.n_controls, 0.5)
    for method in (ScatteringGradient(), ScatteringBackpropagation()):
        adjoint = method.make_adjoint(system)
        _, memory = adjoint.forward(x, theta)
        grad_x, grad_theta = adjoint.backward(memory, np.zeros((2, system.n_out)))
        assert grad_x is not None and not grad_x.any() and not grad_theta.any()


def test_a_nudge_of_any_size_is_exact_where_modes_are_linear() -> None:
    for system in (kerr_modes(kerr=0.0), resonators()):
        found = gradients(system, nudged(0.3))
        assert all(error(pair) < 1e-11 for pair in found.values())


def test_with_a_kerr_shift_it_is_near_and_gets_worse_as_the_shift_grows() -> None:
    errors = [error(gradients(kerr_modes(kerr=k), nudged(1e-3, symmetric=True))["controls"]) for k in (0.02, 0.1, 0.3)]
    assert errors == sorted(errors) and errors[0] < 0.1 and errors[2] > 0.1


@pytest.mark.parametrize(("symmetric", "slope"), [(False, 1.0), (True, 2.0)])
def test_what_a_finite_nudge_adds_falls_with_its_first_or_second_power(symmetric: bool, slope: float) -> None:
    system = kerr_modes(kerr=0.1)
    limit = gradients(system, nudged(1e-4, symmetric=True))["controls"][0]
    off = [
        float((gradients(system, nudged(nudge, symmetric=symmetric))["controls"][0] - limit).norm())
        for nudge in (0.02, 0.08)
    ]
    assert np.log(off[1] / off[0]) / np.log(4) == pytest.approx(slope, abs=0.2)


def test_repeats_average_read_noise() -> None:
    errors = []
    for repeats in (1, 16):
        system = resonators(converters={"noise_rms_v": 5e-3})
        method = ScatteringGradient(ScatteringGradientOptions(reciprocity=True, repeats=repeats))
        adjoint = method.make_adjoint(system)
        x, theta = np.zeros((1, system.n_in)), np.full(system.n_controls, 0.5)
        _, memory = adjoint.forward(x, theta)
        drawn = [adjoint.backward(memory, np.eye(1, system.n_out))[1] for _ in range(6)]
        errors.append(float(np.std(drawn, axis=0).mean()))
    assert errors[1] < 0.5 * errors[0]


def test_a_system_of_another_kind_is_refused() -> None:
    other = FunctionSystem(lambda x, theta, noise: x, (2, 1, 2))
    with pytest.raises(CapabilityError, match=r"scattering_gradient injects .*kind resonators"):
        ScatteringGradient().make_adjoint(other)
