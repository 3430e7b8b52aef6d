"""Errors reversed in time through a medium, through devices, beside autograd through the same physics."""

from typing import Any

import numpy as np
import pytest

from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.methods import PhysicalMedia, PhysicalMediaOptions
from pnnlab.systems import WaveMedium
from scripts.setups import FunctionSystem, error, gradients
from scripts.setups.wave_media import cavity, delay_line, wave_medium


@pytest.mark.parametrize("system", [cavity(), cavity(function="sin2", bias=0.4, amplitude=1.3), delay_line()])
def test_it_is_backpropagation_through_time_to_rounding_with_damping(system: WaveMedium) -> None:
    before = system.n_shots
    found = gradients(system, PhysicalMedia())
    assert all(error(pair) < 1e-12 for pair in found.values())
    assert system.n_shots - before == 3 * 2


def test_a_flow_or_nodes_that_are_not_as_told_leave_an_error_that_grows() -> None:
    for knob, values in (("flow", (0.0, 0.01, 0.05)), ("node_spread", (0.0, 0.02, 0.1))):
        errors = [error(gradients(cavity(**{knob: value}), PhysicalMedia())["controls"]) for value in values]
        assert errors[0] < 1e-12 and 1e-4 < errors[1] < errors[2]


def test_noise_of_the_nodes_goes_round_and_is_averaged() -> None:
    def spread(repeats: int) -> float:
        system = cavity(noise_rms=0.01)
        adjoint = PhysicalMedia(PhysicalMediaOptions(repeats=repeats)).make_adjoint(system)
        x, theta = np.full((1, system.n_in), 0.3), np.full(system.n_controls, 0.6)
        _, memory = adjoint.forward(x, theta)
        return float(np.std([adjoint.backward(memory, np.eye(1, system.n_out))[1] for _ in range(8)], axis=0).mean())

    one, many = spread(1), spread(16)
    assert 0 < many < 0.5 * one


def test_an_error_of_nothing_is_no_gradient() -> None:
    system = delay_line()
    adjoint = PhysicalMedia().make_adjoint(system)
    _, memory = adjoint.forward(np.zeros((2, system.n_in)), np.full(system.n_controls, 0.5))
    grad_x, grad_theta = adjoint.backward(memory, np.zeros((2, system.n_out)))
    assert grad_x is not None and not grad_x.any() and not grad_theta.any()


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"steps": 9, "step_samples": 4, "features": 1}, "9 steps of 4 do not fit into 32 samples"),
        ({"step_samples": 4, "features": 1, "read_from": 30, "windows": 4}, "do not divide the 2 samples"),
    ],
)
def test_times_that_cannot_be_are_refused(system: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wave_medium({"samples": 32}, system)


def test_errors_of_another_shape_and_systems_of_another_kind_are_refused() -> None:
    system = cavity()
    with pytest.raises(SetpointError, match=r"shape \(2, 3\)"):
        system.backwards(np.zeros((2, 3)), np.zeros((2, 32, 3)))
    assert system.n_shots == 0
    with pytest.raises(CapabilityError, match="kind wave-medium"):
        PhysicalMedia().make_adjoint(FunctionSystem(lambda x, theta, noise: x, (2, 1, 2)))
