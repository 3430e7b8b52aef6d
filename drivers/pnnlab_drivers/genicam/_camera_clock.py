"""A camera's clock, told in the bench's time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Clock

__all__ = ["CameraClock", "Latch", "host_latch"]

_DRIFT: Final = 100e-6
"""Crystal oscillators of cameras and computers run apart by no more than this."""
_SYNC_S: Final = 0.25
"""The clocks are compared as often as this, so that they run apart by 25 us at the most meanwhile."""
_TRIES: Final = 10
"""A comparison that a busy computer interrupted is made again."""


@dataclass(frozen=True, slots=True)
class Latch:
    """One comparison of the clocks: the camera's showed `ticks` at some moment between two of the bench's.

    Attributes:
        before_s: Bench time before.
        after_s: Bench time after.
        ticks: What the camera's clock showed.
    """

    before_s: float
    after_s: float
    ticks: int

    @property
    def middle_s(self) -> float:
        """Return the likeliest moment."""
        return (self.before_s + self.after_s) / 2

    @property
    def half_s(self) -> float:
        """Return by how much that may be off."""
        return (self.after_s - self.before_s) / 2


def host_latch(clock: Clock) -> Latch:
    """Compare the bench's clock with this computer's time of day, in ns; for cameras that are set by it."""
    before_s = clock.now_s()
    ticks = time.time_ns()
    return Latch(before_s, clock.now_s(), ticks)


class CameraClock:
    """Time stamps of a camera in bench time.

    The clocks are compared again and again; between two comparisons time runs evenly. The error that is declared is
    half of the longest comparison that was accepted, and what the clocks may run apart after the latest one.

    Mutable: `restart` and `sync` compare.

    Args:
        clock: The bench's.
        latch: Makes one comparison.
        tick_s: The camera's unit of time.
        doubt_s: What stamps may be off besides.
    """

    def __init__(self, clock: Clock, latch: Callable[[], Latch], *, tick_s: float, doubt_s: float = 0.0) -> None:
        self._clock, self._latch, self._tick_s, self._doubt_s = clock, latch, tick_s, doubt_s
        first = min((latch() for _ in range(_TRIES)), key=lambda each: each.half_s)
        # comparisons to come may take twice as long as the best
        self._half_s = 2 * first.half_s
        self._known = [first]

    @property
    def error_s(self) -> float:
        """Return by how much a time in bench time may be off."""
        return self._half_s + self._doubt_s + self._tick_s + _DRIFT * _SYNC_S

    def restart(self) -> None:
        """Compare the clocks, and forget what was before: a run begins."""
        self._known = [self._compare()]

    def sync(self) -> None:
        """Compare the clocks if the last comparison is old."""
        if self._clock.now_s() - self._known[-1].after_s >= _SYNC_S:
            self._known.append(self._compare())

    def to_bench(self, ticks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the bench's time in s of moments on the camera's clock since the run began."""
        origin = self._known[0].ticks
        then_s = (ticks - origin) * self._tick_s
        known_s = np.array([(each.ticks - origin) * self._tick_s for each in self._known])
        middle_s = np.array([each.middle_s for each in self._known])
        # outside of what was compared the clocks run alike to within _DRIFT
        late_s = np.maximum(then_s - known_s[-1], 0) + np.minimum(then_s - known_s[0], 0)
        times: npt.NDArray[np.float64] = np.interp(then_s, known_s, middle_s) + late_s
        return times

    def _compare(self) -> Latch:
        best = self._latch()
        for _ in range(_TRIES):
            if best.half_s <= self._half_s:
                break
            best = min(best, self._latch(), key=lambda each: each.half_s)
        self._half_s = max(self._half_s, best.half_s)
        return best
