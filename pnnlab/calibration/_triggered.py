"""A panel that plays its patterns by itself, and a camera on its trigger line."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from pnnlab.calibration._stage import PATIENCE_S, Ints, Stage, Steps
from pnnlab.devices import Camera, SpatialLightModulator, Trigger
from pnnlab.errors import AbilityError, AcquisitionError

__all__ = ["TriggeredStage"]

Floats = npt.NDArray[np.float64]
_BLOCK: Final = 64
"""Frames that are kept at a time."""
_FEWEST: Final = 0.5
"""With fewer of its frames than this a run is no measurement."""
_GRAIN_S: Final = 1e-9
"""Rounding of times in double precision."""


@dataclass(frozen=True, eq=False)
class _Run:
    """The frames of one sequence as they came.

    Attributes:
        y: Outputs, shape `(n, n_out)`; NaN where a frame is incomplete.
        starts_s: Stamps of the frames.
        earliest_s: When `start` was called.
        latest_s: When it returned.
        saturated: Part of the pixels at the top of their range.
    """

    y: Floats
    starts_s: list[float]
    earliest_s: float
    latest_s: float
    saturated: float


class TriggeredStage(Stage):
    """Delays are kept by the camera and count from the trigger pulse, which marks the change."""

    from_handover = False
    slm: SpatialLightModulator
    camera: Camera

    @property
    def longest_delay_s(self) -> float:
        """See `Stage.longest_delay_s`."""
        return self.camera.max_delay_s

    def expose(self, order: Ints, *, delay_s: float, hold_s: float) -> Steps:
        """See `Stage.expose`."""
        size = self.slm.max_sequence - 1
        if size < 1:
            raise AbilityError(
                f"{self.slm.name}: a change takes two patterns on board, the instrument holds {size + 1}; "
                "set `sequence_memory` higher, or drive it without sequences"
            )
        parts = []
        for begin in range(0, len(order), size):
            # the first pulse after arming may show anything before it: play the pattern before once more
            lead = order[begin - 1] if begin else order[0]
            played = np.concatenate([[lead], order[begin : begin + size]])
            parts.append(self._play(played, delay_s, hold_s))
        y = np.concatenate([part.y[1:] for part in parts])
        self._require_frames(y)
        delays_s = np.concatenate([part.delay_s[1:] for part in parts])
        return Steps(y, delays_s, float(np.mean([part.saturated for part in parts])))

    def unsorted(self, pattern: int, n: int, *, hold_s: float) -> Floats:
        """See `Stage.unsorted`; what a panel shows before a sequence begins cannot be told, so one is played first."""
        self._play(np.full(min(2, self.slm.max_sequence), pattern), 0.0, hold_s)
        n = min(n, self.slm.max_sequence)
        return self._run(np.full(n, pattern), 0.0, self._period_s(0.0, 0.0)).y

    def first_pulse_s(self, order: Ints) -> float:
        """Play patterns once; return the time from the end of `start` to the first pulse in s, NaN if it was missed."""
        period_s = self._period_s(0.0, 0.0)
        run = self._run(order, 0.0, period_s)
        own_s = [time_s for time_s in sorted(set(run.starts_s)) if time_s >= run.earliest_s - self.error_s]
        if len(own_s) < 2 or abs(own_s[1] - own_s[0] - period_s) > 2 * self.error_s + _GRAIN_S:
            return np.nan  # lost, late or one too many: nothing tells that it is the first
        return own_s[0] - run.latest_s

    def _period_s(self, delay_s: float, hold_s: float) -> float:
        camera = self.camera
        # stamps that are off may make triggers seem too close to each other
        needed_s = delay_s + camera.exposure_s + camera.readout_s + 2 * self.error_s
        return max(self.slm.frame_period_s, hold_s, needed_s)

    def _play(self, order: Ints, delay_s: float, hold_s: float) -> Steps:
        """Play patterns; frames are sorted by step."""
        period_s = self._period_s(delay_s, hold_s)
        run = self._run(order, delay_s, period_s)
        late_s = np.array(run.starts_s) - delay_s - run.earliest_s
        steps = np.floor((late_s + self.error_s + _GRAIN_S) / period_s).astype(np.int64)
        late_s -= steps * period_s
        good = (steps >= 0) & (steps < len(order)) & ~np.isnan(run.y).any(1)
        sorted_y = np.full((len(order), self.view.n_out), np.nan)
        delays_s = np.full(len(order), np.nan)
        if good.any():
            late_s -= _trend(steps[good], late_s[good], steps)
            good &= np.abs(late_s) <= 2 * self.error_s + _GRAIN_S
            sorted_y[steps[good]], delays_s[steps[good]] = run.y[good], delay_s + late_s[good]
        return Steps(sorted_y, delays_s, run.saturated)

    def _run(self, order: Ints, delay_s: float, period_s: float) -> _Run:
        slm, camera, clock, n = self.slm, self.camera, self.clock, len(order)
        block = min(n, _BLOCK)
        ring = np.empty((block, *camera.roi.shape), camera.dtype)
        ys: list[Floats] = []
        starts_s: list[float] = []
        saturated = 0.0
        camera.arm_frames(n, trigger=Trigger.HARDWARE, delay_s=delay_s, out=ring)
        try:
            slm.arm_sequence(self.patterns[order], trigger=Trigger.INTERNAL, period_s=period_s)
            try:
                camera.start()
                earliest_s = clock.now_s()
                slm.start()
                latest_s = clock.now_s()
                for begin in range(0, n, block):
                    size = min(block, n - begin)
                    due_s = latest_s + delay_s + (begin + size) * period_s + camera.exposure_s + camera.readout_s
                    frames = camera.collect(size, timeout_s=max(due_s - clock.now_s(), 0.0) + PATIENCE_S)
                    y, share = self._decoded(frames)
                    if frames.stamps.intact is not None:
                        y[~frames.stamps.intact] = np.nan
                    assert frames.stamps.start_s is not None  # noqa: S101 (this mode is only chosen with stamps)
                    ys.append(y)
                    starts_s += frames.stamps.start_s.tolist()
                    saturated += share * len(y) / n
                    if len(y) < size:
                        break
                slm.wait(n * period_s + PATIENCE_S)
            finally:
                slm.disarm()
        finally:
            camera.disarm()
        return _Run(np.concatenate(ys), starts_s, earliest_s, latest_s, saturated)

    def _require_frames(self, y: Floats) -> None:
        came = float((~np.isnan(y).any(1)).mean())
        if came < _FEWEST:
            raise AcquisitionError(
                f"{self.camera.name}: {came:.0%} of the frames that {self.slm.name} triggered are proven to be those "
                "of their pulse; look at the trigger line"
            )


def _trend(steps: Ints, late_s: Floats, at: Ints) -> Floats:
    """Return how late frames are by a straight line through most of them: two devices' clocks never run alike."""
    if len(np.unique(steps)) < 3:
        return np.full(len(at), float(np.median(late_s)))
    slope, intercept, _, _ = stats.theilslopes(late_s, steps)
    return np.asarray(intercept + slope * at, np.float64)
