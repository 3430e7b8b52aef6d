"""A waveform through a circuit: what is played, what is read, and the gradient through it."""

from typing import Any

import numpy as np
import pytest
import torch

from pnnlab.errors import AbilityError, SetpointError
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.systems import DacAdc, Facilities
from pnnlab.twins import CircuitTwinConfig, PlantTwinConfig, make_twin
from tests.drivers.sim.circuits import Bench, exact
from tests.gradients import measured_and_exact

REST = 90
"""Samples after which this circuit's slowest oscillation has fallen by more than 1e-6."""


def wired(bench: Bench, **changes: Any) -> DacAdc:
    encoder = {
        "input_channels": (0,), "control_channels": (2, 1), "steps": 4, "hold": 2, "rest": REST,
        "amplitude_v": 0.5, "control_amplitude_v": 0.8, **changes.pop("encoder", {}),
    }  # fmt: skip
    config = DacAdc.Config.model_validate({
        "dac": "dac", "adc": "adc", "rate_hz": 8e3, "precision": "float64", "encoder": encoder,
        "decoder": {"windows": 4, "full_scale_v": 2.0}, **changes,
    })  # fmt: skip
    return DacAdc("circuit", config, {"dac": bench.dac, "adc": bench.adc}, Facilities(bench.clock))


def test_waveform_stands_as_the_file_says() -> None:
    """Drawn by hand: input on channel 0, controls on channels 2 and 1 in turn, each step held for two samples."""
    system = wired(exact())
    assert (system.n_in, system.n_controls, system.n_out) == (4, 8, 8)
    x, theta = np.array([[1.0, -1.0, 0.5, 0.0]]), np.linspace(0, 1, 8)
    (volts,) = system.to_setpoints(*system.encode(x, theta))
    assert volts.shape == (1, REST + 8, 3)
    assert not volts[:, :REST].any()
    controls = 0.8 * (2 * theta - 1)
    np.testing.assert_allclose(volts[0, REST:, 0], 0.5 * np.repeat(x[0], 2))
    np.testing.assert_allclose(volts[0, REST:, 2], np.repeat(controls[0::2], 2))
    np.testing.assert_allclose(volts[0, REST:, 1], np.repeat(controls[1::2], 2))


def test_decoding_takes_means_of_windows_after_the_rest() -> None:
    system = wired(exact())
    record = np.random.default_rng(0).normal(size=(3, REST + 8, 2))
    by_hand = record[:, REST:].reshape(3, 4, 2, 2).mean(2) / 2.0
    np.testing.assert_allclose(system.decode(record), by_hand.reshape(3, 8))


def test_a_batch_is_one_waveform_and_takes_its_time() -> None:
    bench = exact()
    system = wired(bench)
    begin_s = bench.clock.now_s()
    shots = system.measure(np.random.default_rng(0).uniform(-1, 1, (5, 4)), np.full(8, 0.5))
    assert shots.y.shape == (5, 8) and system.n_shots == 5 and len(set(shots.tokens)) == 1
    assert bench.clock.now_s() - begin_s == pytest.approx(5 * (REST + 8) / 8e3, rel=0.01)


def test_realised_drive_is_what_the_codes_are() -> None:
    bench = exact(dac_options={"quantised": True, "bits": 6})
    system = wired(bench)
    x, theta = np.random.default_rng(0).uniform(-1, 1, (2, 4)), np.random.default_rng(1).random(8)
    (asked,), (realised,) = system.encode(x, theta), system.measure(x, theta).drive
    lsb = 10 / 64
    off = np.abs(asked - realised) * np.array([0.5, 0.8, 0.8])
    assert 0 < off.max() <= lsb / 2 + 1e-9
    codes = realised * np.array([0.5, 0.8, 0.8]) / lsb
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)


def test_gradients_of_a_perfect_twin_equal_autograd_through_the_plant() -> None:
    """1e-6 relative; the rest is long enough for what one shot leaves to the next."""
    torch.manual_seed(0)
    bench = exact(board={"component_spread": 0.1})
    system = wired(bench)
    twin = make_twin(PlantTwinConfig(), interface_of(system), dtype=torch.float64)
    layer = PhysicalLayer(system, twin)
    x, weight = torch.rand(3, 4, dtype=torch.float64) * 2 - 1, torch.randn(3, 8, dtype=torch.float64)
    for what, ours, truth in measured_and_exact(layer, x, weight):
        assert (ours - truth).norm() / truth.norm() < 1e-6, what


def test_the_design_is_the_twin_of_a_board_without_spread() -> None:
    system = wired(exact())
    design = CircuitTwinConfig(
        seed=3, oscillators=4, inputs=3, outputs=2, quality=1.0, sample_rate_hz=8e3, reference_hz=1e3,
        bandwidth_hz=3e3, saturation_v=5.0, substeps=8,
    )  # fmt: skip
    twin = make_twin(design, interface_of(system), dtype=torch.float64)
    shots = system.measure(np.random.default_rng(0).uniform(-1, 1, (3, 4)), np.random.default_rng(1).random(8))
    with torch.no_grad():
        y = twin(*(torch.from_numpy(d) for d in shots.drive))
    np.testing.assert_allclose(y.numpy(), shots.y, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"encoder": {"control_channels": (0, 1)}}, SetpointError, r"must be different ones of the 3 channels"),
        ({"encoder": {"control_channels": (1, 3)}}, SetpointError, r"must be different ones of the 3 channels"),
        ({"decoder": {"windows": 3, "full_scale_v": 2.0}}, SetpointError, r"3 windows do not divide the 8 samples"),
        ({"encoder": {"rest": 300_000}}, AbilityError, r"a shot has 300008 samples, the memory of dac holds 262144"),
    ],
)
def test_a_wiring_that_does_not_fit_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wired(exact(), **changes)


def test_values_outside_their_range_are_refused() -> None:
    system = wired(exact())
    with pytest.raises(SetpointError, match=r"circuit: inputs span -1\.5 to 0, allowed are -1 to 1"):
        system.measure(np.array([[0, 0, 0, -1.5]]), np.full(8, 0.5))
    with pytest.raises(SetpointError, match=r"circuit: controls span 0\.5 to 1\.25, allowed are 0 to 1"):
        system.measure(np.zeros((1, 4)), np.array([0.5] * 7 + [1.25]))
    assert system.n_shots == 0
