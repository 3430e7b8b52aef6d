"""Sweeps over analog channels, and the records that are made of them."""

from collections import deque

import numpy as np
import numpy.typing as npt

from pnnlab_drivers.firmata._protocol import AnalogReading

__all__ = ["RecordBuilder", "Sweeps"]

Codes = npt.NDArray[np.int64]


class Sweeps:
    """Puts the readings of channels together to sweeps over all of them.

    The board goes through its channels in their order, again and again. A sweep in which one is missing, twice or out
    of its range is broken: bytes were lost or changed on the way.

    Mutable: it keeps the sweep that has begun.

    Args:
        channels: Of a sweep.
        top: Highest code.
    """

    def __init__(self, channels: tuple[int, ...], top: int) -> None:
        self._place = {channel: k for k, channel in enumerate(sorted(channels))}
        self._order = np.argsort(np.argsort(channels))  # from sorted channels to the order of the caller
        self._top = top
        self._codes: list[int] = []
        self._broken = False

    def clear(self) -> None:
        """Forget the sweep that has begun."""
        self._codes.clear()
        self._broken = False

    def feed(self, reading: AnalogReading) -> list[Codes | None]:
        """Return the sweeps that end with a reading, `None` for a broken one: one, or two, or mostly none."""
        place, ended = self._place.get(reading.channel), list[Codes | None]()
        if place is None:
            return ended
        if place == 0 and (self._codes or self._broken):
            ended.append(None)
            self.clear()
        self._broken |= place != len(self._codes) or reading.code > self._top
        self._codes.append(reading.code)
        if place == len(self._place) - 1:
            ended.append(None if self._broken else np.array(self._codes)[self._order])
            self.clear()
        return ended


class RecordBuilder:
    """Makes records of sweeps: after each trigger some are thrown away, and the next ones are a record.

    Mutable: everything moves it on.

    Args:
        n: Records at most.
        n_samples: Sweeps of a record.
        skipped: Sweeps after a trigger that are not used.
        chained: Whether one trigger makes all records, one right after the other.
    """

    def __init__(self, n: int, n_samples: int, skipped: int, *, chained: bool) -> None:
        self._left, self._n_samples, self._skipped, self._chained = n, n_samples, skipped, chained
        self._skip, self._running = 0, False
        self._sweeps: list[Codes | None] = []
        self.ready: deque[tuple[Codes, bool]] = deque()
        """Complete records, shape `(n_samples, n_channels)`, and whether nothing of them was lost."""

    @property
    def busy(self) -> bool:
        """Return whether a record is being taken."""
        return self._running

    @property
    def left(self) -> int:
        """Return how many records have not been taken."""
        return self._left

    def trigger(self) -> None:
        """Begin a record, or with the first trigger of a chain all of them."""
        if not self._running and self._left:
            self._running, self._skip = True, self._skipped

    def add(self, sweep: Codes | None, n_channels: int) -> None:
        """Take a sweep; `None` is a broken one."""
        if not self._running:
            return
        if self._skip:
            self._skip -= 1
            return
        self._sweeps.append(sweep)
        if len(self._sweeps) < self._n_samples:
            return
        intact = all(found is not None for found in self._sweeps)
        nothing = np.zeros(n_channels, np.int64)
        self.ready.append((np.stack([nothing if found is None else found for found in self._sweeps]), intact))
        self._sweeps.clear()
        self._left -= 1
        self._running = self._chained and self._left > 0

    def interrupt(self) -> None:
        """Mark what is being taken as broken: something may have been lost."""
        if self._running:
            self._sweeps = [None] * max(len(self._sweeps), 1)
