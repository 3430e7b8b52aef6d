"""The simulated light path against a brute-force integral over time."""

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pnnlab.devices import SimulatedClock, State, Trigger
from pnnlab.errors import DeviceError
from pnnlab.physics import TransmissionMatrix
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.optical_table import OpticalTable, OpticalTableOptions
from pnnlab_drivers.sim.slm import SimSlm
from tests.benches import OpticalBench

Array = npt.NDArray[np.floating]

SETTLING_S = 5e-3
EXACT: dict[str, Any] = {
    "table": {"precision": "float64"},
    "slm": {"quantised": False, "settling_s": SETTLING_S},
    "camera": {"quantised": False, "noise": 0.0, "bit_depth": 16, "readout_s": 1e-6},
}
"""Nothing but time: no errors, no noise, no rounding."""


def patterns(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(0, 255, (n, 8, 8))


class Light:
    """The mean light of exposures while a panel of independent pixels relaxes, added up moment by moment."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self._medium = TransmissionMatrix.random((8, 8), (8, 8), generator=generator, dtype=torch.complex128)
        self._changes: list[tuple[float, Array]] = [(-math.inf, np.zeros((8, 8)))]

    def show(self, levels: Array, start_s: float, period_s: float = 0.0) -> None:
        for k, pattern in enumerate(levels):
            self._changes.append((start_s + k * period_s, pattern / 256 * 2 * math.pi))

    def phase_at(self, time_s: float) -> Array:
        phase = self._changes[0][1]
        for (start_s, target), (end_s, _) in zip(
            self._changes[1:], [*self._changes[2:], (math.inf, phase)], strict=True
        ):
            if time_s > start_s:
                phase = target + (phase - target) * math.exp(-(min(time_s, end_s) - start_s) / SETTLING_S)
        return phase

    def mean(self, start_s: float, duration_s: float, n: int = 1000) -> Array:
        moments = start_s + duration_s * (np.arange(n) + 0.5) / n
        phase = torch.as_tensor(np.stack([self.phase_at(t) for t in moments]))
        field = self._medium(torch.polar(torch.ones_like(phase), phase))
        return np.asarray((field.real**2 + field.imag**2).mean(0))


def exposed(bench: OpticalBench, starts_s: list[float], duration_s: float) -> Array:
    """Return the mean light of exposures relative to the light on a pixel."""
    photons = bench.plant.expose(np.array(starts_s), duration_s, (8, 8))
    return np.asarray(photons / (bench.plant.options.photons_per_pixel_s * duration_s))


@pytest.mark.parametrize("duration_s", [0.2e-3, 2e-3, 15e-3])
def test_an_exposure_integrates_the_light_while_the_panel_settles(duration_s: float) -> None:
    bench, light = OpticalBench(**EXACT), Light()
    pattern = patterns(1)
    bench.clock.sleep_until(1.0)
    bench.panel.write(pattern[0])
    light.show(pattern, 1.0)
    # from the first moment to where the residue counts as small (3 rad exp(-t / tau) = 0.05 at 20 ms) and beyond
    starts_s = [1.0 + age_s for age_s in (0.0, 1e-3, 5e-3, 15e-3, 19e-3, 22e-3, 30e-3, 60e-3)]
    due = np.stack([light.mean(start_s, duration_s) for start_s in starts_s])
    # intensities are of the order of 1
    np.testing.assert_allclose(exposed(bench, starts_s, duration_s), due, rtol=0, atol=1e-3)
    assert np.abs(due[0] - due[-1]).max() > 0.3, "too early must look different"


def test_an_exposure_over_several_patterns_is_a_mixture() -> None:
    bench, light = OpticalBench(**EXACT), Light()
    period_s = bench.panel.frame_period_s
    first, second = patterns(3), patterns(4, seed=1)
    bench.clock.sleep_until(0.5)
    bench.panel.write(patterns(1, seed=2)[0])
    light.show(patterns(1, seed=2), 0.5)
    for start_s, levels in ((0.6, first), (0.8, second)):
        bench.clock.sleep_until(start_s)
        bench.panel.arm_sequence(levels, trigger=Trigger.INTERNAL, period_s=period_s)
        bench.panel.start()
        bench.panel.wait(1.0)
        bench.panel.disarm()
        light.show(levels, start_s, period_s)
    for duration_s in (3e-3, 1.5 * period_s, 0.31):
        starts_s = [0.499, 0.595, 0.6 + 0.9 * period_s, 0.6 + 2.5 * period_s, 0.799, 0.8 + 2.2 * period_s]
        due = np.stack([light.mean(start_s, duration_s, n=6000) for start_s in starts_s])
        np.testing.assert_allclose(exposed(bench, starts_s, duration_s), due, rtol=0, atol=1e-3)


def test_a_camera_on_the_panel_s_trigger_sees_the_same_integral() -> None:
    bench, light = OpticalBench(**EXACT), Light()
    levels, period_s, delay_s = patterns(3), 30e-3, 12e-3
    bench.sensor.arm_frames(3, trigger=Trigger.HARDWARE, delay_s=delay_s)
    bench.panel.arm_sequence(levels, trigger=Trigger.INTERNAL, period_s=period_s)
    bench.sensor.start()
    bench.panel.start()
    frames = bench.sensor.read(3, timeout_s=1.0)
    light.show(levels, 0.0, period_s)
    np.testing.assert_allclose(frames.stamps.start_s, delay_s + period_s * np.arange(3), rtol=1e-12)
    due = np.stack([light.mean(start_s, 2e-3) for start_s in frames.stamps.start_s])
    scale = 1e6 * 2e-3 * 0.6 * 0.17
    np.testing.assert_allclose(frames.counts / scale, due, rtol=0, atol=1e-3)


def test_long_after_a_pattern_the_light_is_the_settled_one() -> None:
    bench = OpticalBench(**EXACT)
    pattern = patterns(1)
    bench.panel.write(pattern[0])
    settled = bench.plant.settled(torch.as_tensor(pattern), 2e-3, (8, 8))[0] / (1e6 * 2e-3)
    # exp(-0.5 s / 5 ms) is 4e-44
    np.testing.assert_allclose(exposed(bench, [0.5], 2e-3)[0], settled, rtol=1e-12)


# The medium


def light_of(bench: OpticalBench) -> Array:
    return np.asarray(bench.plant.settled(torch.as_tensor(patterns(4)), 1.0, (8, 8))) / 1e6


def test_the_medium_is_the_design_s_up_to_its_mismatch() -> None:
    exact = light_of(OpticalBench(**EXACT))
    np.testing.assert_array_equal(
        light_of(OpticalBench(**EXACT, seed=2)), exact, "without mismatch there is no specimen"
    )
    part, off = (
        light_of(
            OpticalBench(**{**EXACT, "table": {"precision": "float64", "medium_mismatch": 0.5, "mismatch": scale}})
        )
        for scale in (1.0, 0.0)
    )
    np.testing.assert_array_equal(off, exact)
    # 256 intensities with exponential statistics; a field that shares a part sqrt(1 - 0.5^2) of its amplitude
    # has intensities with a correlation of that part squared, 0.75, to a standard error of some 4 %
    assert np.corrcoef(part.ravel(), exact.ravel())[0, 1] == pytest.approx(0.75, abs=0.15)
    assert part.mean() == pytest.approx(exact.mean(), rel=0.2)


def test_phase_screens_spread_the_light_without_losing_it() -> None:
    screens = {
        "kind": "phase-screens", "seed": 3, "distance_m": 2e-3, "strength_rad": 2.0, "correlation_m": 30e-6,
        "wavelength_m": 633e-9,
    }  # fmt: skip
    clock = SimulatedClock()
    options = OpticalTableOptions.model_validate({"medium": screens, "precision": "float64"})
    plant = OpticalTable("table", options, clock=clock)
    SimSlm("slm", SimSlm.Options.model_validate({"shape": (16, 16)}), clock=clock, plant=plant).open()
    levels = torch.as_tensor(np.random.default_rng(0).uniform(0, 255, (3, 16, 16)))
    photons = plant.settled(levels, 1e-3, (32, 32))
    assert photons.shape == (3, 32, 32)
    # each of the 16 x 16 outputs covers 2 x 2 pixels
    np.testing.assert_array_equal(photons[:, ::2, ::2], photons[:, 1::2, 1::2])
    assert float(photons.std() / photons.mean()) > 0.3
    other = plant.settled(255 - levels, 1e-3, (32, 32))
    assert float((other - photons).abs().max() / photons.mean()) > 0.3


# Wiring


def test_a_camera_without_a_panel_is_told() -> None:
    clock = SimulatedClock()
    medium = {"kind": "transmission-matrix", "input_modes": (8, 8), "output_modes": (8, 8)}
    plant = OpticalTable("table", OpticalTableOptions.model_validate({"medium": medium}), clock=clock)
    camera = SimCamera("camera", SimCamera.Options.model_validate({"sensor": (8, 8)}), clock=clock, plant=plant).open()
    with pytest.raises(DeviceError, match="no panel is in the beam"):
        camera.expected(torch.zeros(1, 8, 8))


def test_a_sensor_that_does_not_fit_is_told() -> None:
    bench = OpticalBench(camera={"sensor": (12, 12)}, system={"decoder": {"bins": (4, 4)}})
    with pytest.raises(DeviceError, match="12 x 12 pixels are no multiple of the medium's 8 x 8"):
        bench.sensor.expected(torch.zeros(1, 8, 8))


def test_a_device_on_a_foreign_plant_is_not_opened() -> None:
    camera = SimCamera("camera", clock=SimulatedClock(), plant=None)
    with pytest.raises(DeviceError, match="needs a plant of the kind PanelTable, found no plant"):
        camera.open()
    assert camera.state is State.CLOSED


# Specimens and resuming


def imperfect(seed: int = 1) -> OpticalBench:
    return OpticalBench(
        table={"medium_mismatch": 0.3},
        slm={
            # the data sheet is far too early for a panel of 8 ms
            "settling_s": 8e-3, "data_sheet_settle_s": 1e-3, "bend_rad": 0.3, "gain_spread": 0.05,
            "flatness_rad": 0.4, "crosstalk_px": 0.4, "dead_fraction": 0.05,
        },
        camera={"read_noise_electrons": 5.0, "dark_electrons_per_s": 1e3},
        seed=seed,
    )  # fmt: skip


def batch(n: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.random((n, 64)), rng.random(64)


def test_a_seed_is_a_specimen_and_its_noise() -> None:
    first, again, other = imperfect(), imperfect(), imperfect(seed=2)
    once = first.optics.measure(*batch()).y
    np.testing.assert_array_equal(again.optics.measure(*batch()).y, once)
    assert np.abs(other.optics.measure(*batch()).y - once).max() > 0.05
    truths = [bench.sensor.expected(torch.as_tensor(patterns(1))) for bench in (first, again, other)]
    assert torch.equal(truths[0], truths[1])
    assert float((truths[0] - truths[2]).abs().max()) > 10


def test_reseeding_restarts_the_noise_and_leaves_the_specimen() -> None:
    first, again = imperfect(), imperfect()
    truth = first.sensor.expected(torch.as_tensor(patterns(1)))
    first.plant.reseed(9)
    again.plant.reseed(9)
    np.testing.assert_array_equal(first.optics.measure(*batch()).y, again.optics.measure(*batch()).y)
    assert torch.equal(first.sensor.expected(torch.as_tensor(patterns(1))), truth)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_saved_plant_goes_on_bit_for_bit(one_by_one: bool) -> None:
    def make() -> OpticalBench:
        bench = imperfect()
        if one_by_one:
            bench = OpticalBench(slm={"sequence_memory": 0, "settling_s": 8e-3, "data_sheet_settle_s": 1e-3})
        return bench

    bench = make()
    for _ in range(2):
        bench.optics.measure(*batch())
    file = io.BytesIO()
    torch.save({"plant": bench.state(), "now_s": bench.clock.now_s()}, file)
    due = [bench.optics.measure(*batch()).y for _ in range(2)]

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = make()
    resumed.restore(saved["plant"])
    resumed.clock.sleep_until(saved["now_s"])
    for y in due:
        np.testing.assert_array_equal(resumed.optics.measure(*batch()).y, y)

    without_panel = make()
    saved["plant"].pop("panel")
    without_panel.restore(saved["plant"])
    without_panel.clock.sleep_until(saved["now_s"])
    assert np.abs(without_panel.optics.measure(*batch()).y - due[0]).max() > 1e-3, "where the panel was matters"
