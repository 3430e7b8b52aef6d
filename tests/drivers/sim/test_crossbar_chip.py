"""The simulated cells against their published statistics."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pnnlab.physics import PowerLawDrift, Wires, effective_conductance, memristor_preset
from tests.drivers.sim.crossbars import (
    CONVERTERS,
    FALCONE,
    HERMES,
    SILENT,
    US,
    crossbar,
    targets,
    voltages,
)


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
