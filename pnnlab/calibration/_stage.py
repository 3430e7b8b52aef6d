"""Random patterns on a panel, and frames that are exposed at known times after each change."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.calibration._view import Pattern, Seen, Shown, View
from pnnlab.devices import Frames, State

__all__ = ["PATIENCE_S", "Ints", "Pattern", "Stage", "Steps"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PATIENCE_S: Final = 1.0
"""How much later than the devices' own times a frame may come, for transfer and a busy computer."""


@dataclass(frozen=True, eq=False)
class Steps:
    """What was seen of patterns that were shown one after the other.

    Attributes:
        y: The system's outputs of the frame of each step, shape `(n, n_out)`; NaN where there is no proven frame.
        delay_s: From the change, or the hand-over, of the pattern to the beginning of its exposure, shape `(n,)`.
        saturated: Part of all pixels that were at the top of their range.
    """

    y: Floats
    delay_s: Floats
    saturated: float


class Stage(ABC):
    """Shows patterns of a system's panel and exposes frames in the way in which the system measures.

    Mutable: it moves the panel and counts frames.

    Args:
        view: Of a system, whose devices nobody else may use meanwhile.
        patterns: Setpoints, shape `(n_patterns, ...)`.

    Attributes:
        from_handover: Whether delays count from the hand-over of a pattern, not from its change.
    """

    from_handover: bool

    def __init__(self, view: View, patterns: Pattern) -> None:
        self.view, self.patterns, self.clock = view, patterns, view.system.clock
        self.slm: Shown = view.shown
        self.camera: Seen = view.seen

    @property
    def error_s(self) -> float:
        """Return by how much a time stamp of the camera may be off, in s; 0 where there are none."""
        return self.camera.stamp_error_s or 0.0

    @property
    def longest_delay_s(self) -> float:
        """Return the longest delay that can be asked for, in s."""
        return math.inf

    @abstractmethod
    def expose(self, order: Ints, *, delay_s: float, hold_s: float) -> Steps:
        """Show patterns and expose one frame of each, at the same delay.

        Args:
            order: Numbers of the patterns, shape `(n,)`.
            delay_s: From the change, or the hand-over, to the exposure.
            hold_s: How long each is shown at the least.

        Raises:
            AcquisitionError: Hardly any frame came.
        """

    @abstractmethod
    def unsorted(self, pattern: int, n: int, *, hold_s: float) -> Floats:
        """Show one pattern, wait `hold_s`, arm the camera anew and return the first `n` frames as they come.

        Returns:
            Outputs, shape `(m, n_out)` with `m` up to `n`: frames that are not of this pattern are among them.
        """

    @contextmanager
    def exposing(self, exposure_s: float) -> Iterator[None]:
        """Expose for so long; afterwards the devices are disarmed and the exposure is what it was."""
        before_s = self.camera.exposure_s
        self.camera.configure(exposure_s=exposure_s)
        try:
            yield
        finally:
            for device in (self.slm, self.camera):
                device.disarm()  # does nothing where none is armed
            if self.camera.state is State.OPEN:  # made safe or broken, it takes no settings
                self.camera.configure(exposure_s=before_s)

    def stale_frames(self, *, hold_s: float) -> int:
        """Return how many frames show an old pattern although the camera was armed after the new one had settled.

        Judged by what is on the frames, not by what the camera says of them.
        """
        n = 4 + self.camera.stale_readings
        old = self.unsorted(0, n, hold_s=hold_s)[-1:]
        frames = self.unsorted(1, n, hold_s=hold_s)
        if not len(old) or not len(frames):
            return 0
        is_old = ((frames - old) ** 2).mean(1) < ((frames - frames[-1]) ** 2).mean(1)
        return int(np.argmin(is_old)) if not is_old.all() else 0

    def decoded(self, frames: Frames) -> Floats:
        """Return the outputs of frames, shape `(n, n_out)`."""
        return self._decoded(frames)[0]

    def _decoded(self, frames: Frames) -> tuple[Floats, float]:
        """Return the outputs of frames, and how many of their pixels or samples are at the end of their range."""
        return self.view.outputs(frames.counts)
