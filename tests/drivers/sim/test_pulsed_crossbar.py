"""Cells moved by pulses, and arrays read from the other side."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from pnnlab.devices import Limits, SimulatedClock
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.physics import PULSE_PRESETS, fixed_pulses
from pnnlab_drivers.sim._pulsed_cells import PulsesOptions
from pnnlab_drivers.sim.crossbar import SimCrossbar
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip, CrossbarChipOptions
from tests.drivers.sim.crossbars import CONVERTERS, HERMES, SILENT, US, chip_of, crossbar, targets

PLAIN = {"response": "idealized-rasch-2019", "step": 0.01, "step_spread": 0.0, "low_spread": 0.0, "high_spread": 0.0,
         "cycle_std": 0.0}  # fmt: skip
"""Every pulse moves a cell by 0.01 of half the window of 100 uS, whatever it holds."""
STEP = 0.5 * US


def pulsed(changes: dict[str, Any] | None = None, chip: dict[str, Any] | None = None, **options: Any) -> SimCrossbar:
    return crossbar({"pulses": {**PLAIN, **(changes or {})}, **(chip or {})}, **options)


def limited(**limits: Limits) -> SimCrossbar:
    clock = SimulatedClock()
    chosen = CrossbarChipOptions.model_validate({"shape": (8, 6), "precision": "float64", "pulses": PLAIN})
    plant = CrossbarChip("chip", chosen, clock=clock, seed=1)
    return SimCrossbar("array", SimCrossbar.Options(), clock=clock, plant=plant, limits=limits).open()


@pytest.mark.parametrize("wires", [0.0, 20.0])
def test_the_transposed_read_is_the_transpose_of_the_forward_read(wires: float) -> None:
    """Exact for a network of resistors, wires included: they attenuate by some per cent here."""
    device = crossbar({"row_wire_ohm": wires, "column_wire_ohm": wires})
    device.program(targets(device))
    rows, columns = 0.2 * np.eye(8), 0.2 * np.eye(6)
    forward, backward = device.multiply(rows)[1] / 0.2, device.multiply_transposed(columns)[1] / 0.2
    np.testing.assert_allclose(backward, forward.T, rtol=1e-12)
    assert (abs(forward - targets(device)).max() > 0.1 * US) == bool(wires)


def test_converters_of_either_side_are_specimens_of_their_own() -> None:
    device = crossbar(**CONVERTERS)
    device.program(targets(device))
    forward, backward = device.multiply(0.2 * np.eye(8))[1] / 0.2, device.multiply_transposed(0.2 * np.eye(6))[1] / 0.2
    error = np.linalg.norm(backward - forward.T) / np.linalg.norm(forward)
    # offsets of 1 uA on currents of some 10 uA, and two gains of 2 % a side
    assert 0.03 < error < 0.5


def test_noise_of_either_direction_is_that_of_the_cells() -> None:
    device = crossbar({"cells": HERMES, "drift": 0.0, "programming_noise": 0.0})
    low, high = (device.limits("conductance").low, device.limits("conductance").high)
    device.program(np.full((8, 6), (low + high) / 2))
    n = 4000
    stds = [read(np.full((n, k), 0.2))[1].std(0).mean() / math.sqrt(k) for read, k in
            ((device.multiply, 8), (device.multiply_transposed, 6))]  # fmt: skip
    assert stds[0] == pytest.approx(stds[1], rel=0.05)  # each known to 1/sqrt(2 n) = 1 %


def test_a_pulse_of_both_lines_is_a_step_and_of_one_line_is_none() -> None:
    device = pulsed()
    device.program(np.full((8, 6), 50 * US))
    rows, columns = np.zeros((3, 8), np.int8), np.zeros((3, 6), np.int8)
    rows[:, 2], columns[:, 4], columns[0, 1] = [1, 1, -1], [1, 0, -1], -1
    device.update(rows, columns)
    moved = device.read_conductance() - 50 * US
    expected = np.zeros((8, 6))
    expected[2, 4], expected[2, 1] = 2 * STEP, -STEP
    np.testing.assert_allclose(moved, expected, atol=1e-12)
    np.testing.assert_array_equal(device.pulses_had, np.rint(abs(expected) / STEP))


def test_the_mean_update_is_the_slots_times_the_step_times_the_squared_gain_times_the_product() -> None:
    """E[dw] = BL dw_min C^2 x d (Gokmen & Vlasov 2016), over 400 streams: within five standard errors."""
    x, d = torch.linspace(-1, 1, 8)[None].double(), torch.linspace(-0.8, 0.9, 6)[None].double()
    lr, slots, n, generator = 0.05, 10, 400, torch.Generator().manual_seed(0)
    device = pulsed({"step": 2e-4})
    device.program(np.full((8, 6), 50 * US))
    pulses = fixed_pulses(x.expand(n, -1), d.expand(n, -1), lr=lr, step=1e-2, generator=generator, n_slots=slots)
    device.update(pulses.rows.numpy(), pulses.columns.numpy())
    moved = (device.read_conductance() / US - 50) / 50
    chance = np.abs((lr / (slots * 1e-2)) * (x.T @ d).numpy())
    expected = -n * slots * 2e-4 * np.sign((x.T @ d).numpy()) * chance
    allowed = 5 * 2e-4 * np.sqrt(n * slots * chance * (1 - chance)) + 1e-12
    assert (np.abs(moved - expected) <= allowed).all()
    assert allowed.max() < 0.25 * np.abs(expected).max()


def test_pulses_of_a_cells_own_are_counted_and_take_their_time() -> None:
    device = pulsed(pulse_time_s=1e-3)
    device.program(np.full((8, 6), 50 * US))
    counts = np.arange(-24, 24).reshape(8, 6)
    begin_s = device.clock.now_s()
    device.step(counts)
    assert device.clock.now_s() - begin_s == pytest.approx(np.abs(counts).sum() * 1e-3)
    np.testing.assert_allclose(device.read_conductance(), 50 * US + counts * STEP, rtol=1e-9)
    np.testing.assert_array_equal(device.pulses_had, np.abs(counts))


@pytest.mark.parametrize("name", PULSE_PRESETS)
def test_alternating_pulses_end_between_the_bounds_of_every_published_device(name: str) -> None:
    device = crossbar({"pulses": {"response": name}})
    device.program(np.full((8, 6), 50 * US))
    alternating = np.ones((400, 6), np.int8)
    alternating[1::2] = -1
    device.update(np.ones((400, 8), np.int8), alternating)
    found, cells = device.read_conductance(), chip_of(device).pulsed
    assert cells is not None
    assert (found >= cells.low_siemens.numpy() - 1e-12).all() and (found <= cells.high_siemens.numpy() + 1e-12).all()
    assert (found >= 0).all() and found.std() > 0


def test_stuck_cells_do_not_move_and_drift_goes_on_after_a_pulse() -> None:
    device = pulsed({}, {"cells": HERMES, "stuck_high": 0.3, "programming_noise": 0.0, "read_noise": 0.0})
    chip, (low, high) = chip_of(device), chip_of(device).window_siemens
    device.program(np.full((8, 6), (low + high) / 2))
    device.clock.sleep_until(1000.0)
    before = device.read_conductance()
    device.step(np.full((8, 6), 3))
    moved = device.read_conductance() - before
    stuck = chip._cells.stuck.numpy() != 0
    assert stuck.any() and not stuck.all()
    np.testing.assert_allclose(moved[stuck], 0, atol=1e-15)
    np.testing.assert_allclose(moved[~stuck], 3 * 0.01 * (high - low) / 2, rtol=1e-4)
    device.clock.sleep_until(1e5)
    assert (device.read_conductance()[~stuck] < (before + moved)[~stuck]).all()


def test_what_pulses_did_is_part_of_the_state() -> None:
    def after(device: SimCrossbar) -> np.ndarray:
        device.step(np.full((8, 6), 5))
        return device.read_conductance()

    noisy = {"cycle_std": 0.5}
    device = pulsed(noisy)
    device.program(np.full((8, 6), 50 * US))
    device.step(np.full((8, 6), 5))
    kept = chip_of(device).state()
    wanted = after(device)
    other = pulsed(noisy)
    chip_of(other).restore(kept)
    np.testing.assert_array_equal(after(other), wanted)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"pulse": Limits(-0.5, 0.8)},
            r"pulse 1 V at index \(0,\) is not allowed .* -0\.5 to 0\.8 V; nothing was sent",
        ),
        ({"wear": Limits(0, 9)}, r"wear, in pulses of a cell, 10 at index \(0, 0\) is not allowed .* nothing was sent"),
        ({"line_current": Limits(0, 5e-4)}, r"line_current of 8 cells at their highest conductance, 0\.0008.* A"),
    ],
)
def test_pulses_that_could_harm_are_refused_before_the_first(limits: dict[str, Limits], message: str) -> None:
    device = limited(**limits)
    device.program(np.full((8, 6), 50 * US))
    rows, columns = np.ones((5, 8), np.int8), np.ones((5, 6), np.int8)
    if "wear" in limits:
        device.update(rows, columns)
    before = device.read_conductance()
    with pytest.raises(SetpointError, match=message):
        device.update(rows, columns)
    np.testing.assert_array_equal(device.read_conductance(), before)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (np.ones((5, 7), np.int8), np.ones((5, 6), np.int8), r"rows have shape \(5, 7\)"),
        (np.ones((5, 8), np.int8), np.ones((4, 6), np.int8), r"columns have shape \(4, 6\)"),
        (np.ones((5, 8)), np.ones((5, 6), np.int8), r"rows have shape \(5, 8\) and are float64"),
        (np.full((5, 8), 2), np.ones((5, 6), np.int8), r"rows span 2 to 2, allowed are -1, 0 and 1"),
    ],
)
def test_streams_that_are_none_are_refused(rows: np.ndarray, columns: np.ndarray, message: str) -> None:
    with pytest.raises(SetpointError, match=message):
        pulsed().update(rows, columns)
    with pytest.raises(SetpointError, match=r"counts of pulses have shape \(6, 8\)"):
        pulsed().step(np.ones((6, 8), int))


def test_cells_without_a_response_cannot_be_pulsed() -> None:
    device = crossbar()
    assert not device.updates_in_parallel
    with pytest.raises(AbilityError, match="cannot pulse all rows and columns at once"):
        device.update(np.ones((1, 8), np.int8), np.ones((1, 6), np.int8))
    with pytest.raises(AbilityError, match="cannot pulse its cells; program them"):
        device.step(np.ones((8, 6), int))


def test_writing_keeps_within_each_cells_own_bounds() -> None:
    device = pulsed({"low_spread": 0.3, "high_spread": 0.3}, SILENT)
    cells = chip_of(device).pulsed
    assert cells is not None
    device.program(np.full((8, 6), 100 * US))
    highest = cells.high_siemens.numpy()
    assert (highest < 99 * US).any()
    np.testing.assert_allclose(device.read_conductance(), np.minimum(highest, 100 * US))


def test_an_unknown_response_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no pulse response is named 'reram'; there are capacitor-li-2018"):
        PulsesOptions(response="reram")
