"""A panel that is written to, and a camera that the host triggers."""

from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.calibration._stage import PATIENCE_S, Ints, Stage, Steps
from pnnlab.calibration._view import Pattern, View
from pnnlab.devices import Frames, Trigger
from pnnlab.errors import AcquisitionError

__all__ = ["SteppedStage"]

Floats = npt.NDArray[np.float64]
_FEWEST: Final = 0.5
"""With fewer of its frames than this a run is no measurement."""


class SteppedStage(Stage):
    """Delays are kept by the host and count from the end of `write`; the camera's stamps tell what they were.

    Mutable: `stale` is to be set to what `stale_frames` finds.

    Attributes:
        stale: Frames that come after arming although they are older.
    """

    from_handover = True

    def __init__(self, view: View, patterns: Pattern) -> None:
        super().__init__(view, patterns)
        self.stale = self.camera.stale_readings
        software = Trigger.SOFTWARE in self.camera.triggers
        self.trigger = Trigger.SOFTWARE if software else Trigger.INTERNAL

    def expose(self, order: Ints, *, delay_s: float, hold_s: float) -> Steps:
        """See `Stage.expose`."""
        y = np.full((len(order), self.view.n_out), np.nan)
        delays_s, saturated = np.full(len(order), np.nan), 0.0
        free_s = self.clock.now_s() + hold_s
        for k, pattern in enumerate(order):
            self.arm(1 + self.stale)
            try:
                self.clock.sleep_until(free_s)
                self.slm.write(self.patterns[pattern])
                handed_s = self.clock.now_s()
                free_s = handed_s + max(hold_s, self.slm.frame_period_s)
                self.clock.sleep_until(handed_s + delay_s)
                called_s = self.fire()
                for _ in range(self.stale):
                    self.push()
                frames = self.camera.collect(1 + self.stale, timeout_s=self.wait_s * (1 + self.stale))
            finally:
                self.camera.disarm()
            found = self._own(frames, called_s)
            if found is not None:
                outputs, share = self._decoded(frames)
                y[k], delays_s[k] = outputs[found[0]], found[1] - handed_s
                saturated += share / len(order)
        came = float((~np.isnan(delays_s)).mean())
        if came < _FEWEST:
            raise AcquisitionError(
                f"{self.camera.name}: {came:.0%} of the frames that it was triggered for came and are whole; "
                "look at the camera and its cable"
            )
        return Steps(y, delays_s, saturated)

    def unsorted(self, pattern: int, n: int, *, hold_s: float) -> Floats:
        """See `Stage.unsorted`."""
        self.slm.write(self.patterns[pattern])
        self.clock.sleep_until(self.clock.now_s() + hold_s)
        self.arm(n)
        try:
            self.fire()
            for _ in range(n - 1):
                self.push()
            return self._decoded(self.camera.collect(n, timeout_s=self.wait_s * n))[0]
        finally:
            self.camera.disarm()

    @property
    def busy_s(self) -> float:
        """Return the shortest time from one frame to the next in s."""
        return self.camera.exposure_s + self.camera.readout_s + 2 * self.error_s

    @property
    def wait_s(self) -> float:
        """Return how long to wait for a frame in s."""
        return self.busy_s + PATIENCE_S

    def arm(self, n: int) -> None:
        """Be ready to expose `n` frames."""
        self.camera.arm_frames(n, trigger=self.trigger)
        if self.trigger is Trigger.SOFTWARE:
            self.camera.start()

    def fire(self) -> float:
        """Expose the first frame of an armed run; return when that was asked for, in s."""
        called_s = self.clock.now_s()
        if self.trigger is Trigger.SOFTWARE:
            self.camera.trigger()
        else:
            self.camera.start()
        return called_s

    def push(self) -> float:
        """Expose the next frame as soon as the camera can; return when that was asked for, in s."""
        self.clock.sleep_until(self.clock.now_s() + self.busy_s)
        return self.fire() if self.trigger is Trigger.SOFTWARE else self.clock.now_s()

    def _own(self, frames: Frames, called_s: float) -> tuple[int, float] | None:
        """Return which of the frames was exposed after `called_s` as the first one, and when."""
        stamps = frames.stamps
        if stamps.start_s is not None:
            own = np.flatnonzero(stamps.start_s >= called_s - self.error_s)
            index = int(own[0]) if len(own) else stamps.count
        else:
            index = self.stale
        if index >= stamps.count or (stamps.intact is not None and not stamps.intact[index]):
            return None
        return index, called_s if stamps.start_s is None else float(stamps.start_s[index])
