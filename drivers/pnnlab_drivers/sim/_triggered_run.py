"""A run of a simulated sensor: which triggers become readings, and which readings come when."""

import threading
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pnnlab.devices import Clock, Stamps, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab_drivers.sim._reading_faults import GOOD, Fate, SensorOptions
from pnnlab_drivers.sim._seen import Seen

__all__ = ["TriggerInput", "TriggeredRun"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.number]
Observe = Callable[[Floats], Tensor]
Convert = Callable[[Floats, Ints, Tensor], Rows]

_ROUNDING: Final = 1e-6
"""So much of a reading's length may a trigger come too early: sums of periods are rounded."""


class TriggerInput(Protocol):
    """Something that listens to the edges on a trigger line."""

    def begin(self, times_s: Floats) -> None:
        """Take edges, in the order of their times; those of a waveform come before they happen."""
        ...

    def withdraw(self, after_s: float) -> None:
        """Forget edges after a moment: they will not happen."""
        ...


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
        chained: Whether the first trigger starts all readings, one right after the other.
    """

    def __init__(
        self, device: str, what: str, n: int, trigger: Trigger, *, clock: Clock, options: SensorOptions,
        noise: np.random.Generator, first: int, duration_s: float, busy_s: float, delay_s: float = 0.0,
        advice: str, ahead: int = 0, chained: bool = False,
    ) -> None:  # fmt: skip
        self._device, self._what, self._n, self._trigger, self._advice = device, what, n, trigger, advice
        self._clock, self._options, self._noise = clock, options, noise
        self._first = 0 if options.restarts_counter else first
        self._duration_s, self._busy_s, self._delay_s = duration_s, busy_s, delay_s
        self._stamp_error_s = options.stamp_error_s if options.stamps else 0.0
        self._faultless = options.faults.never and not self._stamp_error_s
        self._chained = chained
        self._edge_s = -np.inf
        self._changing = threading.Lock()
        self._listening = False
        self._starts: list[float] = []
        self._fates: list[Fate] = []
        # numbers of readings in the order in which they come; swapped ones that wait for the next one
        self._queue: list[int] = []
        self._held: list[int] = []
        self._came = 0
        # what was seen of readings that are not converted yet, and rows that come later than their successors
        self._seen = Seen()
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
        self._listening, self._edge_s = True, self._clock.now_s()
        if self._trigger is Trigger.INTERNAL:
            self._admit(np.asarray(self._edge_s + self._busy_s * np.arange(self._n), np.float64))

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
        if not (self._chained and self._starts and self._starts[0] <= after_s + self._delay_s):
            self._keep_until(after_s + self._delay_s)

    def end(self) -> int:
        """Stop listening, forget readings that have not begun, and return the counter of the next run's first one."""
        self._listening = False
        self._keep_until(self._clock.now_s())
        return self._first + len(self._starts)

    def _admit(self, edges_s: Floats) -> None:
        with self._changing:
            if not self._listening or not len(edges_s):
                return
            # a trigger that comes while the sensor is busy is lost, as on a real one
            slack_s = _ROUNDING * self._busy_s + 4 * np.spacing(edges_s[-1])
            apart_s = self._busy_s - slack_s
            first_s = self._starts[-1] + apart_s if self._starts else -np.inf
            is_even = edges_s[0] >= first_s and bool((np.diff(edges_s) >= apart_s).all())
            if self._faultless and is_even and not self._chained:
                # thousands of edges at once are the rule, and starting them must not take the time of a shot
                self._accept(edges_s[: self._n - len(self._starts)].tolist())
                return
            for edge_s in edges_s.tolist():
                for start_s in self._seen_edges(edge_s):
                    if (not self._starts or start_s >= self._starts[-1] + apart_s) and len(self._starts) < self._n:
                        self._begin_from(start_s)

    def _seen_edges(self, edge_s: float) -> list[float]:
        """Return what the sensor sees of an edge; its own timer has none that could be missed or late."""
        before_s, self._edge_s = min(self._edge_s, edge_s), edge_s
        if self._faultless:
            return [edge_s]
        faults = self._options.faults
        if self._trigger is Trigger.INTERNAL:
            faults = faults.model_copy(update={"late": 0.0, "spurious": 0.0})
        return faults.edges(edge_s, before_s, self._noise)

    def _begin_from(self, start_s: float) -> None:
        """Start a reading; or, with the first trigger of a chain, all of them."""
        starts_s = [start_s]
        if self._chained:
            starts_s = (start_s + self._busy_s * np.arange(self._n)).tolist()
            if self._faultless:
                return self._accept(starts_s)
        for time_s in starts_s:
            self._starts.append(time_s)
            self._fates.append(self._options.faults.fate(self._stamp_error_s, self._noise))
            self._line_up(len(self._starts) - 1)

    def _accept(self, starts_s: list[float]) -> None:
        """Take triggers of which none is lost and whose readings all come well and in their order."""
        before = len(self._starts)
        self._starts += starts_s
        self._fates += [GOOD] * len(starts_s)
        self._queue += range(before, len(self._starts))

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
            ready_s = [self._starts[number] + self._busy_s + self._fates[number].stalled_s for number in numbers]
            ends_s = np.maximum.accumulate(ready_s)
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

    def _account(self, numbers: list[int], starts_s: Floats, fates: list[Fate], note: str) -> Stamps:
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
