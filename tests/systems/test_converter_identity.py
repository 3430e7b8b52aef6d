"""No record ever belongs to the wrong voltages, whatever goes wrong; a naive loop on the same bench is wrong.

The truth is told twice. By the voltages: every shot has voltages of its own, without noise, so a record of another
shot, or of two, is off by far more than what shots leave to each other. And by the log of the board, which knows what
was at the inputs while each record was sampled.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnnlab.devices import Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.systems import Measurement
from tests.drivers.sim.circuits import RATE_HZ
from tests.systems.faulty_converters import FAULTS, STAMP_ERROR_S, FaultyConverters

N = 12
LIMIT = 0.01
"""Largest error of an output, in units of the standard deviation; a wrong record is off by about 1."""
LATENCY_S = (1e-3, 12e-3)
TELLS = {"start_error_s": 1e-6}
CHAINS = {"chains": True}

WAYS: dict[str, dict[str, Any]] = {
    "an edge a record": {},
    "short memory": {"dac": {"max_samples": 5 * 36}},
    "a counter that runs on": {"adc": {"restarts_counter": False}},
    "no counter": {"adc": {"counts": False}},
    "a late start": {"latency_s": LATENCY_S},
    "a late start that is told": {"latency_s": LATENCY_S, "dac": TELLS},
    "one edge": {"adc": CHAINS},
    "one edge, a late start that is told": {"latency_s": LATENCY_S, "dac": TELLS, "adc": CHAINS},
    "one edge, a late start": {"latency_s": LATENCY_S, "adc": CHAINS},
    "one edge, no stamps": {"latency_s": LATENCY_S, "adc": {**CHAINS, "stamps": False}},
    "one edge, no counter": {"adc": {**CHAINS, "counts": False}},
    "one edge, neither": {"adc": {**CHAINS, "counts": False, "stamps": False}},
    "steps": {"mode": "steps", "latency_s": LATENCY_S},
    "steps, no stamps": {"mode": "steps", "latency_s": LATENCY_S, "adc": {"stamps": False}},
    "steps, neither": {"mode": "steps", "adc": {"counts": False, "stamps": False}},
    "steps, old records": {"mode": "steps", "latency_s": LATENCY_S, "adc": {"stale_records": 2}},
    "steps, old records, neither": {"mode": "steps", "adc": {"counts": False, "stamps": False, "stale_records": 2}},
}
EARLY_OR_LATE = ("late", "spurious")
NOTHING_TELLS = {
    "one edge, a late start": EARLY_OR_LATE,
    "one edge, no stamps": EARLY_OR_LATE,
    "one edge, neither": (*EARLY_OR_LATE, "repeat", "swap"),
    "steps, old records, neither": ("repeat", "spurious"),
}
"""What starts all records at a wrong moment is told by time only, and what comes twice by numbers or times."""


def shots(bench: FaultyConverters, rng: np.random.Generator, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-1, 1, (n, bench.circuit.n_in)), rng.random(bench.circuit.n_controls)


def errors(bench: FaultyConverters, y: np.ndarray, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return how far each shot is from the truth, in units of the outputs' standard deviation."""
    truth = bench.truth(x, theta)
    apart: np.ndarray = np.abs(y - truth).max(1) / truth.std()
    return apart


def places_s(bench: FaultyConverters, measured: Measurement) -> np.ndarray:
    """Return how far from its place in the waveform the record of each shot began, which the log must have.

    A record was delivered that sampled nothing but the setpoint which the shot names, and that began with its first
    sample, to half of one: so far apart may be the clocks of two converters.
    """
    pure: dict[int, list[tuple[float, float]]] = {}
    for record in bench.bench.plant.records:
        if len(record.tokens) == 1:
            pure.setdefault(record.tokens[0][0], []).append((record.start_s, record.offset_s))
    tokens, exposed_s, shot_s = measured.tokens.tolist(), measured.exposed_s.tolist(), bench.circuit.shot_s
    assert bench.mode == "waveform" or len(set(tokens)) == len(tokens)
    found = np.zeros(len(tokens))
    for k, (token, start_s) in enumerate(zip(tokens, exposed_s, strict=True)):
        assert token in pure, f"no record is of setpoint {token} alone"
        if bench.mode == "waveform" and not np.isnan(start_s):
            apart_s, offset_s = min((abs(true_s - start_s), offset_s) for true_s, offset_s in pure[token])
            assert apart_s <= STAMP_ERROR_S * 1.001, f"the record at {start_s} s is not of setpoint {token}"
            found[k] = (offset_s + shot_s / 2) % shot_s - shot_s / 2
    assert np.abs(found).max() <= 0.5 / RATE_HZ + 5 * STAMP_ERROR_S, "a record begins within a shot"
    return found


def worst_error(bench: FaultyConverters, measured: Measurement, x: np.ndarray, theta: np.ndarray) -> float:
    """Return the largest error of a shot whose record began with its waveform."""
    on_time = np.abs(places_s(bench, measured)) < 1e-7
    assert on_time.mean() > 0.5
    return float(errors(bench, measured.y, x, theta)[on_time].max())


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), worst=st.sampled_from([0.0, 0.02, 0.1, 0.3]))
def test_every_record_that_is_returned_is_of_its_shot(way: str, seed: int, worst: float) -> None:
    rng = np.random.default_rng(seed)
    faults = {fault: worst * float(rng.random()) for fault in FAULTS} | dict.fromkeys(NOTHING_TELLS.get(way, ()), 0.0)
    bench = FaultyConverters(seed, faults, **WAYS[way])
    # static voltages are simulated one by one
    n = N if bench.mode == "waveform" else N // 2
    for _ in range(2):
        x, theta = shots(bench, rng, n)
        try:
            measured = bench.circuit.measure(x, theta)
        except AcquisitionError as error:
            assert "no reading that is proven to be theirs" in str(error)
            continue
        assert worst_error(bench, measured, x, theta) < LIMIT
    if not worst:
        assert bench.circuit.n_shots == 2 * n and bench.circuit.n_retaken == 0


def test_a_thousand_shots_without_a_wrong_one() -> None:
    bench = FaultyConverters(0, dict.fromkeys(FAULTS, 0.02), retakes=30)
    rng = np.random.default_rng(1)
    worst = 0.0
    for _ in range(10):
        x, theta = shots(bench, rng, 100)
        worst = max(worst, worst_error(bench, bench.circuit.measure(x, theta), x, theta))
    assert bench.circuit.n_shots == 1000 and worst < LIMIT
    assert bench.circuit.n_retaken > 60, "the bench was to misbehave"


@pytest.mark.parametrize("sleep_s", [0.0, 4e-3, 8e-3])
def test_a_naive_loop_on_the_same_bench_returns_wrong_readings(sleep_s: float) -> None:
    """Write, sleep, read, with a sleep that seems enough: the circuit settles within 8 ms of a change."""
    bench = FaultyConverters(mode="steps", latency_s=LATENCY_S, adc={"stale_records": 1})
    dac, adc, clock = bench.bench.dac, bench.bench.adc, bench.bench.clock
    x, theta = shots(bench, np.random.default_rng(1), 30)
    (units,) = bench.circuit.encode(x, theta)
    records = []
    for volts in units[:, 0] * np.array([4.0, 4.0, 2.0]):
        dac.write(volts)
        clock.sleep_until(clock.now_s() + sleep_s)
        adc.arm_records(1, n_samples=3, rate_hz=RATE_HZ, trigger=Trigger.SOFTWARE)
        adc.start()
        adc.trigger()
        records.append(adc.collect(1, timeout_s=1.0).volts)
        clock.sleep_until(clock.now_s() + 3 / RATE_HZ)
        adc.disarm()
    wrong = errors(bench, bench.circuit.outputs_of(np.concatenate(records)), x, theta) > LIMIT
    assert wrong.mean() > 0.5
    proven = errors(bench, bench.circuit.measure(x, theta).y, x, theta)
    assert proven.max() < LIMIT


def test_a_batch_that_cannot_be_proven_fails_and_says_why() -> None:
    for mode, told in (("waveform", "12 incomplete"), ("steps", "a record was incomplete")):
        bench = FaultyConverters(faults={"incomplete": 1.0}, retakes=2, mode=mode)
        with pytest.raises(AcquisitionError, match=rf"12 of 12 shots \(0, 1, .* after 3 attempts; .*{told}"):
            bench.circuit.measure(*shots(bench, np.random.default_rng(1)))
        assert bench.circuit.n_shots == 0
