"""Readings that a queue still holds when a new run is armed."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Stamps

__all__ = ["Leftovers"]

Rows = npt.NDArray[np.number]
Floats = npt.NDArray[np.float64]
Read = Callable[[Rows], tuple[Floats, Stamps]]
"""Fills rows; returns when each reading truly began, and the sensor's account of them."""


@dataclass(frozen=True, eq=False)
class _Reading:
    """A reading that waits: its row, when it truly began, and what the sensor says of it."""

    row: Rows
    start_s: float
    counter: int
    stamp_s: float
    intact: bool


class Leftovers:
    """The queue of a sensor that cannot be emptied: so many old readings come before the first one of each run.

    Where fewer were left over, the queue holds empty readings.

    Mutable: `refill`, `read` and `keep` change it.

    Args:
        n: How many.
        counts: Whether readings are numbered.
        stamps: Whether they have time stamps.
    """

    def __init__(self, n: int, *, counts: bool, stamps: bool) -> None:
        self._n, self._counts, self._stamps = n, counts, stamps
        self._waiting: deque[_Reading] = deque(maxlen=n)

    def refill(self, shape: tuple[int, ...], counter: int, now_s: float) -> None:
        """Be ready for a run of readings of a shape; empty ones carry this counter and are a second old."""
        if self._waiting and self._waiting[0].row.shape != shape:
            self._waiting.clear()
        while len(self._waiting) < self._n:
            self._waiting.appendleft(_Reading(np.zeros(shape), np.nan, counter, now_s - 1.0, True))

    def read(self, out: Rows, read: Read) -> tuple[Floats, Stamps]:
        """Fill rows with what waits, and those that are left by `read`."""
        old = [self._waiting.popleft() for _ in range(min(len(out), len(self._waiting)))]
        if not old:
            return read(out)
        for row, reading in zip(out, old, strict=False):
            row[...] = reading.row
        if len(old) == len(out):
            starts_s, new = np.empty(0), Stamps(0, 0.0)
        else:
            starts_s, new = read(out[len(old) :])

        empty, intact = np.empty(0), np.ones(new.count, bool) if new.intact is None else new.intact
        counters = [reading.counter for reading in old] + (empty if new.counters is None else new.counters).tolist()
        stamps_s = [reading.stamp_s for reading in old] + (empty if new.start_s is None else new.start_s).tolist()
        return np.concatenate([[reading.start_s for reading in old], starts_s]), Stamps(
            len(old) + new.count, new.duration_s, note=new.note,
            counters=np.array(counters, np.int64) if self._counts else None,
            start_s=np.array(stamps_s, np.float64) if self._stamps else None,
            intact=np.array([reading.intact for reading in old] + intact.tolist(), bool),
        )  # fmt: skip

    def keep(self, n: int, shape: tuple[int, ...], read: Read) -> None:
        """Let up to `n` readings that `read` still gives wait for the next run; of too many the oldest are lost."""
        rows = np.empty((n, *shape))
        starts_s, stamps = read(rows)
        for k in range(stamps.count):
            self._waiting.append(_Reading(
                rows[k], float(starts_s[k]), int(stamps.counters[k]) if stamps.counters is not None else 0,
                float(stamps.start_s[k]) if stamps.start_s is not None else 0.0,
                stamps.intact is None or bool(stamps.intact[k]),
            ))  # fmt: skip
