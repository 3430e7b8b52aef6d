"""A camera's time stamps in bench time, with clocks that run apart and a computer that is busy."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.devices import RealClock, SimulatedClock
from pnnlab_drivers.genicam._camera_clock import CameraClock, Latch, host_latch


class FarClock:
    """A camera's clock that runs apart from the bench's, and takes its time to tell."""

    def __init__(self, drift: float, tick_s: float, seed: int, busy: float = 0.0) -> None:
        self.bench, self.drift, self.tick_s, self.busy = SimulatedClock(1000.0), drift, tick_s, busy
        self.rng = np.random.default_rng(seed)

    def ticks(self, bench_s: float) -> int:
        return round((77.0 + (bench_s - 1000.0) * (1 + self.drift)) / self.tick_s)

    def latch(self) -> Latch:
        before_s = self.bench.now_s()
        way_s = self.rng.uniform(50e-6, 400e-6, 2) + (self.rng.random(2) < self.busy) * 20e-3
        self.bench.sleep_until(before_s + way_s[0])
        ticks = self.ticks(self.bench.now_s())
        self.bench.sleep_until(before_s + way_s.sum())
        return Latch(before_s, self.bench.now_s(), ticks)


@given(
    st.integers(0, 2**32 - 1), st.floats(-90e-6, 90e-6), st.sampled_from([1e-9, 8e-9, 1e-6]),
    st.sampled_from([0.0, 0.3]), st.sampled_from([0.01, 0.3, 7.0]),
)  # fmt: skip
def test_stamps_are_right_to_the_error_that_is_declared(
    seed: int, drift: float, tick_s: float, busy: float, pause_s: float
) -> None:
    far = FarClock(drift, tick_s, seed, busy)
    mapped = CameraClock(far.bench, far.latch, tick_s=tick_s)
    mapped.restart()
    waiting: list[float] = []
    for k in range(30):
        waiting.append(far.bench.now_s())
        far.bench.sleep_until(far.bench.now_s() + pause_s * far.rng.random())
        if k % 3 == 2:  # frames are read late, some of them from before the last comparison
            mapped.sync()
            found_s = mapped.to_bench(np.array([far.ticks(t) for t in waiting], np.int64))
            assert np.abs(found_s - waiting).max() <= mapped.error_s + 1e-9
            waiting = waiting[-1:]
    assert mapped.error_s < (25e-3 if busy else 1e-3)


def test_a_run_begins_with_a_new_comparison() -> None:
    far = FarClock(0.0, 1e-9, 0)
    mapped = CameraClock(far.bench, far.latch, tick_s=1e-9)
    far.drift = 0.5  # a camera that was switched off and on meanwhile
    far.bench.sleep_until(2000.0)
    mapped.restart()
    now_s = far.bench.now_s()
    assert mapped.to_bench(np.array([far.ticks(now_s)]))[0] == pytest.approx(now_s, abs=mapped.error_s)


def test_the_time_of_day_is_told_in_bench_time() -> None:
    clock = RealClock()
    mapped = CameraClock(clock, lambda: host_latch(clock), tick_s=1e-9)
    before_s, ticks, after_s = clock.now_s(), time.time_ns(), clock.now_s()
    assert before_s - mapped.error_s <= mapped.to_bench(np.array([ticks]))[0] <= after_s + mapped.error_s
    assert mapped.error_s < 1e-3
