"""The simulated crossbar: exactness, limits, what is expected, resuming."""

import io
import math
from typing import Any, Unpack

import numpy as np
import pytest
import torch

from pnnlab.errors import DeviceError, SetpointError
from pnnlab.systems import CrossbarSystem, Facilities
from pnnlab.testing import CrossbarArrayConformance, DeviceArguments
from pnnlab_drivers.sim.crossbar import SimCrossbar
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip, CrossbarChipOptions
from tests.drivers.sim.crossbars import (
    CONVERTERS,
    FALCONE,
    HERMES,
    SILENT,
    US,
    Array,
    chip_of,
    crossbar,
    targets,
    voltages,
)


class TestSimCrossbar(CrossbarArrayConformance[SimCrossbar]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimCrossbar:
        plant = CrossbarChip("chip", CrossbarChipOptions(shape=(5, 4)), clock=arguments["clock"])
        return SimCrossbar("array", plant=plant, **arguments)


class TestSimCrossbarWithErrors(CrossbarArrayConformance[SimCrossbar]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimCrossbar:
        cells = CrossbarChipOptions(
            shape=(5, 4), cells=FALCONE, levels=32, row_wire_ohm=1.0, column_wire_ohm=1.0, stuck_low=0.1
        )
        plant = CrossbarChip("chip", cells, clock=arguments["clock"])
        options = SimCrossbar.Options.model_validate({**CONVERTERS, "noise_rms_a": 1e-7})
        return SimCrossbar("array", options, plant=plant, **arguments)


# Without imperfections


def test_without_imperfections_currents_are_the_product() -> None:
    device = crossbar({"cells": HERMES, "mismatch": 0.0, "stuck_low": 0.5, **SILENT},
                      mismatch=0.0, noise=0.0, noise_rms_a=1.0, **CONVERTERS)  # fmt: skip
    siemens, volts = targets(device), voltages(device)
    setpoint = device.program(siemens)
    applied, amps = device.multiply(volts)
    np.testing.assert_allclose(setpoint.realised, siemens, rtol=1e-6)
    np.testing.assert_array_equal(applied.realised, volts)
    np.testing.assert_allclose(amps, volts @ setpoint.realised, rtol=1e-12)
    np.testing.assert_array_equal(device.read_conductance(), setpoint.realised)


def test_codes_are_symmetric_and_within_half_a_step() -> None:
    device = crossbar(quantised=True, row_bits=6, column_bits=8, full_scale_a=100e-6)
    device.program(targets(device))
    ends = np.array([[-0.2, 0.2, 0, 0.1, 0.05, -0.01, 0.123, -0.2]])
    setpoint, amps = device.multiply(ends)
    np.testing.assert_allclose(setpoint.realised[0, :3], [-0.2, 0.2, 0], atol=1e-15)
    assert np.abs(setpoint.realised - ends).max() <= 0.5 * 0.2 / 31
    lsb_a = 100e-6 / 127
    np.testing.assert_allclose(amps / lsb_a, np.rint(amps / lsb_a), atol=1e-9)
    exact = setpoint.realised @ targets(device)
    assert np.abs(amps - exact).max() <= 0.5 * lsb_a * (1 + 1e-9)


def test_currents_saturate_at_full_scale() -> None:
    for quantised in (False, True):
        device = crossbar(quantised=quantised, full_scale_a=20e-6)
        device.program(np.full((8, 6), 100e-6))
        volts = np.array([[0.2] * 8, [-0.2] * 8])
        _, amps = device.multiply(volts)
        np.testing.assert_allclose(amps, [[20e-6] * 6, [-20e-6] * 6], rtol=1e-12)
        np.testing.assert_allclose(device.expected(torch.as_tensor(volts), torch.full((8, 6), 1e-4)), amps)


def test_fresh_cells_are_at_the_low_end() -> None:
    device = crossbar({"cells": FALCONE, **SILENT})
    np.testing.assert_allclose(device.read_conductance(), 9 * US)


def test_levels_are_the_nearest() -> None:
    device = crossbar({"levels": 5})
    siemens = targets(device)
    realised = device.program(siemens).realised
    np.testing.assert_allclose(realised / 25e-6, np.rint(siemens / 25e-6), rtol=1e-12)
    np.testing.assert_allclose(device.read_conductance(), realised, rtol=1e-12)


def test_conductances_outside_the_window_and_voltages_that_could_switch_are_refused() -> None:
    device = crossbar({"cells": FALCONE})
    for siemens in (8.9 * US, 88.3 * US, math.nan):
        with pytest.raises(SetpointError, match="nothing was sent"):
            device.program(np.full((8, 6), siemens))
    with pytest.raises(SetpointError, match=r"allowed is -0\.2 to 0\.2 V"):
        device.multiply(np.full((1, 8), 0.21))
    # the window's ends in single precision lie outside of it by rounding
    for end in (9 * US, 88.2 * US):
        device.program(np.full((8, 6), end, np.float32))
    device.multiply(np.full((1, 8), 0.2, np.float32))


def test_work_takes_its_time() -> None:
    device = crossbar(program_time_s=2e-3, vector_time_s=1e-3)
    device.program(targets(device))
    assert device.clock.now_s() == pytest.approx(48 * 2e-3)
    device.multiply(voltages(device, 7))
    assert device.clock.now_s() == pytest.approx(48 * 2e-3 + 7e-3)


# What is expected


def imperfect(noise_rms_a: float = 1e-8, **chip: Any) -> SimCrossbar:
    cells = {"cells": HERMES, "stuck_low": 0.05, "stuck_high": 0.05, "row_wire_ohm": 2.0, "column_wire_ohm": 2.0}
    converters = {**CONVERTERS, "column_offset_a": 1e-7}
    return crossbar({**cells, **chip}, noise_rms_a=noise_rms_a, full_scale_a=20e-6, **converters)


def test_expected_is_the_mean_of_many_readings() -> None:
    device = imperfect()
    realised = device.program(targets(device)).realised
    device.clock.sleep_until(300.0)
    volts, n = voltages(device, 1), 4000
    _, amps = device.multiply(np.repeat(volts, n, 0))
    expected = device.expected(torch.as_tensor(volts), torch.as_tensor(realised))[0].numpy()
    error = amps.std(0) / math.sqrt(n)
    # six numbers, four standard errors; within 4 ms at an age of 300 s nothing drifts
    assert (np.abs(amps.mean(0) - expected) < 4 * error).all()
    # every error counts: the plain product is off by far more
    assert (np.abs(volts[0] @ realised - expected) > 20 * error).any()


def test_expected_without_noise_is_the_reading() -> None:
    device = imperfect(noise_rms_a=0.0, read_noise=0.0)
    realised = device.program(targets(device)).realised
    volts = voltages(device)
    _, amps = device.multiply(volts)
    expected = device.expected(torch.as_tensor(volts), torch.as_tensor(realised)).numpy()
    # the vectors are read within 5 us after programming; exponents of 0.1 over 200 s make 2e-9 of that
    np.testing.assert_allclose(amps, expected, rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("ohm", [0.0, 50.0])
def test_the_gradient_of_expected_is_exact(ohm: float) -> None:
    device = imperfect(shape=(4, 3), row_wire_ohm=ohm, column_wire_ohm=ohm, stuck_low=0.2)
    device.program(targets(device))

    # in units of microsiemens and microamps, so that finite differences see the same numbers as the gradient
    def microamps(volts: torch.Tensor, microsiemens: torch.Tensor) -> torch.Tensor:
        return device.expected(volts, microsiemens * US) / US

    volts = torch.as_tensor(voltages(device, 3)).requires_grad_()
    microsiemens = torch.as_tensor(targets(device, seed=5) / US).requires_grad_()
    assert torch.autograd.gradcheck(microamps, (volts, microsiemens), atol=1e-6)


# Specimens and resuming


def test_a_seed_is_a_specimen_and_its_noise() -> None:
    def reading(device: SimCrossbar) -> tuple[Array, Array]:
        realised = device.program(targets(device)).realised
        return device.multiply(voltages(device))[1], device.expected(
            torch.as_tensor(voltages(device)), torch.as_tensor(realised)
        ).numpy()

    chip = {"cells": HERMES, "stuck_low": 0.1}
    once, again, other = (reading(crossbar(chip, seed=seed, noise_rms_a=1e-8, **CONVERTERS)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once[0], again[0])
    assert np.abs(once[0] - other[0]).max() > 1e-8
    assert np.abs(once[1] - other[1]).max() > 1e-8


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_saved_plant_goes_on_bit_for_bit(precision: str) -> None:
    chip = {
        "cells": HERMES, "stuck_low": 0.1, "row_wire_ohm": 2.0, "column_wire_ohm": 2.0, "precision": precision,
    }  # fmt: skip

    def make() -> SimCrossbar:
        return crossbar(chip, noise_rms_a=1e-8, vector_time_s=0.1, **CONVERTERS)

    device = make()
    device.program(targets(device))
    device.multiply(voltages(device))
    file = io.BytesIO()
    torch.save({"plant": chip_of(device).state(), "now_s": device.clock.now_s()}, file)
    due = [device.multiply(voltages(device))[1], device.read_conductance()]
    device.program(targets(device, seed=4))
    due.append(device.multiply(voltages(device))[1])

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = make()
    chip_of(resumed).restore(saved["plant"])
    resumed.clock.sleep_until(saved["now_s"])
    found = [resumed.multiply(voltages(resumed))[1], resumed.read_conductance()]
    resumed.program(targets(resumed, seed=4))
    found.append(resumed.multiply(voltages(resumed))[1])
    for one, other in zip(found, due, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_of_another_chip_is_refused() -> None:
    states = [chip_of(crossbar({"shape": shape})).state() for shape in ((3, 3), (8, 6))]
    plant = chip_of(crossbar())
    plant.restore(states[1])
    with pytest.raises(DeviceError, match="3 x 3 cells, this chip has 8 x 6"):
        plant.restore(states[0])


def test_a_system_measures_what_it_expects() -> None:
    device = crossbar({"cells": FALCONE, "precision": "float32"}, quantised=True, full_scale_a=100e-6, column_bits=14)
    config = CrossbarSystem.Config.model_validate({
        "array": "array", "read_voltage_v": 0.2, "full_scale_a": 50e-6, "low_siemens": 9e-6, "high_siemens": 88.2e-6,
    })  # fmt: skip
    system = CrossbarSystem("layer", config, {"array": device}, Facilities(device.clock))
    rng = np.random.default_rng(0)
    shot = system.measure(rng.uniform(-1, 1, (20, 8)), rng.uniform(0, 1, 24))
    expected = system.expected(*(torch.as_tensor(part) for part in shot.drive)).numpy()
    # sixteen cells, each read at some microseconds with 0.06 uS of noise at the most, at 0.2 V or less: five standard
    # deviations are 5e-3 of full scale; 14 bits add nothing
    assert np.abs(shot.y - expected).max() < 5e-3
    assert shot.y.std() > 0.1
