"""Each fault of the simulated camera alone: what the camera tells, what it delivers, and what the record says."""

from typing import Any

import numpy as np
import pytest

from pnnlab.devices import Frames, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.testing import Check, shows
from tests.benches import OpticalBench

N, PERIOD_S, SEED, NEVER = 8, 30e-3, 2, 60_000
PATTERNS = np.random.default_rng(0).integers(0, 256, (N, 8, 8)).astype(np.float64)


def bench(**faults: Any) -> OpticalBench:
    return OpticalBench(camera={"noise": 0.0, "restarts_counter": False, "faults": faults}, seed=SEED)


def run(bench: OpticalBench) -> None:
    """Let the panel play patterns, each of which triggers the camera once it has settled."""
    # what does not arrive leaves what was in the memory: a count that no picture here has
    ring = np.full((N, 8, 8), NEVER, bench.sensor.dtype)
    bench.sensor.arm_frames(N, trigger=Trigger.HARDWARE, delay_s=20e-3, out=ring)
    bench.panel.arm_sequence(PATTERNS, trigger=Trigger.INTERNAL, period_s=PERIOD_S)
    bench.sensor.start()
    bench.panel.start()


def collected(bench: OpticalBench, n: int = N) -> Frames:
    run(bench)
    frames = bench.sensor.collect(n, timeout_s=3.0)
    return Frames(frames.counts.copy(), frames.stamps)


def counters(frames: Frames) -> list[int]:
    """Return how far the camera's numbers are from the first one."""
    assert frames.stamps.counters is not None
    return (frames.stamps.counters - frames.stamps.counters[0]).tolist()


def steps(bench: OpticalBench, frames: Frames) -> list[int]:
    """Return which pattern each frame shows, by its light: the nearest of the frames of a sound camera."""
    sound = OpticalBench(camera={"noise": 0.0}, seed=SEED)
    pictures = collected(sound).counts.astype(np.float64)
    apart = np.abs(frames.counts[:, None].astype(np.float64) - pictures).sum((2, 3))
    return apart.argmin(1).tolist()


def recorded(bench: OpticalBench) -> list[int]:
    """Return which pattern each delivered frame integrated, by the table's record."""
    exposures = {exposure.number: exposure for exposure in bench.plant.exposures}
    # the first setpoint of a panel has the same token everywhere
    first = OpticalBench().panel.arm_sequence(PATTERNS, trigger=Trigger.INTERNAL, period_s=PERIOD_S).tokens.start
    longest = [max(exposures[number].tokens, key=lambda share: share[1])[0] for number in bench.plant.deliveries]
    return [token - first for token in longest]


def test_a_sound_camera_delivers_every_pattern_once() -> None:
    table = bench()
    frames = collected(table)
    assert counters(frames) == steps(table, frames) == recorded(table) == list(range(N))
    assert frames.stamps.intact is None


def test_a_missed_trigger_leaves_no_gap_in_the_counter() -> None:
    table = bench(miss=0.4)
    frames = collected(table)
    shown = steps(table, frames)
    assert 1 < len(shown) < N and shown == recorded(table) and sorted(set(shown)) == shown
    assert counters(frames) == list(range(len(shown)))
    assert f"{len(shown)} of {N} hardware triggers started an exposure" in frames.stamps.note


@shows(Check.LOST_PACKETS)
@pytest.mark.pnnlab_driver("sim-camera", peer="simulated physics")
def test_a_dropped_frame_leaves_a_gap_in_the_counter() -> None:
    table = bench(drop=0.4)
    frames = collected(table)
    shown = steps(table, frames)
    assert 1 < len(shown) < N and shown == recorded(table)
    assert counters(frames) == [step - shown[0] for step in shown]
    assert len(table.plant.exposures) == N  # all were exposed


def test_a_repeated_frame_is_the_same_picture_with_the_same_number_and_time() -> None:
    table = bench(repeat=1.0)
    frames = collected(table)
    assert steps(table, frames) == recorded(table) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert counters(frames) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert frames.stamps.start_s is not None
    np.testing.assert_array_equal(frames.counts[::2], frames.counts[1::2])
    np.testing.assert_array_equal(frames.stamps.start_s[::2], frames.stamps.start_s[1::2])


def test_swapped_frames_come_in_the_other_order_and_say_so() -> None:
    table = bench(swap=1.0)
    frames = collected(table)
    assert steps(table, frames) == recorded(table) == [1, 0, 3, 2, 5, 4, 7, 6]
    assert counters(frames) == [0, -1, 2, 1, 4, 3, 6, 5]
    assert frames.stamps.start_s is not None
    assert (np.diff(frames.stamps.start_s)[::2] < 0).all()


def test_an_incomplete_frame_is_told_and_what_arrived_of_it_is_true() -> None:
    table = bench(incomplete=0.5)
    frames = collected(table)
    intact = frames.stamps.intact
    assert intact is not None and 0 < intact.sum() < N
    pictures = collected(bench()).counts
    np.testing.assert_array_equal(frames.counts[intact], pictures[intact])
    for frame, picture in zip(frames.counts[~intact], pictures[~intact], strict=True):
        true_rows = (frame == picture).all(1)
        arrived = int(np.argmin(true_rows))
        assert not true_rows.all() and true_rows[:arrived].all()
        assert np.isin(frame[arrived:], [0, NEVER]).all()


def test_a_spurious_pulse_is_exposed_counted_and_takes_the_place_of_the_last_frame() -> None:
    table = bench(spurious=0.4)
    frames = collected(table)
    assert counters(frames) == list(range(N)) and len(table.plant.exposures) == N
    shown = recorded(table)
    assert len(set(shown)) < N and shown != list(range(N))
    assert frames.stamps.start_s is not None
    early_s = np.diff(frames.stamps.start_s)
    assert early_s.min() < PERIOD_S - 1e-6  # no two patterns follow each other so fast


def test_a_late_answer_is_stamped_late() -> None:
    table = bench(late=1.0, late_by_s=(2e-3, 4e-3))
    frames = collected(table)
    assert frames.stamps.start_s is not None
    true_s = [exposure.start_s for exposure in table.plant.exposures]
    np.testing.assert_allclose(frames.stamps.start_s, true_s, atol=1e-9)
    sound = bench()
    on_time_s = collected(sound).stamps.start_s
    assert on_time_s is not None
    late_s = frames.stamps.start_s - on_time_s
    assert ((late_s > 2e-3 - 1e-9) & (late_s < 4e-3 + 1e-9)).all()


def test_a_stalled_link_delays_frames_and_loses_none() -> None:
    table = bench(stall=1.0, stall_by_s=1.0)
    run(table)
    assert table.sensor.collect(N, timeout_s=0.9).stamps.count == 0
    frames = table.sensor.collect(N, timeout_s=2.0)
    assert counters(frames) == list(range(N)) and recorded(table) == list(range(N))


@pytest.mark.parametrize("stamp_error_s", [1e-4, 2e-3])
def test_stamps_are_off_by_no_more_than_the_camera_says(stamp_error_s: float) -> None:
    table = OpticalBench(camera={"noise": 0.0, "stamp_error_s": stamp_error_s})
    frames = collected(table)
    assert frames.stamps.start_s is not None and table.sensor.stamp_error_s == stamp_error_s
    off_s = frames.stamps.start_s - [exposure.start_s for exposure in table.plant.exposures]
    assert 0 < np.abs(off_s).max() <= stamp_error_s
    assert np.abs(off_s).max() > stamp_error_s / 10


@pytest.mark.parametrize("fault", ["miss", "drop", "repeat", "swap", "incomplete"])
def test_a_script_that_reads_is_told_of_any_fault(fault: str) -> None:
    table = bench(**{fault: 0.5})
    run(table)
    with pytest.raises(AcquisitionError, match="camera"):
        table.sensor.read(N, timeout_s=3.0)


def test_a_counter_wraps_and_starts_anew_or_not() -> None:
    for restarts in (True, False):
        table = OpticalBench(camera={"counter_modulus": 3, "restarts_counter": restarts, "noise": 0.0})
        numbers = []
        for _ in range(2):
            found = collected(table).stamps.counters
            assert found is not None and (np.diff(found) % 3 == 1).all()
            numbers.append(int(found[0]))
            table.panel.disarm()
            table.sensor.disarm()
        assert numbers == [0, 0] if restarts else (numbers[1] - numbers[0]) % 3 == N % 3
