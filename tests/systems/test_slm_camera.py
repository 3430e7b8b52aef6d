"""Light from panel to camera: what is asked for, what is realised, what is read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnnlab.devices import RegionOfInterest, State
from pnnlab.errors import SetpointError
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.sim.camera import SimCamera
from tests.benches import OpticalBench


def random_batch(n: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, 64)), rng.random(64)


def test_a_shot_is_counted_once_and_takes_its_time() -> None:
    bench = OpticalBench()
    x, theta = random_batch(4)
    begin_s = bench.clock.now_s()
    shots = bench.optics.measure(x, theta)
    assert shots.y.shape == (4, 64) and bench.optics.n_shots == 4
    # settling, exposure and read-out of each shot: 30 + 2 + 1 ms
    assert bench.clock.now_s() - begin_s == pytest.approx(4 * 33e-3, rel=0.01)
    assert len(shots.tokens) == 4 and sorted(set(shots.tokens)) == list(shots.tokens)


def test_sequence_and_one_by_one_see_the_same_light() -> None:
    """Without noise the two ways differ by the rounding of counts and the rest of settling (0.25 % of a step)."""
    ys = []
    for memory in (4096, 0):
        bench = OpticalBench(slm={"sequence_memory": memory}, camera={"noise": 0.0})
        ys.append(bench.optics.measure(*random_batch(5)).y)
    assert np.abs(ys[0] - ys[1]).max() < 0.02
    assert np.corrcoef(ys[0].ravel(), ys[1].ravel())[0, 1] > 0.9999


def test_a_batch_longer_than_the_memory_is_split() -> None:
    bench = OpticalBench(slm={"sequence_memory": 3}, camera={"noise": 0.0})
    whole = OpticalBench(camera={"noise": 0.0})
    x, theta = random_batch(8)
    np.testing.assert_allclose(bench.optics.measure(x, theta).y, whole.optics.measure(x, theta).y, atol=0.02)


def test_realised_drive_is_the_nearest_level_going_round() -> None:
    bench = OpticalBench(slm={"levels": 4})
    theta = np.resize([0.0, 0.12, 0.13, 0.87, 0.88, 1.0, -0.25, 2.49], 64)
    shots = bench.optics.measure(np.zeros((1, 64)), theta)
    np.testing.assert_array_equal(shots.drive[0][0, :8], [0, 0, 0.25, 0.75, 0, 0, 0.75, 0.5])


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_realised_drive_lies_within_half_a_level(seed: int) -> None:
    bench = OpticalBench()
    rng = np.random.default_rng(seed)
    x, theta = rng.normal(size=(2, 64)) * 3, rng.normal(size=64) * 3
    shots = bench.optics.measure(x, theta)
    (asked,) = bench.optics.encode(x.astype(np.float32), theta.astype(np.float32))
    apart = np.abs((asked - shots.drive[0] + 0.5) % 1 - 0.5)
    assert apart.max() <= 0.5 / 256 + 1e-5


def test_macropixels_inputs_and_bins_lie_where_the_file_says() -> None:
    """An 8 x 8 panel with a 4 x 4 area of 2 x 2 macropixels: the pattern on the panel is drawn by hand."""
    bench = OpticalBench(
        system={
            "encoder": {
                "macropixels": (2, 2), "inputs": (1, 2), "input_depth": 0.5,
                "area": {"top": 2, "left": 4, "height": 4, "width": 4},
            },
        },
    )  # fmt: skip
    optics = bench.optics
    assert (optics.n_in, optics.n_controls, optics.n_out) == (2, 4, 64)
    (levels,) = optics.to_setpoints(*optics.encode(np.array([[0.0, 0.5]]), np.array([0.0, 0.25, 0.5, 0.125])))
    expected = np.zeros((8, 8))
    expected[2:4, 4:6], expected[2:4, 6:8] = 0, 128  # θ 0 + x 0, θ 0.25 + 0.5 · 0.5
    expected[4:6, 4:6], expected[4:6, 6:8] = 128, 96  # θ 0.5 + x 0, θ 0.125 + 0.25
    np.testing.assert_array_equal(levels[0], expected)
    shots = optics.measure(np.array([[0.0, 0.5]]), np.array([0.0, 0.25, 0.5, 0.125]))
    np.testing.assert_allclose(shots.drive[0], [[0, 0.5, 0.5, 0.375]])


def test_decoding_takes_means_of_bins_above_black() -> None:
    bench = OpticalBench(system={"decoder": {"bins": (2, 4), "black_counts": 10, "full_scale_counts": 110}})
    frame = np.arange(64.0).reshape(1, 8, 8)
    y = bench.optics.decode(frame)
    by_hand = [(frame[0, 4 * i : 4 * i + 4, 2 * j : 2 * j + 2].mean() - 10) / 100 for i in range(2) for j in range(4)]
    np.testing.assert_allclose(y[0], by_hand)


@pytest.mark.parametrize(
    ("x", "theta", "message"),
    [
        (np.zeros((2, 63)), np.zeros(64), r"inputs have shape \(2, 63\), expected \(batch, 64\)"),
        (np.zeros((0, 64)), np.zeros(64), r"inputs have shape \(0, 64\)"),
        (np.zeros((2, 64)), np.zeros((3, 64)), r"controls have shape \(3, 64\), expected \(64,\) or \(2, 64\)"),
        (np.full((2, 64), np.nan), np.zeros(64), r"inputs span nan to nan, allowed are finite numbers"),
        (np.zeros((2, 64)), np.full(64, np.inf), r"controls span inf to inf"),
    ],
)
def test_illegal_values_are_refused_before_the_panel_moves(x: np.ndarray, theta: np.ndarray, message: str) -> None:
    bench = OpticalBench()
    begin_s = bench.clock.now_s()
    with pytest.raises(SetpointError, match=message):
        bench.optics.measure(x, theta)
    assert bench.optics.n_shots == 0 and bench.clock.now_s() == begin_s


def test_devices_are_free_again_after_a_failed_batch() -> None:
    bench = OpticalBench(slm={"data_sheet_settle_s": 20.0})  # longer than the camera can delay
    with pytest.raises(SetpointError, match=r"camera: a trigger delay of 20 s is asked for, allowed is 0 to 10 s"):
        bench.optics.measure(*random_batch())
    assert bench.panel.state is State.OPEN and bench.sensor.state is State.OPEN


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"encoder": {"macropixels": (3, 8)}}, r"macropixels 3 x 8 do not divide the 8 x 8 pixels of the area"),
        ({"encoder": {"macropixels": (8, 8), "inputs": (8, 3)}}, r"inputs 8 x 3 do not divide the 8 x 8 macropixels"),
        ({"decoder": {"bins": (8, 5)}}, r"bins 8 x 5 do not divide the 8 x 8 pixels of the region"),
        (
            {"decoder": {"bins": (2, 2), "region": {"top": 6, "left": 0, "height": 4, "width": 8}}},
            r"off the sensor of 8 x 8 pixels",
        ),
    ],
)
def test_a_wiring_that_does_not_fit_is_refused(system: dict[str, object], message: str) -> None:
    with pytest.raises(SetpointError, match=message):
        OpticalBench(system=system)


def test_a_region_that_the_camera_does_not_read_is_refused() -> None:
    """Real sensors are read in blocks of rows and columns; a frame of another shape would be decoded wrongly."""

    class Coarse(SimCamera):
        def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
            super()._configure(exposure_s, roi and replace(roi, left=roi.left // 4 * 4, width=-(-roi.width // 4) * 4))

    bench = OpticalBench()
    camera = Coarse("camera", bench.sensor.options, clock=bench.clock, plant=bench.plant).open()
    decoder = {"bins": (2, 2), "region": {"top": 0, "left": 2, "height": 8, "width": 4}}
    config = SlmCamera.Config.model_validate({**bench.optics.config.model_dump(), "decoder": decoder})
    with pytest.raises(SetpointError, match=r"camera does not read .*left=2, .* but .*left=0, .* choose a `region`"):
        SlmCamera("optics", config, {"slm": bench.panel, "camera": camera}, Facilities(bench.clock))
