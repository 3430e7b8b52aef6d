"""What goes wrong between a trigger and a frame in the host's memory."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.quantities import FrozenModel, Seconds
from pnnlab_drivers.sim._frame_queue import ARRIVAL, Arrivals

__all__ = ["CameraFaults", "Transport", "TriggerLine"]

FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Noise = Callable[[str], np.random.Generator]
"""The plant's noise source for one kind of fault; faults that are off draw nothing."""


class CameraFaults(FrozenModel):
    """The options `faults` of `sim-camera`: how often a frame suffers what; 0 is never.

    Attributes:
        miss: A trigger is ignored: not exposed, not counted.
        late: A trigger is answered late: the exposure begins up to `late_by` after trigger and delay.
        late_by_s: Least and most time of that, evenly spread.
        spurious: A pulse too many on the trigger line since the trigger before, or since the start of the run: it is
            exposed and counted like any other, and takes the place of the last frame of the run.
        drop: Exposed and counted, but never delivered.
        repeat: Delivered twice, with the same counter and stamp.
        swap: Delivered after its successor; the last frame of a run has none.
        incomplete: The lower part is missing, zero or what was in the memory before; the camera says so.
        nameless: Incomplete frames tell neither their number nor their time: the packet with these was lost.
        stall: The frame, and so what follows it, arrives `stall_by` after read-out.
        stall_by_s: Time of that.
    """

    miss: float = Field(default=0.0, ge=0, le=1)
    late: float = Field(default=0.0, ge=0, le=1)
    late_by_s: tuple[Seconds, Seconds] = (0.0, 10e-3)
    spurious: float = Field(default=0.0, ge=0, le=1)
    drop: float = Field(default=0.0, ge=0, le=1)
    repeat: float = Field(default=0.0, ge=0, le=1)
    swap: float = Field(default=0.0, ge=0, le=1)
    incomplete: float = Field(default=0.0, ge=0, le=1)
    nameless: bool = False
    stall: float = Field(default=0.0, ge=0, le=1)
    stall_by_s: Seconds = Field(default=1.0, ge=0)


class TriggerLine:
    """What becomes of trigger edges before they start exposures.

    Args:
        faults: How often what goes wrong.
        noise: Where chance comes from.
    """

    def __init__(self, faults: CameraFaults, noise: Noise) -> None:
        self._faults, self._noise = faults, noise

    def distort(self, edges_s: FloatArray, before_s: float) -> tuple[FloatArray, FloatArray]:
        """Return the edges that the sensor sees, and by how much each is answered late.

        Args:
            edges_s: What was sent, ascending, shape `(n,)`.
            before_s: When the edge before was sent, or the run started.

        Returns:
            Edges in the order of time and lateness in s, both shape `(m,)`.
        """
        faults, n = self._faults, len(edges_s)
        if not (faults.miss or faults.late or faults.spurious):
            return edges_s, np.zeros(n)
        if faults.spurious:
            happens, where = self._noise("spurious").random((2, n))
            gaps_s = np.diff(edges_s, prepend=before_s)
            extra_s = (edges_s - where * gaps_s)[happens < faults.spurious]
        edges_s = edges_s[~_happens(faults.miss, self._noise, "miss", n)]
        if faults.spurious:
            edges_s = np.sort(np.concatenate([edges_s, extra_s]))
        late_s = np.zeros(len(edges_s))
        if faults.late:
            late = _happens(faults.late, self._noise, "late", len(edges_s))
            late_s = np.where(late, self._noise("late").uniform(*faults.late_by_s, len(edges_s)), 0.0)
        return edges_s, late_s


class Transport:
    """The way of frames from the sensor into the queue; it keeps their order except where a swap is drawn.

    Mutable: `deliver` remembers a frame that waits for its successor.

    Args:
        faults: How often what goes wrong.
        noise: Where chance comes from.
        height: Rows of a frame.
    """

    def __init__(self, faults: CameraFaults, noise: Noise, height: int) -> None:
        self._faults, self._noise, self._height = faults, noise, height
        self._held: Arrivals = np.zeros(0, ARRIVAL)
        self._held_copies = np.zeros(0, np.int64)
        self._ready_s = -np.inf

    def deliver(self, frames: Arrivals, *, last: bool) -> Arrivals:
        """Return what arrives of frames, in its order.

        Args:
            frames: In the order of exposure.
            last: Whether the run has no more of them.
        """
        faults, n = self._faults, len(frames)
        if not (faults.drop or faults.repeat or faults.swap or faults.incomplete or faults.stall):
            return frames
        if faults.incomplete:
            cut = _happens(faults.incomplete, self._noise, "incomplete", n)
            frames["rows"] = np.where(cut, self._noise("incomplete").integers(0, self._height, n), frames["rows"])
            frames["blank"] = self._noise("incomplete").random(n) < 0.5
        frames["ready_s"] += faults.stall_by_s * _happens(faults.stall, self._noise, "stall", n)
        copies = 1 + _happens(faults.repeat, self._noise, "repeat", n).astype(np.int64)
        copies[_happens(faults.drop, self._noise, "drop", n)] = 0
        swaps = _happens(faults.swap, self._noise, "swap", n)
        frames, copies = self._swapped(frames, copies, swaps, last=last)
        frames = np.repeat(frames, copies)
        if len(frames):
            # one link: nothing overtakes what is stuck in it
            frames["ready_s"] = np.maximum.accumulate(frames["ready_s"]).clip(self._ready_s)
            self._ready_s = frames["ready_s"][-1]
        return frames

    def withdraw(self, numbers: npt.NDArray[np.int64]) -> None:
        """Forget exposures that did not happen after all."""
        kept = ~np.isin(self._held["number"], numbers)
        self._held, self._held_copies = self._held[kept], self._held_copies[kept]

    def _swapped(
        self, frames: Arrivals, copies: npt.NDArray[np.int64], swaps: Flags, *, last: bool
    ) -> tuple[Arrivals, npt.NDArray[np.int64]]:
        swaps = np.concatenate([np.ones(len(self._held), bool), swaps])
        frames = np.concatenate([self._held, frames])
        copies = np.concatenate([self._held_copies, copies])
        order = np.arange(len(frames))
        moved = -1
        for k in np.flatnonzero(swaps[:-1]).tolist():
            if k > moved:
                order[k], order[k + 1] = k + 1, k
                moved = k + 1
        # the last one known, if it was not moved already, waits for the one to come
        waits = not last and bool(swaps[-1:].any()) and moved < len(frames) - 1
        n = len(frames) - waits
        self._held, self._held_copies = frames[n:], copies[n:]
        return frames[order[:n]], copies[order[:n]]


def _happens(probability: float, noise: Noise, fault: str, n: int) -> Flags:
    """Return to which of `n` frames a fault happens; one that is off draws nothing."""
    if not probability:
        return np.zeros(n, np.bool_)
    return np.asarray(noise(fault).random(n) < probability)
