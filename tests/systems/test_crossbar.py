"""Weights on differential pairs of conductances."""

import numpy as np
import pytest
import torch

from pnnlab.errors import SetpointError
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.systems import CrossbarSystem, Facilities
from pnnlab.twins import CrossbarTwinConfig, FitConfig, PlantTwinConfig, ShotSet, fit, make_twin
from pnnlab_drivers.sim.crossbar import SimCrossbar
from tests.drivers.sim.crossbars import CONVERTERS, crossbar
from tests.gradients import measured_and_exact

LOW, HIGH = 10e-6, 80e-6


def wired(device: SimCrossbar, **changes: object) -> CrossbarSystem:
    config = CrossbarSystem.Config.model_validate({
        "array": "array", "precision": "float64", "read_voltage_v": 0.2, "full_scale_a": 5e-5, "low_siemens": LOW,
        "high_siemens": HIGH, **changes,
    })  # fmt: skip
    return CrossbarSystem("layer", config, {"array": device}, Facilities(device.clock))


def batch(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (n, 8)), rng.random(24)


def test_ideal_cells_multiply_by_the_weights() -> None:
    """y = x W (high - low) read / full scale, W = 2 θ - 1: Ohm and Kirchhoff on paper."""
    system = wired(crossbar())
    x, theta = batch()
    weights = (2 * theta - 1).reshape(8, 3)
    y = system.measure(x, theta).y
    np.testing.assert_allclose(y, x @ weights * (HIGH - LOW) * 0.2 / 5e-5, rtol=1e-9)


def test_each_half_of_a_weight_has_its_column() -> None:
    system = wired(crossbar())
    theta = np.full((8, 3), 0.5)
    theta[0] = [1.0, 0.0, 0.75]
    _, cells = system.encode(np.zeros((1, 8)), theta.ravel())
    high_half = LOW / HIGH + 0.5 * (1 - LOW / HIGH)
    np.testing.assert_allclose(cells[0], [1, LOW / HIGH, LOW / HIGH, 1, high_half, LOW / HIGH])
    np.testing.assert_allclose(cells[1:], LOW / HIGH)


def test_cells_are_programmed_only_when_controls_change() -> None:
    device = crossbar(program_time_s=1e-3, vector_time_s=0.0)
    system = wired(device)
    x, theta = batch()
    times = []
    for controls in (theta, theta, 1 - theta):
        begin_s = device.clock.now_s()
        system.measure(x, controls)
        times.append(device.clock.now_s() - begin_s)
    assert times == pytest.approx([48e-3, 0.0, 48e-3])


def test_all_shots_of_a_batch_share_their_controls() -> None:
    system = wired(crossbar())
    with pytest.raises(SetpointError, match=r"controls have shape \(2, 24\), expected \(24,\)"):
        system.measure(np.zeros((2, 8)), np.zeros((2, 24)))


def test_gradients_of_a_perfect_twin_equal_autograd_through_the_plant() -> None:
    """1e-6 relative, with wires and converter errors: the measured and the exact gradient differ by rounding only."""
    torch.manual_seed(0)
    system = wired(crossbar({"row_wire_ohm": 5.0, "column_wire_ohm": 5.0}, **CONVERTERS))
    twin = make_twin(PlantTwinConfig(), interface_of(system), dtype=torch.float64)
    layer = PhysicalLayer(system, twin)
    x, weight = torch.rand(3, 8, dtype=torch.float64) * 2 - 1, torch.randn(3, 3, dtype=torch.float64)
    for what, ours, truth in measured_and_exact(layer, x, weight):
        assert (ours - truth).norm() / truth.norm() < 1e-6, what


def test_fitting_finds_what_the_cells_make_of_their_targets() -> None:
    device = crossbar({"cells": "rram-falcone-2025-2pct", "drift": 0.0, "read_noise": 0.0, "stuck_low": 0.1})
    system = wired(device)
    layer = PhysicalLayer(system)
    rng, sets = np.random.default_rng(1), []
    with torch.no_grad():
        for _ in range(8):
            layer.raw_controls.copy_(torch.from_numpy(rng.normal(size=24)))
            shots = system.measure(rng.uniform(-1, 1, (64, 8)), layer.controls.numpy())
            cells = torch.from_numpy(shots.drive[1]).expand(64, 8, 6)
            sets.append(ShotSet((torch.from_numpy(shots.drive[0]), cells), torch.from_numpy(shots.y)))
    twin = make_twin(CrossbarTwinConfig(), interface_of(system), dtype=torch.float64)
    report = fit(twin, ShotSet.join(sets), FitConfig(epochs=60, learning_rate=2e-2))
    assert report.history[0] > 3 * min(report.history)
    # what is left is the spread of writing, which is another one each time a cell is programmed
    assert report.r2_total > 0.97


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low_siemens": HIGH}, r"`low` 8e-05 S must lie below `high`"),
    ],
)
def test_a_wiring_that_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SetpointError, match=message):
        wired(crossbar(), **changes)
    with pytest.raises(SetpointError, match=r"array has 5 columns, differential pairs need an even number"):
        wired(crossbar({"shape": (8, 5)}))
