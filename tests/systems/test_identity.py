"""No reading ever belongs to the wrong setpoint, whatever goes wrong; a naive loop on the same bench is wrong.

The truth is the light itself: every shot has a pattern of its own, without noise, so a frame of another pattern, of
two, or of one that has not settled is off by far more than the last trace of settling (exp(-6) of a step).
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnnlab.devices import Trigger
from pnnlab.errors import AcquisitionError
from tests.systems.faulty import FAULTS, FaultyBench, Luck

N = 16
LIMIT = 0.05
"""Largest error of an output, in units of the mean one; a wrong pattern is off by about 1."""


def shots(rng: np.random.Generator, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    return 4 * rng.random((n, 16)).astype(np.float32), rng.random(16).astype(np.float32)


def errors(bench: FaultyBench, y: np.ndarray, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return how far each shot is from the truth, in units of the mean output."""
    truth = bench.truth(x, theta)
    apart: np.ndarray = np.abs(y - truth).max(1) / truth.mean()
    return apart


WAYS = {
    "sequence": {},
    "short memory": {"sequence_memory": 5},
    "overlapped": {"sequence_memory": 0},
    "no time stamps": {"stamps": False},
    "neither stamps nor counter, old frames in the queue": {"stamps": False, "counters": False, "stale": 2},
    "old frames in the queue": {"stale": 3},
}
# without a number or a time nothing tells a frame that the camera took by itself from one that was asked for
TELLS_NOTHING = {"neither stamps nor counter, old frames in the queue"}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), worst=st.sampled_from([0.0, 0.02, 0.1, 0.3]), latency=st.booleans())
def test_every_reading_that_is_returned_is_of_its_shot(way: str, seed: int, worst: float, latency: bool) -> None:
    rng = np.random.default_rng(seed)
    chance = {fault: worst * float(rng.random()) for fault in FAULTS}
    if way in TELLS_NOTHING:
        chance["repeat"] = 0.0
    luck = Luck(rng, chance, (1e-3, 12e-3) if latency else (0.0, 0.0))
    bench = FaultyBench(luck, **WAYS[way])
    for _ in range(3):
        x, theta = shots(rng)
        try:
            measured = bench.optics.measure(x, theta)
        except AcquisitionError as error:
            assert "no reading that is proven to be theirs" in str(error)
            continue
        found = errors(bench, measured.y, x, theta)
        assert found.max() < LIMIT, f"shots {np.flatnonzero(found >= LIMIT)} are wrong: {found.round(2)}"
    if not worst:
        assert bench.optics.n_shots == 3 * N and bench.optics.n_retaken == 0


def test_tens_of_thousands_of_shots_without_a_wrong_one() -> None:
    luck = Luck(np.random.default_rng(0), dict.fromkeys(FAULTS, 0.02), (0.0, 3e-3))
    bench = FaultyBench(luck)
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(400):
        x, theta = shots(rng, 60)
        worst = max(worst, float(errors(bench, bench.optics.measure(x, theta).y, x, theta).max()))
    assert bench.optics.n_shots == 24_000 and worst < LIMIT
    assert bench.optics.n_retaken > 500, "the bench was to misbehave"


@pytest.mark.parametrize("sleep_s", [0.0, 4e-3, 8e-3])
def test_a_naive_loop_on_the_same_bench_returns_wrong_readings(sleep_s: float) -> None:
    """Show, sleep, grab, with a sleep that seems enough: the panel settles within 6 ms of appearing."""
    luck = Luck(np.random.default_rng(0), {}, (1e-3, 12e-3))
    bench = FaultyBench(luck, stale=1)
    x, theta = shots(np.random.default_rng(1), 60)
    (levels,) = bench.optics.to_setpoints(*bench.optics.encode(x, theta))
    frames = []
    for pattern in (np.rint(levels) % 256).astype(np.uint8):
        bench.panel.write(pattern)
        bench.clock.sleep_until(bench.clock.now_s() + sleep_s)
        bench.camera.arm_frames(1, trigger=Trigger.SOFTWARE)
        bench.camera.start()
        bench.camera.trigger()
        frames.append(bench.camera.collect(1, timeout_s=1.0).counts)
        bench.camera.disarm()
    wrong = errors(bench, bench.optics.decode(np.concatenate(frames)), x, theta) > LIMIT
    assert wrong.mean() > 0.5
    proven = errors(bench, bench.optics.measure(x, theta).y, x, theta)
    assert proven.max() < LIMIT


def test_a_batch_that_cannot_be_proven_fails_and_says_why() -> None:
    bench = FaultyBench(Luck(np.random.default_rng(0), {"cut": 1.0}), retakes=2)
    with pytest.raises(AcquisitionError, match=r"16 of 16 shots \(0, 1, .* after 3 attempts; .*16 incomplete"):
        bench.optics.measure(*shots(np.random.default_rng(1)))
    assert bench.optics.n_shots == 0
    bench.luck.chance.clear()
    x, theta = shots(np.random.default_rng(2))
    assert errors(bench, bench.optics.measure(x, theta).y, x, theta).max() < LIMIT
