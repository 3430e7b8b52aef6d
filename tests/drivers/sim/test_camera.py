"""The simulated camera against the linear camera model of EMVA 1288."""

import math
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pnnlab.devices import RegionOfInterest, State, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.testing import CameraConformance, DeviceArguments
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.optical_table import OpticalTable, OpticalTableOptions
from pnnlab_drivers.sim.slm import SimSlm
from tests.benches import OpticalBench

Counts = npt.NDArray[np.float64]

NOISY: dict[str, Any] = {"read_noise_electrons": 8.0, "dark_electrons_per_s": 5e4, "offset_counts": 20.0}
GAIN, EFFICIENCY, EXPOSURE_S = 0.17, 0.6, 2e-3


class TestSimCamera(CameraConformance[SimCamera]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimCamera:
        medium = {"kind": "transmission-matrix", "seed": 7, "input_modes": (4, 4), "output_modes": (4, 3)}
        plant = OpticalTable("table", OpticalTableOptions.model_validate({"medium": medium}), clock=arguments["clock"])
        panel = SimSlm.Options.model_validate({"shape": (4, 4)})
        SimSlm("slm", panel, plant=plant, clock=arguments["clock"]).open()
        options = SimCamera.Options.model_validate({"sensor": (8, 6), "counter_modulus": 4, **NOISY})
        return SimCamera("camera", options, plant=plant, **arguments)

    def pulse(self, device: SimCamera) -> None:
        assert isinstance(device.plant, OpticalTable)
        device.plant.show(np.zeros((1, 4, 4)), start_s=device.clock.now_s(), period_s=0.0)


def pattern(seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).integers(0, 256, (8, 8)).astype(np.float64)


def frames(bench: OpticalBench, n: int) -> Counts:
    """Show one pattern, let it settle, and take frames of it."""
    bench.panel.write(pattern())
    bench.clock.sleep_until(bench.clock.now_s() + 1.0)
    bench.sensor.arm_frames(n, trigger=Trigger.INTERNAL)
    bench.sensor.start()
    counts = bench.sensor.read(n, timeout_s=1e3).counts.astype(np.float64)
    bench.sensor.disarm()
    return counts


def expected(bench: OpticalBench) -> Counts:
    return bench.sensor.expected(torch.as_tensor(pattern()[None]))[0].numpy()


# Noise


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("options", [{}, NOISY])
def test_noise_has_the_variance_of_the_linear_camera_model(scale: float, options: dict[str, float]) -> None:
    bench = OpticalBench(camera={"bit_depth": 16, "noise": scale, **options})
    n = 2000
    counts, mean = frames(bench, n), expected(bench)
    electrons = (mean - options.get("offset_counts", 0)) / GAIN
    # EMVA 1288, equation 10: read noise and shot noise times the gain squared, and the rounding's twelfth
    due = (scale * GAIN) ** 2 * (options.get("read_noise_electrons", 0) ** 2 + electrons) + 1 / 12
    bright = electrons > 50  # where single electrons are well below a standard deviation
    ratio = counts.var(0)[bright] / due[bright]
    # a variance of n numbers has a relative standard error of sqrt(2/n) = 3 %, its mean over the pixels less; with a
    # standard deviation of a count the rounding's error is 1/12 to within some percent of it
    assert ratio.mean() == pytest.approx(1, abs=5 * math.sqrt(2 / n / bright.sum()) + 5e-3)
    assert np.abs(ratio - 1).max() < 5 * math.sqrt(2 / n)


def test_expected_is_the_mean_of_many_readings() -> None:
    bench = OpticalBench(camera={"bit_depth": 16, **NOISY}, slm={"bend_rad": 0.3, "flatness_rad": 0.4})
    n = 2000
    counts = frames(bench, n)
    error = counts.std(0) / math.sqrt(n)
    deviation = (counts.mean(0) - expected(bench)) / error
    # 64 numbers: the largest of as many normal ones stays below 4.5 with a chance of 0.9996
    assert np.abs(deviation).max() < 4.5
    assert 0.7 < deviation.std() < 1.3


def test_without_noise_a_frame_is_the_expected_one() -> None:
    bench = OpticalBench(camera={"quantised": False, "noise": 0.0, **NOISY}, table={"precision": "float64"})
    counts = frames(bench, 2)
    np.testing.assert_array_equal(counts[0], counts[1])
    np.testing.assert_allclose(counts[0], expected(bench), rtol=1e-12)
    rounded = OpticalBench(camera={"noise": 0.0, **NOISY}, table={"precision": "float64"})
    np.testing.assert_array_equal(frames(rounded, 1)[0], np.rint(expected(bench)))


@pytest.mark.parametrize("error", list(NOISY))
def test_each_imperfection_shows(error: str) -> None:
    clean, found = OpticalBench(), OpticalBench(camera={error: NOISY[error]})
    assert np.abs(frames(found, 1) - frames(clean, 1)).max() >= 1


def test_counts_are_photons_times_efficiency_and_gain() -> None:
    bench = OpticalBench(camera={"bit_depth": 16, "quantised": False, "noise": 0.0})
    photons = bench.plant.settled(torch.as_tensor(pattern()[None]), EXPOSURE_S, (8, 8))[0].numpy()
    np.testing.assert_allclose(frames(bench, 1)[0], photons * EFFICIENCY * GAIN, rtol=1e-5)
    bench.sensor.configure(exposure_s=2 * EXPOSURE_S)
    np.testing.assert_allclose(frames(bench, 1)[0], 2 * photons * EFFICIENCY * GAIN, rtol=1e-5)


def test_bright_pixels_saturate() -> None:
    bench = OpticalBench(camera={"bit_depth": 8})
    bench.sensor.configure(exposure_s=50e-3)
    counts = frames(bench, 1)[0]
    assert counts.max() == 255
    assert (expected(bench)[counts == 255] > 230).all()
    assert expected(bench).max() == 255


def test_a_region_is_a_part_of_the_frame() -> None:
    bench = OpticalBench(camera={"noise": 0.0})
    whole = frames(bench, 1)[0]
    bench.sensor.configure(roi=RegionOfInterest(2, 1, 3, 5))
    np.testing.assert_array_equal(frames(bench, 1)[0], whole[2:5, 1:6])
    assert expected(bench).shape == (3, 5)


def test_the_gradient_of_expected_is_exact() -> None:
    bench = OpticalBench(
        table={"precision": "float64", "medium_mismatch": 0.3}, camera={"bit_depth": 16, **NOISY},
        slm={"bend_rad": 0.3, "gain_spread": 0.05, "flatness_rad": 0.4, "crosstalk_px": 0.4, "dead_fraction": 0.1},
    )  # fmt: skip
    levels = torch.as_tensor(pattern()[None]).requires_grad_()
    bench.sensor.configure(roi=RegionOfInterest(0, 0, 2, 3))
    # counts are of the order of 100 and levels of 100: finite differences of 1e-4 levels are good to 1e-6 counts
    assert torch.autograd.gradcheck(bench.sensor.expected, (levels,), eps=1e-4, atol=1e-5)


# Triggers


def test_a_frame_during_settling_is_a_mixture() -> None:
    bench = OpticalBench(camera={"noise": 0.0, "quantised": False}, slm={"settling_s": 5e-3})
    bench.panel.write(pattern())
    bench.sensor.arm_frames(20, trigger=Trigger.INTERNAL)
    bench.sensor.start()
    counts = bench.sensor.read(20, timeout_s=1.0).counts
    apart = np.abs(counts - expected(bench)).max((1, 2))
    assert apart[0] > 50
    # 57 ms are 11.4 time constants: 1e-5 of 2 pi
    assert apart[-1] < 0.05


def test_a_trigger_during_an_exposure_is_lost() -> None:
    bench = OpticalBench()
    # a pattern every 16.7 ms, and a frame that takes 21 ms
    bench.sensor.configure(exposure_s=20e-3)
    bench.sensor.arm_frames(3, trigger=Trigger.HARDWARE)
    bench.panel.arm_sequence(np.zeros((3, 8, 8)), trigger=Trigger.INTERNAL, period_s=bench.panel.frame_period_s)
    bench.sensor.start()
    bench.panel.start()
    found = r"2 of 3 readings came within 1 s; 2 of 3 hardware triggers started an exposure"
    with pytest.raises(AcquisitionError, match=found):
        bench.sensor.read(3, timeout_s=1.0)
    assert bench.sensor.state is State.ARMED


def test_a_sequence_before_the_camera_listens_is_missed() -> None:
    bench = OpticalBench()
    bench.sensor.arm_frames(2, trigger=Trigger.HARDWARE)
    bench.panel.arm_sequence(np.zeros((2, 8, 8)), trigger=Trigger.INTERNAL, period_s=30e-3)
    bench.panel.start()
    bench.sensor.start()
    with pytest.raises(AcquisitionError, match="0 of 2 hardware triggers started an exposure"):
        bench.sensor.read(2, timeout_s=1.0)


def test_a_frame_that_is_not_read_out_in_time_is_told() -> None:
    bench = OpticalBench()
    bench.sensor.configure(exposure_s=1.0)
    bench.sensor.arm_frames(2, trigger=Trigger.INTERNAL)
    bench.sensor.start()
    with pytest.raises(AcquisitionError, match=r"1 of 2 readings came within 1\.5 s; 2 of 2 internal triggers"):
        bench.sensor.read(2, timeout_s=1.5)


def test_the_counter_returns_to_zero() -> None:
    bench = OpticalBench(camera={"counter_modulus": 4})
    bench.sensor.arm_frames(6, trigger=Trigger.INTERNAL)
    bench.sensor.start()
    assert bench.sensor.read(6, timeout_s=1.0).stamps.counters.tolist() == [0, 1, 2, 3, 0, 1]
