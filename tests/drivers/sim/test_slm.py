"""The simulated panel: its rhythm, its frozen errors and its triggers."""

from typing import Any, Unpack

import numpy as np
import pytest
import torch

from pnnlab.devices import Clock, State, Trigger
from pnnlab.errors import AbilityError, AcquisitionError
from pnnlab.testing import DeviceArguments, SpatialLightModulatorConformance
from pnnlab_drivers.sim.optical_table import OpticalTable, OpticalTableOptions
from pnnlab_drivers.sim.slm import SimSlm
from tests.benches import OpticalBench

ERRORS: dict[str, Any] = {
    "bend_rad": 0.3, "gain_spread": 0.05, "flatness_rad": 0.4, "crosstalk_px": 0.5, "dead_fraction": 0.1,
}  # fmt: skip


def table(clock: Clock, modes: tuple[int, int] = (8, 6)) -> OpticalTable:
    medium = {"kind": "transmission-matrix", "seed": 7, "input_modes": modes, "output_modes": (4, 4)}
    return OpticalTable("table", OpticalTableOptions.model_validate({"medium": medium}), clock=clock)


class TestSimSlm(SpatialLightModulatorConformance[SimSlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimSlm:
        options = SimSlm.Options.model_validate({"shape": (8, 6)})
        return SimSlm("slm", options, plant=table(arguments["clock"]), **arguments)


class TestSimSlmAsDisplay(SpatialLightModulatorConformance[SimSlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimSlm:
        options = SimSlm.Options.model_validate({"shape": (8, 6), "levels": 1024, "sequence_memory": 0, **ERRORS})
        return SimSlm("slm", options, plant=table(arguments["clock"]), **arguments)


class TestSimSlmWithoutLevels(SpatialLightModulatorConformance[SimSlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimSlm:
        options = SimSlm.Options.model_validate({"shape": (8, 6), "quantised": False})
        return SimSlm("slm", options, plant=table(arguments["clock"]), **arguments)


# Time


def test_a_display_takes_a_pattern_a_frame() -> None:
    bench = OpticalBench(slm={"sequence_memory": 0, "frame_rate_hz": 50.0})
    for k in range(4):
        bench.panel.write(np.full((8, 8), k))
        assert bench.clock.now_s() == pytest.approx(k * 20e-3)
    with pytest.raises(AbilityError, match="the device has none"):
        bench.panel.arm_sequence(np.zeros((1, 8, 8)), trigger=Trigger.INTERNAL, period_s=1.0)


def test_a_sequence_waits_for_the_pattern_before_it() -> None:
    bench = OpticalBench(slm={"frame_rate_hz": 50.0})
    bench.panel.arm_sequence(np.zeros((3, 8, 8)), trigger=Trigger.INTERNAL, period_s=30e-3)
    bench.panel.start()
    with pytest.raises(AcquisitionError, match="the sequence still plays"):
        bench.panel.wait(10e-3)
    bench.panel.disarm()
    bench.panel.write(np.ones((8, 8)))
    assert bench.clock.now_s() == pytest.approx(2 * 30e-3 + 20e-3)


def test_patterns_that_nobody_triggers_are_told() -> None:
    bench = OpticalBench()
    bench.panel.arm_sequence(np.zeros((3, 8, 8)), trigger=Trigger.SOFTWARE, period_s=0.0)
    bench.panel.start()
    bench.panel.trigger()
    with pytest.raises(AcquisitionError, match="2 patterns were not triggered"):
        bench.panel.wait(1.0)
    bench.panel.trigger()
    bench.panel.trigger()
    bench.panel.wait(1.0)
    with pytest.raises(AcquisitionError, match="all 3 patterns were shown"):
        bench.panel.trigger()
    assert bench.panel.state is State.ARMED


def test_the_data_sheet_s_settling_time_leaves_a_quarter_of_a_percent() -> None:
    panel = OpticalBench(slm={"settling_s": 5e-3}).panel
    assert np.exp(-panel.settle_s / 5e-3) == pytest.approx(0.0025, rel=0.02)


# Frozen errors


def light(bench: OpticalBench) -> torch.Tensor:
    levels = torch.as_tensor(np.random.default_rng(0).uniform(0, 255, (3, 8, 8)))
    return bench.plant.settled(levels, 1.0, (8, 8)) / 1e6


def test_without_mismatch_the_panel_is_the_ideal_one() -> None:
    assert torch.equal(light(OpticalBench(slm={"mismatch": 0.0, **ERRORS})), light(OpticalBench()))


@pytest.mark.parametrize("error", list(ERRORS))
def test_each_error_shows(error: str) -> None:
    ideal, bent = light(OpticalBench()), light(OpticalBench(slm={error: ERRORS[error]}))
    assert 0.01 < float((bent - ideal).abs().max()) < 10


def specimen(**errors: float) -> torch.Tensor:
    """Return the phase of a panel of 128 x 128 pixels at levels 0 and half of full scale, shape `(2, 128, 128)`."""
    bench = OpticalBench(
        table={
            "precision": "float64",
            "medium": {"kind": "transmission-matrix", "input_modes": (128, 128), "output_modes": (2, 2)},
        },
        slm={"shape": (128, 128), **errors},
        camera={"sensor": (8, 8)},
        system={"encoder": {"macropixels": (8, 8)}},
    )
    half = torch.tensor([0.0, 0.5], dtype=torch.float64)[:, None, None].expand(2, 128, 128)
    return bench.panel._specimen().phase(half)


def test_frozen_errors_have_their_size() -> None:
    flat = specimen(flatness_rad=0.4)[0]
    # scaled to its root mean square on this panel, about its mean
    assert float(flat.std()) == pytest.approx(0.4, rel=1e-6)
    # waves pass as exp(-(f / 0.1)^2 / 2): noise with the power spectrum exp(-(f / 0.1)^2) has the correlation
    # exp(-(0.1 pi d)^2) at d pixels, so neighbours differ by sqrt(2 (1 - 0.906)) = 0.43 standard deviations
    assert float((flat[1:] - flat[:-1]).std() / flat.std()) == pytest.approx(0.43, rel=0.05)
    stroke = specimen(gain_spread=0.05)[1] / np.pi
    # 16 384 pixels, five standard errors
    assert float(stroke.std()) == pytest.approx(0.05, rel=5 / np.sqrt(2 * 128**2))
    dead = (specimen(dead_fraction=0.1)[1] == 0).double()
    assert float(dead.mean()) == pytest.approx(0.1, abs=5 * np.sqrt(0.09) / 128)


def test_panels_of_one_table_have_errors_of_their_own() -> None:
    bench = OpticalBench(slm=ERRORS)
    other = SimSlm("slm-2", bench.panel.options, clock=bench.clock, plant=bench.plant).open()
    half = torch.full((1, 8, 8), 0.5)
    assert torch.equal(bench.panel._specimen().phase(half), bench.panel._specimen().phase(half))
    assert float((other._specimen().phase(half) - bench.panel._specimen().phase(half)).abs().max()) > 0.1
