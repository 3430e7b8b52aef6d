"""Light and waves that carry errors back, beside autograd on the same bench, through its devices."""

import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pnnlab.errors import CapabilityError
from pnnlab.methods import (
    FullyForward,
    FullyForwardOptions,
    HamiltonianEcho,
    HamiltonianEchoOptions,
    InSituDiffractive,
    RecurrentHamiltonianEcho,
    TrainingMethod,
    echo_residual,
    mirror_asymmetry,
)
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import System
from scripts.setups.wave_benches import diffractive, echo_lattice, gradients
from tests.methods.set_ups import setting

EXACT = 1e-9
SMALL: dict[str, Any] = {"pixels": (4, 4), "masks": 3}


def echo(epsilon: float = 0.05, **options: Any) -> HamiltonianEcho:
    return HamiltonianEcho(HamiltonianEchoOptions(epsilon=epsilon, **options))


def small_wave(**options: Any) -> System:
    wiring = {"reach": 1.0, **options.pop("wiring", {})}
    return echo_lattice(
        wiring=wiring, **{"duration": 2.0, "steps": 40, "lattice": "random", "coupling": 0.5, **options}
    )


def one_step(system: System, method: TrainingMethod) -> dict[str, float]:
    """Return the metrics of a first step on an idle task."""
    controls = torch.rand(system.n_controls, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Sequential(PhysicalLayer(system, controls=controls))
    method.prepare(model, setting())
    x = torch.rand(2, system.n_in, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    return method.step(model, x, x[:, :1], lambda y, t: (y - t).square().mean(), optimiser)


# Diffractive


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shift_px": 0.3},
        {"medium": "scattering"},
        {"mask_error_rad": 0.5, "mask_loss_db": 1.0},
        {"asymmetry": 0.5},
        {"wiring": {"references": 1}},
    ],
    ids=str,
)
def test_errors_sent_back_are_exact_through_whatever_is_reciprocal(options: dict[str, Any]) -> None:
    system = diffractive(**SMALL, **options)
    result = gradients(system, InSituDiffractive())
    assert result.error < EXACT and result.error_x < EXACT
    assert system.n_shots == 3 * (5 + 4)  # an image, four steps of the reference, four of them for the error


def test_errors_sent_back_err_more_the_less_reciprocal_it_is() -> None:
    errors = [gradients(diffractive(**SMALL, nonreciprocity=size), InSituDiffractive()).error for size in (0.01, 0.1)]
    assert 3 < errors[1] / errors[0] < 30 and errors[1] > 0.05


def test_errors_sent_forwards_are_exact_in_a_mirror_image() -> None:
    result = gradients(diffractive(**SMALL, mask_loss_db=1.0), FullyForward())
    assert result.error < EXACT and result.error_x < EXACT and result.cosine > 0.999999


def test_shifted_planes_turn_the_gradient_of_errors_sent_forwards() -> None:
    cosines = [
        gradients(diffractive(shift_px=shift, distance_m=20e-3), FullyForward()).cosine for shift in (0.03, 0.16)
    ]
    assert 0.9 < cosines[0] < 0.99 and 0.2 < cosines[1] < 0.9


def test_without_any_symmetry_errors_sent_forwards_point_anywhere() -> None:
    assert abs(gradients(diffractive(medium="scattering"), FullyForward()).cosine) < 0.15


def test_the_measured_asymmetry_is_that_of_the_matrix() -> None:
    system = diffractive(**SMALL, asymmetry=0.1)
    theta = np.random.default_rng(0).random(system.n_controls)
    light = np.eye(system.n_ports) + 0j
    ahead, mirror = (system.send(light, t).out for t in (theta, system.mirrored(theta)))
    exact = np.linalg.norm(ahead - mirror.T) / np.linalg.norm(ahead)
    assert mirror_asymmetry(system, theta, 200) == pytest.approx(exact, rel=0.1)


def test_asymmetry_is_told_warned_of_and_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pnnlab")
    assert one_step(diffractive(**SMALL), FullyForward())["asymmetry"] < 1e-9
    assert "differs from its mirror image by" in caplog.text and "WARNING" not in caplog.text
    assert one_step(diffractive(**SMALL, asymmetry=0.1), FullyForward())["asymmetry"] > 0.05
    assert "align its planes" in caplog.text and "WARNING" in caplog.text
    with pytest.raises(CapabilityError, match="in_situ_diffractive"):
        one_step(diffractive(**SMALL, medium="scattering"), FullyForward())
    blind = one_step(diffractive(**SMALL, medium="scattering"), FullyForward(FullyForwardOptions(probes=0)))
    assert "asymmetry" not in blind


@pytest.mark.parametrize(("method", "missing"), [(InSituDiffractive, "backward"), (FullyForward, "taps")])
def test_what_a_table_has_no_light_or_eyes_for_is_not_claimed(method: type[TrainingMethod], missing: str) -> None:
    assert method.needs <= diffractive(**SMALL).capabilities
    assert not method.needs <= diffractive(**SMALL, **{missing: False}).capabilities


# Echoes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"slabs": 3, "wiring": {"inputs": "series", "output_slabs": 3}},
        {"slabs": 3, "wiring": {"inputs": "series", "output_slabs": 2, "medium": "shared", "input_modes": 3,
                                "output_modes": 4, "bias": 0.3, "input_amplitude": 0.7}},
    ],
    ids=str,
)  # fmt: skip
def test_two_echoes_err_by_epsilon_squared_one_by_epsilon(options: dict[str, Any]) -> None:
    system = small_wave(**options)
    for estimate, slope in (("one_sided", 1), ("corrected", 1), ("centred", 2)):
        errors = [gradients(system, echo(size, estimate=estimate)) for size in (0.03, 0.003)]
        assert math.log10(errors[0].error / errors[1].error) == pytest.approx(slope, abs=0.1 * slope)
        assert errors[1].error < 0.02 and errors[1].error_x < 0.02


def test_an_echo_is_exact_without_loss() -> None:
    system = small_wave()
    theta = np.random.default_rng(0).random(system.n_controls)
    assert echo_residual(system, np.random.default_rng(1).random((2, system.n_in)), theta) < 1e-10


def test_with_loss_two_echoes_hold_and_one_fails() -> None:
    system = small_wave(loss=0.5)  # a round trip of 4: as much as 2 in the exponent of the energy
    single = echo(0.01, estimate="one_sided", refuse_above=9)
    assert gradients(system, single).cosine < 0.6
    assert gradients(system, echo(0.01)).cosine > 0.95
    assert gradients(system, echo(0.01, estimate="corrected")).cosine > 0.95


def test_echoes_that_miss_are_warned_of_and_single_ones_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pnnlab")
    assert one_step(small_wave(), echo())["residual"] < 1e-9
    assert "miss the wave" in caplog.text and "WARNING" not in caplog.text
    assert one_step(small_wave(loss=0.1), echo())["residual"] > 0.05
    assert "WARNING" in caplog.text
    with pytest.raises(CapabilityError, match="set its option `estimate` to centred"):
        one_step(small_wave(loss=0.1), echo(estimate="one_sided"))


def test_recurrent_echo_learning_is_a_pair_of_echoes() -> None:
    system = small_wave(slabs=2, wiring={"inputs": "series", "output_slabs": 2, "medium": "shared"})
    found, same = gradients(system, RecurrentHamiltonianEcho()), gradients(system, echo(0.05))
    torch.testing.assert_close(found.found, same.found)
    assert system.n_shots == 2 * (3 * 3 + 3)  # there and two echoes a sample, and once the residual


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2, 3), "nudges have shape"), (None, "no mirror")],
)
def test_an_echo_that_cannot_be_is_refused(shape: tuple[int, int] | None, message: str) -> None:
    system = small_wave(wiring={"mirror": shape is not None})
    x, theta = np.zeros((2, system.n_in)), np.full(system.n_controls, 0.5)
    with pytest.raises(Exception, match=message):
        system.echo(x, theta, nudge=None if shape is None else np.zeros(shape))
    assert system.n_shots == 0
