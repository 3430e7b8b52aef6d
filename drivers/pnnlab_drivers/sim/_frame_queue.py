"""The frames that wait to be read."""

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["ARRIVAL", "Arrivals", "FrameQueue"]

ARRIVAL: Final = np.dtype(
    [
        ("number", np.int64),  # of the exposure, in the table's log
        ("start_s", np.float64),
        ("stamp_s", np.float64),  # what the camera says of it
        ("counter", np.int64),
        ("ready_s", np.float64),  # when it can be read
        ("rows", np.int64),  # that arrived; the others are zero or what was there before
        ("blank", np.bool_),
    ]
)
"""A frame on its way to the host."""

Arrivals = npt.NDArray[np.void]


class FrameQueue:
    """Frames in the order in which they come; full, it drops the newest.

    Mutable: every method but `due` moves it on.

    Args:
        capacity: Frames that can wait unread.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._frames: Arrivals = np.zeros(0, ARRIVAL)
        self.taken = 0

    def restart(self, frames: Arrivals) -> None:
        """Forget everything; these frames wait already."""
        self._frames, self.taken = frames, 0

    def put(self, frames: Arrivals) -> None:
        """Add frames that come, or will come, after all others."""
        if len(frames):
            self._frames = np.concatenate([self._frames, frames]) if len(self._frames) else frames

    def withdraw(self, numbers: npt.NDArray[np.int64]) -> None:
        """Take out frames of exposures that did not happen after all; none of them was read."""
        self._frames = self._frames[~np.isin(self._frames["number"], numbers)]

    def admit(self, now_s: float) -> None:
        """Let in what has come since the last reading; what finds the queue full is lost."""
        come = int(np.searchsorted(self._frames["ready_s"], now_s, side="right"))
        lost = slice(min(self.taken + self._capacity, come), come)
        if lost.stop > lost.start:
            self._frames = np.delete(self._frames, lost)

    def due(self, n: int, deadline_s: float) -> Arrivals:
        """Return the next frames that come by a time, `n` at the most."""
        waiting = self._frames[self.taken : self.taken + n]
        return waiting[: int(np.searchsorted(waiting["ready_s"], deadline_s, side="right"))]

    def take(self, n: int) -> None:
        """Move on by `n` frames that were read."""
        self.taken += n

    def newest(self, n: int, now_s: float) -> Arrivals:
        """Return the last `n` different frames that have come, read or not, in the order of exposure."""
        come = self._frames[self._frames["ready_s"] <= now_s]
        _, first = np.unique(come["number"], return_index=True)
        return come[first][-n:] if n else come[:0]
