"""Which reading belongs to which step: against the truth of runs in which everything goes wrong that can."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pnnlab.devices import Stamps
from pnnlab.systems._pairing import TriggeredRun, match_windows, quorum

MODULUS = 16


@dataclass
class Case:
    """A run of a panel and a camera, as it really was."""

    n: int
    period_s: float
    delay_s: float
    duration_s: float
    error_s: float
    begun_s: float
    known_s: tuple[float, float]
    start_s: np.ndarray  # (k,): when each reading that came was really exposed
    stamps: Stamps

    def run(self) -> TriggeredRun:
        return TriggeredRun(
            self.n, period_s=self.period_s, delay_s=self.delay_s, duration_s=self.duration_s, begun_s=self.known_s,
            error_s=self.error_s,
        )  # fmt: skip

    def assert_belongs(self, reading: int, step: int, tolerance_s: float) -> None:
        """Check that all of the reading's time lies in the settled part of the step."""
        begin_s = self.start_s[reading] - self.begun_s
        assert begin_s >= step * self.period_s + self.delay_s - tolerance_s, f"step {step} had not settled"
        assert begin_s + self.duration_s <= (step + 1) * self.period_s + tolerance_s, f"step {step} was over"


def play(rng: np.random.Generator, faults: float, *, uncertain: float = 0.0) -> Case:
    """Let a run happen in which each fault comes with a probability of up to `faults`."""
    n = int(rng.integers(1, 40))
    period_s = float(rng.choice([1e-3, 16.7e-3]))
    delay_s, duration_s = (float(f) * period_s for f in rng.dirichlet([3, 2, 1])[:2])
    error_s = float(rng.choice([0.0, 1e-6, 20e-6]))
    error_s = min(error_s, (period_s - delay_s - duration_s) / 8)
    chance = {fault: rng.random() * faults for fault in ("miss", "late", "spurious", "drop", "repeat", "swap", "cut")}
    begun_s = 100 + rng.random()
    width_s = uncertain * period_s
    low = begun_s - rng.random() * width_s
    hit = lambda fault: rng.random() < chance[fault]  # noqa: E731

    triggers = begun_s + period_s * np.arange(n) + delay_s
    starts = [t + (rng.exponential(period_s) if hit("late") else 0.0) for t in triggers if not hit("miss")]
    starts += [begun_s + rng.random() * n * period_s for _ in range(n) if hit("spurious")]
    exposed: list[float] = []
    for start in sorted(starts):  # a sensor that is busy ignores triggers
        if not exposed or start >= exposed[-1] + duration_s:
            exposed.append(start)
    exposed = exposed[:n]
    first = int(rng.integers(MODULUS))
    numbered = [((first + k) % MODULUS, start) for k, start in enumerate(exposed)]
    stamped = {start: start + rng.uniform(-error_s, error_s) for start in exposed}
    old = begun_s - rng.random() * 3 * period_s - period_s - duration_s
    came = [((first - 1) % MODULUS, old)] if rng.random() < chance["repeat"] else []
    stamped[old] = old
    for frame in numbered:
        if hit("drop"):
            continue
        came.append(frame)
        if hit("repeat"):
            came.append(frame)
        if len(came) > 1 and hit("swap"):
            came[-2:] = came[:-3:-1]
    came = came[:n]
    intact = np.array([not hit("cut") for _ in came], bool)
    start_s = np.array([start for _, start in came])
    told = intact | (rng.random() < 0.5)  # of an incomplete reading, number and time may be missing
    counters = np.where(told, np.array([c for c, _ in came], np.int64), -1)
    stamps = Stamps(
        len(came), duration_s, counters, np.where(told, np.array([stamped[s] for s in start_s]), np.nan), intact
    )
    return Case(n, period_s, delay_s, duration_s, error_s, begun_s, (low, low + width_s), start_s, stamps)


def parts(rng: np.random.Generator, stamps: Stamps) -> list[Stamps]:
    """Cut stamps at random, as readings come in chunks."""
    edges = [0, *sorted(rng.integers(0, stamps.count + 1, 3).tolist()), stamps.count]
    assert stamps.counters is not None and stamps.start_s is not None and stamps.intact is not None
    return [
        Stamps(b - a, stamps.duration_s, stamps.counters[a:b], stamps.start_s[a:b], stamps.intact[a:b])
        for a, b in itertools.pairwise(edges)
    ]


@settings(max_examples=400)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0.0, 0.05, 0.5, 3.0]))
def test_no_reading_is_ever_paired_with_a_step_it_was_not_exposed_in(seed: int, faults: float, width: float) -> None:
    rng = np.random.default_rng(seed)
    case = play(rng, faults, uncertain=width)
    run, came = case.run(), parts(rng, case.stamps)
    seen: list[int] = []
    for k, part in enumerate(came):
        run.add(part)
        pairs = run.decide(final=k == len(came) - 1)
        for reading, step in zip(pairs.readings.tolist(), pairs.steps.tolist(), strict=True):
            # the stamps' own error, twice: of the reading, and of those that it is held against
            case.assert_belongs(reading, step, 4 * case.error_s + 1e-8)
            assert case.stamps.intact is None or case.stamps.intact[reading]
        seen += pairs.steps.tolist()
    assert len(seen) == len(set(seen)), "a step got two readings"


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 2.0]))
def test_every_reading_of_a_faultless_run_is_paired(seed: int, width: float) -> None:
    """A start that is not known needs a quorum of readings to be found out; shorter runs are made with more room."""
    rng = np.random.default_rng(seed)
    case = play(rng, 0.0, uncertain=width)
    run = case.run()
    run.add(case.stamps)
    pairs = run.decide(final=True)
    if case.n >= quorum(case.period_s, case.error_s) or not width:
        assert dict(zip(pairs.readings.tolist(), pairs.steps.tolist(), strict=True)) == {k: k for k in range(case.n)}


def test_one_lost_reading_costs_one_step() -> None:
    start_s = 5.0 + 1e-3 * np.arange(10) + 4e-4
    kept = np.delete(np.arange(10), 4)
    run = TriggeredRun(10, period_s=1e-3, delay_s=4e-4, duration_s=4e-4, begun_s=(5.0, 5.0), error_s=1e-6)
    run.add(Stamps(9, 4e-4, kept, start_s[kept]))
    pairs = run.decide(final=True)
    assert pairs.steps.tolist() == kept.tolist() and run.fault() == "1 of 10 never came"


def test_an_uncertain_start_and_a_gap_void_the_run() -> None:
    start_s = 5.0 + 1e-3 * np.arange(10) + 4e-4
    for lost in (0, 4, 9):
        kept = np.delete(np.arange(10), lost)
        run = TriggeredRun(10, period_s=1e-3, delay_s=4e-4, duration_s=4e-4, begun_s=(4.9, 5.1), error_s=1e-6)
        run.add(Stamps(9, 4e-4, kept, start_s[kept]))
        assert len(run.decide(final=True)) == 0
        assert run.fault() == "1 of 10 never came, 9 of a run with an uncertain start and gaps"


@pytest.mark.parametrize(
    ("begin_s", "step", "fault"),
    [
        (1.0, 0, ""),
        (1.0 - 2e-3, None, "1 exposed before a pattern had settled or across a change"),
        (1.2 - 0.004, None, "1 exposed before a pattern had settled or across a change"),
        (2.0, 1, ""),
        (0.5, None, "1 exposed before a pattern had settled or across a change"),
    ],
)
def test_windows_decide_by_time(begin_s: float, step: int | None, fault: str) -> None:
    windows_s = np.array([[1.0 - 1e-3, 1.2], [1.9, np.inf]])
    pairs, wrong = match_windows(Stamps(1, 5e-3, start_s=np.array([begin_s])), windows_s, 1e-3)
    assert pairs.steps.tolist() == ([] if step is None else [step]) and wrong == fault
