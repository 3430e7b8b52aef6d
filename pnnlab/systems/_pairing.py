"""Which setpoint a reading belongs to: worked out from when it was exposed, never from the order in which it came."""

import math
import sys
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Stamps

__all__ = ["Pairs", "TriggeredRun", "match_windows", "quorum"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_LEAST_QUORUM: Final = 3
_CHANCE: Final = 1e-9
"""Readings that agree on when a run began agree by chance no more often than this."""
_GRAIN_S: Final = 1e-9
"""Rounding of times in double precision, far below any device's clock."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Readings and the steps that they belong to.

    Attributes:
        readings: Numbers of readings in the order in which they came, shape `(k,)`.
        steps: The step of each, shape `(k,)`; no step comes twice.
    """

    readings: Ints
    steps: Ints

    def __len__(self) -> int:
        return len(self.readings)


def quorum(period_s: float, error_s: float) -> int:
    """Return how many readings must agree, to within the stamps' error, before they tell when their run began.

    Readings at random moments of a period fall together within twice the error, both ways, with a probability of
    `4 error / period` each.
    """
    together = 4 * (error_s + _GRAIN_S) / period_s
    if together >= 1:
        return sys.maxsize
    return max(_LEAST_QUORUM, 1 + math.ceil(math.log(_CHANCE) / math.log(together)))


class TriggeredRun:
    """The readings of a run whose steps follow each other at a fixed period, each triggering one reading.

    Step k begins at `t + k · period`, and its readings collect `delay` later, for `duration`. When the run began, t, is
    known to lie between two moments. A reading belongs to a step if its time stamp says that it collected within the
    settled part of that step and of no other; what is late, early, repeated, incomplete or from another run belongs to
    none.

    The steps' own clock is the sharper one: where most of the readings, and a `quorum` of them, agree on when the run
    began, to within the error of the stamps, a reading is late or early against them. Where they do not agree, it
    must be neither against any moment at which the run may have begun.

    Mutable: `add` takes readings as they come.

    Args:
        n: Number of steps.
        period_s: From step to step.
        delay_s: From the beginning of a step to the reading.
        duration_s: For how long a reading collects.
        begun_s: Earliest and latest bench time at which step 0 began.
        error_s: By how much a time stamp may be off.
        tolerance_s: How late a reading may be at the least, for steps without any slack (records without gaps).
        margin_s: By how much `delay_s` is longer than a step needs to settle.
    """

    def __init__(
        self, n: int, *, period_s: float, delay_s: float, duration_s: float, begun_s: tuple[float, float],
        error_s: float, tolerance_s: float = 0.0, margin_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._n, self._period_s, self._delay_s = n, period_s, delay_s
        self._error_s = error_s + _GRAIN_S
        self._earliest_s, latest_s = begun_s
        self._width_s = max(latest_s - self._earliest_s, 0.0)
        self._slack_s = max(period_s - delay_s - duration_s - self._error_s, tolerance_s + self._error_s)
        self._margin_s = margin_s
        self._quorum = quorum(period_s, error_s)
        self._same_s = duration_s / 2
        self._start_s: Floats = np.empty(0)
        self._counters: Ints = np.empty(0, np.int64)
        self._intact: Flags = np.empty(0, bool)
        self._paired: Flags = np.zeros(n, bool)
        self._told: Flags = np.empty(0, bool)
        self._faults: dict[str, int] = {}

    def add(self, stamps: Stamps) -> None:
        """Take the stamps of readings that came."""
        assert stamps.start_s is not None  # noqa: S101 (a run is only paired by time where there are stamps)
        # an incomplete reading may not tell its time: one from long before the run belongs to no step
        start_s = np.where(np.isnan(stamps.start_s), self._earliest_s - 1e6 * self._period_s, stamps.start_s)
        self._start_s = np.concatenate([self._start_s, start_s])
        if stamps.counters is not None:
            self._counters = np.concatenate([self._counters, stamps.counters])
        intact = np.ones(stamps.count, bool) if stamps.intact is None else stamps.intact
        self._intact = np.concatenate([self._intact, intact])
        self._told = np.concatenate([self._told, np.zeros(stamps.count, bool)])

    def decide(self, *, final: bool) -> Pairs:
        """Return the pairs that are certain by now and were not returned before.

        Args:
            final: No more readings will come.
        """
        good = self._intact & ~self._repeated()
        late_s = self._start_s - self._delay_s - self._earliest_s
        old = late_s < -self._error_s
        self._faults = {
            "incomplete": int((~self._intact).sum()),
            "repeated": int((self._intact & ~good).sum()),
            "from before the run": int((good & old).sum()),
        }
        good &= ~old
        if self._width_s + self._slack_s + 2 * self._error_s < self._period_s:
            steps = np.floor((late_s + self._error_s) / self._period_s).astype(np.int64)
            good &= (steps >= 0) & (steps < self._n)
            good &= self._is_punctual(late_s - steps * self._period_s, good)
        else:
            steps, good = self._by_count(late_s, good, final=final)
        return self._new(steps, good)

    def fault(self) -> str:
        """Return what is wrong with the readings that belong to no step."""
        faults = [f"{count} {what}" for what, count in self._faults.items() if count]
        lost = self._n - len(self._start_s)
        if lost > 0:
            faults.insert(0, f"{lost} of {self._n} never came")
        return ", ".join(faults) or "readings came at times that fit no step"

    def _repeated(self) -> Flags:
        """Return which readings were seen before: the same number, or the same time."""
        repeated = np.zeros(len(self._start_s), bool)
        if len(self._start_s) < 2:
            return repeated
        order = np.argsort(self._start_s, kind="stable")
        gaps = np.diff(self._start_s[order])
        close = gaps < self._same_s
        if len(self._counters):
            close |= np.diff(self._counters[order]) == 0
        repeated[np.maximum(order[1:], order[:-1])[close]] = True
        return repeated

    def _is_punctual(self, late_s: Floats, good: Flags) -> Flags:
        """Return which readings collected all their time after settling and before the next step began."""
        known_s = late_s[good]
        earliest_s, latest_s = 0.0, self._width_s
        if len(known_s) >= self._quorum:
            least_s = float(known_s.min())
            agree = int((known_s <= least_s + 2 * self._error_s).sum())
            if agree >= self._quorum and 2 * agree > len(known_s):
                earliest_s = latest_s = min(max(least_s, 0.0), self._width_s)
        settled: Flags = late_s >= latest_s - self._margin_s - 2 * self._error_s
        punctual: Flags = settled & (late_s <= earliest_s + self._slack_s)
        self._faults["late or early"] = int((good & ~punctual).sum())
        return punctual

    def _by_count(self, late_s: Floats, good: Flags, *, final: bool) -> tuple[Ints, Flags]:
        """Pair by number where it is not known to within a step when the run began: all readings, evenly, or none."""
        steps = np.zeros(len(late_s), np.int64)
        order = np.flatnonzero(good)[np.argsort(late_s[good], kind="stable")]
        even_s = late_s[order] - np.arange(len(order)) * self._period_s
        complete = final and len(order) == self._n >= self._quorum and bool(np.ptp(even_s) <= 2 * self._error_s)
        if complete:
            steps[order] = np.arange(self._n)
        elif final:
            self._faults["of a run with an uncertain start and gaps"] = len(order)
        return steps, good & complete

    def _new(self, steps: Ints, good: Flags) -> Pairs:
        readings = np.flatnonzero(good & ~self._told)
        if len(readings):
            readings = _first_of_each(readings, steps[readings])
            readings = readings[~self._paired[steps[readings]]]
        chosen = steps[readings]
        self._paired[chosen] = True
        self._told[readings] = True
        return Pairs(readings, chosen)


def match_windows(stamps: Stamps, windows_s: Floats, error_s: float) -> tuple[Pairs, str]:
    """Pair readings with steps of which it is known when each was settled and until when.

    Args:
        stamps: Of the readings, with times.
        windows_s: From when and until when a reading may collect, shape `(n, 2)`, increasing.
        error_s: By how much a time stamp may be off.

    Returns:
        The pairs, and what is wrong with the readings that belong to no step.
    """
    assert stamps.start_s is not None  # noqa: S101 (declared by the sensor)
    intact = np.ones(stamps.count, bool) if stamps.intact is None else stamps.intact
    begin_s, end_s = stamps.start_s - error_s, stamps.start_s + stamps.duration_s + error_s
    steps = np.searchsorted(windows_s[:, 0], begin_s + _GRAIN_S, side="right") - 1
    known = np.maximum(steps, 0)
    inside = (steps >= 0) & (end_s <= windows_s[known, 1] + _GRAIN_S)
    readings = np.flatnonzero(intact & inside)
    readings = _first_of_each(readings, steps[readings])
    faults = {
        "incomplete": int((~intact).sum()),
        "exposed before a pattern had settled or across a change": int((intact & ~inside).sum()),
        "repeated": int((intact & inside).sum()) - len(readings),
    }
    wrong = ", ".join(f"{count} {what}" for what, count in faults.items() if count)
    return Pairs(readings, np.asarray(steps[readings], np.int64)), wrong


def _first_of_each(readings: Ints, steps: Ints) -> Ints:
    """Return, of several readings of one step, the first only."""
    order = np.argsort(steps, kind="stable")
    in_order = steps[order]
    new = np.ones(len(order), bool)
    new[1:] = in_order[1:] != in_order[:-1]
    chosen = readings[order[new]]
    chosen.sort()
    return chosen
