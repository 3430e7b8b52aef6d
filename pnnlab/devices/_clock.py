"""Where devices take their time from."""

import time
from typing import Protocol

__all__ = ["Clock", "RealClock", "SimulatedClock"]


class Clock(Protocol):
    """The bench's time, in seconds since an arbitrary start; it never runs backwards."""

    def now_s(self) -> float:
        """Return the present time in s."""
        ...

    def sleep_until(self, time_s: float) -> None:
        """Return once the clock shows `time_s` or later."""
        ...


class RealClock:
    """The computer's monotonic clock; waiting takes as long as it says."""

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return time.monotonic()

    def sleep_until(self, time_s: float) -> None:
        """See `Clock.sleep_until`."""
        # sleep may return early by the timer's grain: look again until the time has come
        while (left_s := time_s - time.monotonic()) > 0:
            time.sleep(left_s)


class SimulatedClock:
    """A clock that jumps: waiting takes no time, and the bench's seconds are still counted.

    Mutable: `sleep_until` moves it forward, nothing else does.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return self._now_s

    def sleep_until(self, time_s: float) -> None:
        """See `Clock.sleep_until`."""
        self._now_s = max(self._now_s, time_s)
