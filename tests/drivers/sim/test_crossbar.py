"""The simulated crossbar against the published statistics of its cells."""

import io
import math
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from pnnlab.devices import SimulatedClock
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.physics import PowerLawDrift, Wires, effective_conductance, memristor_preset
from pnnlab.systems import CrossbarSystem
from pnnlab.testing import CrossbarArrayConformance, DeviceArguments
from pnnlab_drivers.sim.crossbar import SimCrossbar
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip, CrossbarChipOptions

Array = npt.NDArray[np.floating]

US = 1e-6
HERMES = "pcm-hermes-2023-one-device"
FALCONE = "rram-falcone-2025-2pct"
SILENT = {"programming_noise": 0.0, "drift": 0.0, "read_noise": 0.0}
CONVERTERS: dict[str, Any] = {
    "row_gain_error": 0.02, "column_offset_a": 1e-6, "column_gain_error": 0.02, "column_inl_lsb": 1.0,
}  # fmt: skip


def crossbar(chip: dict[str, Any] | None = None, *, seed: int = 1, **options: Any) -> SimCrossbar:
    """Return an open crossbar, by default of 8 x 6 ideal cells with exact converters, in double precision."""
    clock = SimulatedClock()
    chosen = CrossbarChipOptions.model_validate({"shape": (8, 6), "precision": "float64", **(chip or {})})
    plant = CrossbarChip("chip", chosen, clock=clock, seed=seed)
    device_options = SimCrossbar.Options.model_validate({"quantised": False, **options})
    return SimCrossbar("array", device_options, clock=clock, plant=plant).open()


def chip_of(device: SimCrossbar) -> CrossbarChip:
    assert isinstance(device.plant, CrossbarChip)
    return device.plant


def targets(device: SimCrossbar, seed: int = 0) -> Array:
    low, high = device.limits("conductance").low, device.limits("conductance").high
    return np.random.default_rng(seed).uniform(low, high, device.shape)


def voltages(device: SimCrossbar, n: int = 5, seed: int = 1) -> Array:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, (n, device.shape[0]))


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


# Each imperfection


@pytest.mark.parametrize(
    ("chip", "options"),
    [
        *(({}, {key: value}) for key, value in CONVERTERS.items()),
        ({}, {"noise_rms_a": 1e-7}),
        ({}, {"quantised": True}),
        ({"stuck_low": 0.1}, {}),
        ({"stuck_high": 0.1}, {}),
        ({"levels": 16}, {}),
        ({"row_wire_ohm": 5.0, "column_wire_ohm": 5.0}, {}),
    ],
)
def test_each_imperfection_shows(chip: dict[str, Any], options: dict[str, Any]) -> None:
    clean, device = crossbar(), crossbar(chip, **options)
    found = []
    for each in (clean, device):
        each.program(targets(clean))
        found.append(each.multiply(voltages(clean))[1])
    # currents are of some tens of microamps
    assert 1e-8 < np.abs(found[1] - found[0]).max() < 1e-4


def test_writes_have_the_published_spread() -> None:
    device = crossbar({"cells": HERMES, "shape": (100, 40), **SILENT, "programming_noise": 1.0})
    model = memristor_preset(HERMES)
    assert model.programming_std is not None
    for target in (4 * US, 8 * US):
        device.program(np.full(device.shape, target))
        missed = device.read_conductance() - target
        std = float(model.programming_std(torch.tensor(target)))
        # 4 000 independent cells, five standard errors
        assert missed.std() == pytest.approx(std, rel=5 / math.sqrt(2 * missed.size))
        assert abs(missed.mean()) < 5 * std / math.sqrt(missed.size)


def test_every_write_misses_anew() -> None:
    device = crossbar({"cells": HERMES, **SILENT, "programming_noise": 1.0})
    siemens = np.full((8, 6), 5 * US)
    device.program(siemens)
    first = device.read_conductance()
    np.testing.assert_array_equal(device.read_conductance(), first)
    device.program(siemens)
    assert np.abs(device.read_conductance() - first).min() > 0


def test_reads_of_a_column_have_the_noise_of_its_cells() -> None:
    device = crossbar({"cells": "rram-wan-2022-1-s", **SILENT, "read_noise": 1.0})
    device.program(targets(device))
    volts, n = voltages(device, 1), 4000
    _, amps = device.multiply(np.repeat(volts, n, 0))
    # 1 % of 40 uS for each cell, independently
    due = 0.4 * US * math.sqrt((volts**2).sum())
    np.testing.assert_allclose(amps.std(0), due, rtol=5 / math.sqrt(2 * n))
    np.testing.assert_allclose(amps.mean(0), volts[0] @ targets(device), atol=5 * due / math.sqrt(n))


def test_cells_read_back_have_their_own_noise() -> None:
    device = crossbar({"cells": "rram-wan-2022-1-s", "shape": (50, 80), **SILENT, "read_noise": 1.0})
    siemens = targets(device)
    device.program(siemens)
    noise = device.read_conductance() - siemens
    assert noise.std() == pytest.approx(0.4 * US, rel=5 / math.sqrt(2 * noise.size))


def test_noise_of_a_column_converter_has_its_size() -> None:
    device = crossbar(noise_rms_a=2e-7, noise=0.5)
    n = 1000
    _, amps = device.multiply(np.zeros((n, 8)))
    assert amps.std() == pytest.approx(1e-7, rel=5 / math.sqrt(2 * amps.size))


def test_drift_follows_the_clock() -> None:
    device = crossbar({"cells": HERMES, "shape": (40, 100), **SILENT, "drift": 1.0})
    target = 5 * US
    device.program(np.full(device.shape, target))
    begin_s = device.clock.now_s()
    logs = []
    for age_s in (600.0, 86400.0):
        device.clock.sleep_until(begin_s + age_s - 4000e-6)  # reading 4 000 cells back takes that long
        logs.append(np.log(device.read_conductance() / target) / -np.log((age_s + 200) / 200))
    # t0 is 200 s: the same exponent whatever the age
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-9)
    model = memristor_preset(HERMES).drift
    assert isinstance(model, PowerLawDrift)
    mean, std = (float(law(torch.tensor(target))) for law in (model.nu_mean, model.nu_std))
    # 4 000 exponents, five standard errors; a folded sign would need six standard deviations
    assert logs[0].mean() == pytest.approx(mean, abs=5 * std / math.sqrt(4000))
    assert logs[0].std() == pytest.approx(std, rel=5 / math.sqrt(2 * 4000))


@pytest.mark.parametrize("ohm", [0.0, 1.0])
def test_cells_drift_from_vector_to_vector(ohm: float) -> None:
    chip = {"cells": HERMES, "shape": (4, 3), "row_wire_ohm": ohm, "column_wire_ohm": ohm, **SILENT, "drift": 1.0}
    slow, quick = (crossbar(chip, vector_time_s=time_s) for time_s in (10.0, 0.0))
    siemens = targets(slow)
    volts = np.repeat(voltages(slow, 1), 40, 0)
    slow.program(siemens)
    quick.program(siemens)
    begin_s = quick.clock.now_s()
    _, amps = slow.multiply(volts)
    due = []
    for k in range(40):
        quick.clock.sleep_until(begin_s + 10.0 * (k + 1))
        due.append(quick.multiply(volts[:1])[1][0])
    assert np.ptp(due, axis=0).max() > 1e-2 * np.abs(due).max()
    # parts of a batch share a conductance that is within 1e-4 of the largest; so do solutions of the wires
    np.testing.assert_allclose(amps, due, rtol=0, atol=2e-4 * 10.35e-6 * np.abs(volts[0]).sum())


def test_stuck_cells_stay_stuck() -> None:
    device = crossbar({"shape": (60, 60), "cells": FALCONE, "stuck_low": 0.1, "stuck_high": 0.05, **SILENT})
    device.program(np.full(device.shape, 50 * US))
    first = device.read_conductance()
    low, high = np.isclose(first, 9 * US), np.isclose(first, 88.2 * US)
    # binomial: a standard error of sqrt(p (1 - p) / 3 600) = 0.5 % and 0.36 %; five of them
    assert low.mean() == pytest.approx(0.10, abs=0.025)
    assert high.mean() == pytest.approx(0.05, abs=0.018)
    np.testing.assert_allclose(first[~low & ~high], 50 * US)
    device.program(np.full(device.shape, 20 * US))
    again = device.read_conductance()
    np.testing.assert_array_equal(again[low | high], first[low | high])
    np.testing.assert_allclose(again[~low & ~high], 20 * US)


def test_wires_act_as_the_resistive_network() -> None:
    device = crossbar({"row_wire_ohm": 20.0, "column_wire_ohm": 10.0})
    siemens, volts = targets(device), voltages(device)
    realised = device.program(siemens).realised
    _, amps = device.multiply(volts)
    matrix = effective_conductance(torch.as_tensor(realised), Wires(20.0, 10.0)).numpy()
    np.testing.assert_allclose(amps, volts @ matrix, rtol=1e-12)


def test_noise_behind_wires_is_attenuated_as_the_current() -> None:
    chip = {"cells": "rram-wan-2022-1-s", "shape": (16, 4), **SILENT, "read_noise": 1.0}
    wired = crossbar({**chip, "row_wire_ohm": 100.0, "column_wire_ohm": 100.0})
    siemens = np.full((16, 4), 30 * US)
    wired.program(siemens)
    volts, n = np.full((1, 16), 0.1), 4000
    _, amps = wired.multiply(np.repeat(volts, n, 0))
    matrix = effective_conductance(torch.as_tensor(siemens), Wires(100.0, 100.0)).numpy()
    due = 0.4 * US * 0.1 * np.sqrt(((matrix / siemens) ** 2).sum(0))
    assert (due < 0.95 * 0.4 * US * 0.1 * 4).all()
    np.testing.assert_allclose(amps.std(0), due, rtol=5 / math.sqrt(2 * n))


@pytest.mark.parametrize("chip", [{"cells": "no-such-cell"}, {"row_wire_ohm": 1.0}, {"levels": 1}, {"stuck_low": 1.5}])
def test_wrong_options_are_refused(chip: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        crossbar(chip)


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
    system = CrossbarSystem("layer", config, {"array": device}, clock=device.clock)
    rng = np.random.default_rng(0)
    shot = system.measure(rng.uniform(-1, 1, (20, 8)), rng.uniform(0, 1, 24))
    expected = system.expected(*(torch.as_tensor(part) for part in shot.drive)).numpy()
    # sixteen cells, each read at some microseconds with 0.06 uS of noise at the most, at 0.2 V or less: five standard
    # deviations are 5e-3 of full scale; 14 bits add nothing
    assert np.abs(shot.y - expected).max() < 5e-3
    assert shot.y.std() > 0.1
