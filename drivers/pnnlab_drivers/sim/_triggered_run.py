"""A run of a simulated sensor: which triggers become readings, and which readings come when."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock, DeviceOptions, Stamps, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.quantities import FrozenModel, Seconds

__all__ = ["ReadingFaults", "SensorOptions", "TriggerInput", "TriggeredRun"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.number]
Observe = Callable[[Floats], Tensor]
Convert = Callable[[Floats, Ints, Tensor], Rows]
Probability = Annotated[float, Field(ge=0, le=1)]

_ROUNDING: Final = 1e-6
"""So much of a reading's length may a trigger come too early: sums of periods are rounded."""


class ReadingFaults(FrozenModel):
    """How often the readings of a simulated sensor go wrong, as probabilities for each reading.

    Attributes:
        miss: Its trigger is not seen: nothing is taken, and the counter does not count it.
        drop: It is counted, and lost on its way.
        repeat: It comes twice.
        swap: It comes after the next one; the last one of a run cannot.
        incomplete: Its second half does not arrive and reads zero.
    """

    miss: Probability = 0.0
    drop: Probability = 0.0
    repeat: Probability = 0.0
    swap: Probability = 0.0
    incomplete: Probability = 0.0


class SensorOptions(DeviceOptions):
    """The options that say what a simulated sensor tells of its readings, and how often they go wrong.

    Attributes:
        counts: Whether readings are numbered.
        counter_modulus: The counter returns to zero after this many readings.
        restarts_counter: Whether each run begins with number 0; otherwise numbers run on.
        stamps: Whether readings have time stamps.
        stamp_error_s: Largest error of a time stamp; errors are drawn evenly up to there.
        faults: What goes wrong.
    """

    counts: bool = True
    counter_modulus: int = Field(default=65536, ge=2)
    restarts_counter: bool = False
    stamps: bool = True
    stamp_error_s: Seconds = Field(default=0.0, ge=0)
    faults: ReadingFaults = ReadingFaults()


class TriggerInput(Protocol):
    """Something that listens to the edges on a trigger line."""

    def begin(self, times_s: Floats) -> None:
        """Take edges, in the order of their times; those of a waveform come before they happen."""
        ...

    def withdraw(self, after_s: float) -> None:
        """Forget edges after a moment: they will not happen."""
        ...


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of a reading."""

    dropped: bool = False
    copies: int = 1
    swapped: bool = False
    intact: bool = True
    stamp_off_s: float = 0.0


_GOOD: Final = _Fate()


class TriggeredRun:
    """The readings of one armed run, from their triggers to the order in which they come.

    Each trigger that finds the sensor free starts one reading. What the sensor sees is asked for as soon as the
    readings' times are known, before their end is waited for, so that on a paced bench the simulation's computing does
    not add to the hardware's time; where the world changes after all before they end, it is asked again.

    Mutable: triggers and `read` move it on. `begin`, `withdraw` and `end` may be called from other threads.

    Args:
        device: Whose it is, for the messages.
        what: What a reading is called there, as `frame`.
        n: Readings at most.
        trigger: What starts them.
        clock: The bench's clock.
        options: What the sensor tells of them, and what goes wrong.
        noise: Source of the faults and of the stamps' errors; nothing is drawn from it where there are none.
        first: The counter of the first reading.
        duration_s: For how long each collects.
        busy_s: From the beginning of a reading until it is there and the next may begin.
        delay_s: From a trigger to the reading.
        advice: What may be wrong where triggers are missing, for the messages.
        ahead: So many readings are asked for in advance at most, beyond those that are read.
    """

    def __init__(
        self, device: str, what: str, n: int, trigger: Trigger, *, clock: Clock, options: SensorOptions,
        noise: np.random.Generator, first: int, duration_s: float, busy_s: float, delay_s: float = 0.0,
        advice: str, ahead: int = 0,
    ) -> None:  # fmt: skip
        self._device, self._what, self._n, self._trigger, self._advice = device, what, n, trigger, advice
        self._clock, self._options, self._noise = clock, options, noise
        self._first = 0 if options.restarts_counter else first
        self._duration_s, self._busy_s, self._delay_s = duration_s, busy_s, delay_s
        self._faultless = options.faults == ReadingFaults() and not (options.stamps and options.stamp_error_s)
        self._changing = threading.Lock()
        self._listening = False
        self._starts: list[float] = []
        self._fates: list[_Fate] = []
        # numbers of readings in the order in which they come; swapped ones that wait for the next one
        self._queue: list[int] = []
        self._held: list[int] = []
        self._came = 0
        # what was seen of readings that are not converted yet, and rows that come later than their successors
        self._seen = _Seen()
        self._reach, self._ahead = 0, ahead
        self._next = 0
        self._rows: dict[int, Rows] = {}

    @property
    def first_counter(self) -> int | None:
        """Return the counter of the first reading; `None` where the sensor does not count."""
        return self._first % self._options.counter_modulus if self._options.counts else None

    # Triggers

    def start(self) -> None:
        """Listen to triggers from now on; an internal timer starts all readings."""
        self._listening = True
        if self._trigger is Trigger.INTERNAL:
            self._admit(np.asarray(self._clock.now_s() + self._busy_s * np.arange(self._n), np.float64))

    def trigger(self) -> None:
        """Start a reading by software.

        Raises:
            AcquisitionError: It does not listen to software now.
        """
        if not self._listening or self._trigger is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self._device}: it does not listen to software triggers now; arm and start it for them"
            )
        self._admit(np.array([self._clock.now_s()]))

    def begin(self, times_s: Floats) -> None:
        """See `TriggerInput.begin`."""
        self._admit(times_s + self._delay_s)

    def withdraw(self, after_s: float) -> None:
        """See `TriggerInput.withdraw`."""
        self._keep_until(after_s + self._delay_s)

    def end(self) -> int:
        """Stop listening, forget readings that have not begun, and return the counter of the next run's first one."""
        self._listening = False
        self._keep_until(self._clock.now_s())
        return self._first + len(self._starts)

    def _admit(self, starts_s: Floats) -> None:
        with self._changing:
            if not self._listening or not len(starts_s):
                return
            # a trigger that comes while the sensor is busy is lost, as on a real one
            slack_s = _ROUNDING * self._busy_s + 4 * np.spacing(starts_s[-1])
            apart_s = self._busy_s - slack_s
            first_s = self._starts[-1] + apart_s if self._starts else -np.inf
            if self._faultless and starts_s[0] >= first_s and bool((np.diff(starts_s) >= apart_s).all()):
                # thousands of edges at once are the rule, and starting them must not take the time of a shot
                self._accept(starts_s[: self._n - len(self._starts)].tolist())
                return
            for start_s in starts_s.tolist():
                free = not self._starts or start_s >= self._starts[-1] + apart_s
                if free and len(self._starts) < self._n and not _happens(self._options.faults.miss, self._noise):
                    self._starts.append(start_s)
                    self._fates.append(self._drawn_fate())
                    self._line_up(len(self._starts) - 1)

    def _accept(self, starts_s: list[float]) -> None:
        """Take triggers of which none is lost and whose readings all come well and in their order."""
        before = len(self._starts)
        self._starts += starts_s
        self._fates += [_GOOD] * len(starts_s)
        self._queue += range(before, len(self._starts))

    def _drawn_fate(self) -> _Fate:
        noise, faults = self._noise, self._options.faults
        error_s = self._options.stamp_error_s if self._options.stamps else 0.0
        fate = _Fate(
            dropped=_happens(faults.drop, noise), copies=1 + _happens(faults.repeat, noise),
            swapped=_happens(faults.swap, noise), intact=not _happens(faults.incomplete, noise),
            stamp_off_s=float(noise.uniform(-error_s, error_s)) if error_s else 0.0,
        )  # fmt: skip
        return _GOOD if fate == _GOOD else fate

    def _line_up(self, number: int) -> None:
        fate = self._fates[number]
        copies = [number] * (0 if fate.dropped else fate.copies)
        if fate.swapped and not self._held and number < self._n - 1:
            self._held = copies
        else:
            self._queue += copies + self._held
            self._held = []

    def _keep_until(self, time_s: float) -> None:
        """Forget readings that begin later."""
        with self._changing:
            kept = int(np.searchsorted(self._starts, time_s, side="right"))
            if kept < len(self._starts):
                del self._starts[kept:], self._fates[kept:]
                # what comes of those that are kept comes in the same order as before
                self._queue, self._held = [], []
                for number in range(kept):
                    self._line_up(number)

    # Readings

    def wait(self, timeout_s: float) -> None:
        """Return when all readings of the run are taken.

        Raises:
            AcquisitionError: They are not within `timeout_s`.
        """
        deadline_s = self._clock.now_s() + timeout_s
        self._clock.sleep_until(min(self._done_s(), deadline_s))
        if self._done_s() > deadline_s:
            with self._changing:
                why = self._lateness(self._n)
            raise AcquisitionError(f"{self._device}: after {timeout_s:g} s the run is not done: {why}")

    def read(
        self, out: Rows, timeout_s: float, *, observe: Observe,
        convert: Convert, revision: Callable[[], int] = lambda: 0,
    ) -> tuple[Floats, Stamps]:  # fmt: skip
        """Fill rows with the next readings that come within a time.

        Args:
            out: The rows.
            timeout_s: How long to wait for all of them.
            observe: Gives what is seen by readings that begin at increasing times, one row each. It may be asked for
                them before they end, and again.
            convert: Makes rows of what they have seen, from when they began, their counters and that; each is converted
                once, in the order of their times, once they have ended. This is where noise is drawn.
            revision: Changes where what was observed of the future is no longer what will happen.

        Returns:
            When each reading truly began, in the order in which they come, and the sensor's account of them.
        """
        deadline_s = self._clock.now_s() + timeout_s
        numbers, ready_s = self._due(len(out), deadline_s)
        while True:
            self._foresee(numbers, observe, revision)
            self._clock.sleep_until(ready_s)
            before = numbers
            numbers, ready_s = self._due(len(out), deadline_s)
            if numbers == before and (not numbers or self._seen.revision == revision()):
                break
        self._fill(out, numbers, convert)
        with self._changing:
            starts_s = np.array([self._starts[number] for number in numbers])
            fates = [self._fates[number] for number in numbers]
            note = self._lateness(self._came + len(out)) if len(numbers) < len(out) else ""
        self._came += len(numbers)
        return starts_s, self._account(numbers, starts_s, fates, note)

    def _due(self, n: int, deadline_s: float) -> tuple[list[int], float]:
        """Return the next `n` readings, those that come until the deadline, and when it is certain that they do."""
        with self._changing:
            numbers = self._queue[self._came : self._came + n]
            ends_s = np.maximum.accumulate([self._starts[number] + self._busy_s for number in numbers])
        count = int(np.searchsorted(ends_s, deadline_s, side="right"))
        return numbers[:count], float(ends_s[-1]) if count == n else deadline_s

    def _foresee(self, numbers: list[int], observe: Observe, revision: Callable[[], int]) -> None:
        """Ask what is seen by all readings up to the given ones, and by some more."""
        if not numbers:
            return
        now = revision()
        with self._changing:
            self._seen = self._seen.still_true(self._starts, now)
            first = self._seen.numbers[-1] + 1 if self._seen.numbers else self._next
            stop = max(numbers) + 1
            if stop > first:
                stop = min(max(stop, first + self._reach), len(self._starts))
            fresh = [number for number in range(first, stop) if not self._fates[number].dropped]
            starts_s = [self._starts[number] for number in fresh]
        if fresh:
            self._seen = self._seen.with_more(fresh, starts_s, observe(np.array(starts_s)))
            # twice as many each time: the first readings wait for little, and the last ones are computed at once
            self._reach = min(2 * len(fresh), self._ahead)

    def _fill(self, out: Rows, numbers: list[int], convert: Convert) -> None:
        if not numbers:
            return
        stop = max(max(numbers) + 1, self._next)
        (fresh, starts_s, observed), self._seen = self._seen.split(stop)
        rows = convert(np.array(starts_s), self._counters(fresh), observed) if fresh else out[:0]
        self._next = stop
        if fresh == numbers and all(self._fates[number].intact for number in numbers):
            out[: len(numbers)] = rows
        else:
            self._rows |= dict(zip(fresh, rows, strict=True))
            for row, number in zip(out, numbers, strict=False):
                row[...] = self._rows[number]
                if not self._fates[number].intact:
                    row[len(row) // 2 :] = 0
        # of two that were swapped, each may come twice
        after = self._came + len(numbers)
        later = set(self._queue[after : after + 3])
        self._rows |= {number: row for number, row in zip(fresh, rows, strict=True) if number in later}
        self._rows = {number: row for number, row in self._rows.items() if number in later}

    def _account(self, numbers: list[int], starts_s: Floats, fates: list[_Fate], note: str) -> Stamps:
        options, intact = self._options, np.array([fate.intact for fate in fates], bool)
        return Stamps(
            len(numbers), self._duration_s, note=note,
            counters=self._counters(numbers) if options.counts else None,
            start_s=starts_s + np.array([fate.stamp_off_s for fate in fates]) if options.stamps else None,
            intact=None if intact.all() else intact,
        )  # fmt: skip

    def _counters(self, numbers: list[int]) -> Ints:
        return (self._first + np.array(numbers, np.int64)) % self._options.counter_modulus

    def _done_s(self) -> float:
        with self._changing:
            return self._starts[-1] + self._busy_s if len(self._starts) == self._n else np.inf

    def _lateness(self, wanted: int) -> str:
        """Return why so many readings have not come, as far as a sensor can know."""
        if len(self._starts) < min(wanted, self._n):
            return (
                f"{len(self._starts)} of {self._n} {self._what}s were started by {self._trigger} triggers; "
                f"{self._advice}, and trigger no faster than a {self._what} takes ({self._busy_s:g} s)"
            )
        late = self._starts[min(wanted, self._n) - 1] + self._busy_s > self._clock.now_s()
        return f"a {self._what} takes {self._busy_s:g} s; wait longer" if late else ""


def _happens(probability: float, noise: np.random.Generator) -> bool:
    """Return whether chance has it; where it cannot, nothing is drawn."""
    return probability > 0 and float(noise.random()) < probability


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was observed of readings that are not converted yet, one row each.

    Attributes:
        numbers: Which readings, increasing.
        starts_s: When they begin.
        rows: What they see.
        revision: Of the world in which they see it.
    """

    numbers: tuple[int, ...] = ()
    starts_s: tuple[float, ...] = ()
    rows: Tensor = field(default_factory=lambda: torch.empty(0))
    revision: int = 0

    def still_true(self, starts_s: list[float], revision: int) -> "_Seen":
        """Return what can be kept: readings that still begin when they did, in a world that has not changed."""
        kept = 0
        if revision == self.revision:
            for number, start_s in zip(self.numbers, self.starts_s, strict=True):
                if number >= len(starts_s) or starts_s[number] != start_s:
                    break
                kept += 1
        return _Seen(self.numbers[:kept], self.starts_s[:kept], self.rows[:kept], revision)

    def with_more(self, numbers: list[int], starts_s: list[float], rows: Tensor) -> "_Seen":
        """Return it with later readings added."""
        joined = torch.cat([self.rows, rows]) if self.numbers else rows
        return _Seen((*self.numbers, *numbers), (*self.starts_s, *starts_s), joined, self.revision)

    def split(self, stop: int) -> tuple[tuple[list[int], list[float], Tensor], "_Seen"]:
        """Return readings before number `stop` and the rest."""
        k = int(np.searchsorted(self.numbers, stop))
        rest = _Seen(self.numbers[k:], self.starts_s[k:], self.rows[k:], self.revision)
        return (list(self.numbers[:k]), list(self.starts_s[:k]), self.rows[:k]), rest
