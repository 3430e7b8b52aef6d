"""A clock on which things happen at their time."""

from collections.abc import Callable

from pnnlab.devices import SimulatedClock

__all__ = ["EventfulClock"]


class EventfulClock(SimulatedClock):
    """A simulated clock that stands for another thread: whoever waits, something happens at its moment meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[tuple[float, Callable[[], object]]] = []

    def at(self, time_s: float, event: Callable[[], object]) -> None:
        """Let something happen when a wait passes a moment."""
        self._events = sorted([*self._events, (time_s, event)], key=lambda entry: entry[0])

    def sleep_until(self, time_s: float) -> None:
        """See `Clock.sleep_until`."""
        while self._events and self._events[0][0] <= time_s:
            moment_s, event = self._events.pop(0)
            super().sleep_until(moment_s)
            event()
        super().sleep_until(time_s)
