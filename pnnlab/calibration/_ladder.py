"""When light begins to change after a pattern was handed over, seen by frames that follow each other closely."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.calibration._progress import Progress
from pnnlab.calibration._stepped import SteppedStage
from pnnlab.devices import Trigger
from pnnlab.errors import AbilityError, AcquisitionError
from pnnlab.records import Value

__all__ = ["Ladder", "climb"]

Floats = npt.NDArray[np.float64]
_BEFORE: Final = 4
"""Frames of each repeat that are triggered before the pattern is handed over."""
_CLEAR: Final = 8.0
"""A frame that differs from the old pattern by so many standard deviations of those that cannot has changed."""
_VISIBLE: Final = 1e-6
"""The least change that counts where there is no noise at all, as a fraction of the squared step."""
_FEWEST: Final = 0.5
"""With fewer whole repeats than this part there is something wrong."""


@dataclass(frozen=True, eq=False)
class Ladder:
    """Frames around many hand-overs.

    Attributes:
        start_s: When each frame's exposure began, from the end of `write`, shape `(repeats, n_frames)`.
        change: Squared distance of each frame from the old pattern, as a fraction of that of the new one, same shape.
        trigger_s: From the call of `trigger` to the exposure, same shape; NaN where the camera has no stamps.
        low_s: The end of the last exposure that shows no change, or the call of `write`, whichever is later, shape
            `(repeats,)`; NaN where no change is seen.
        high_s: The end of the first exposure that shows one, shape `(repeats,)`.
    """

    start_s: Floats
    change: Floats
    trigger_s: Floats
    low_s: Floats
    high_s: Floats

    @property
    def seen(self) -> int:
        """Return in how many repeats a change was seen."""
        return int((~np.isnan(self.high_s)).sum())

    def latency_s(self) -> tuple[Value, Value]:
        """Return the least and the most time from the hand-over to the change.

        A change lies between the ends of two exposures, `low` and `high`; the ladder begins at another moment in each
        repeat, so over many repeats the smallest `high` comes near to the least latency from above, and the largest
        `low` near to the most latency from below. Where the latency does not vary, they pass each other and the truth
        lies between. Uncertainties are those of a uniform distribution over a rung (JCGM 100:2008, section 4.3.7), and
        of the extremes of as many draws from a uniform distribution as there are repeats: the range is missed by one
        part in `n + 1` at each end (David and Nagaraja, Order Statistics, 2003, section 2.1).
        """
        low_s, high_s = self.low_s[~np.isnan(self.low_s)], self.high_s[~np.isnan(self.high_s)]
        least_s, most_s = float(high_s.min()), float(low_s.max())
        if least_s > most_s:
            least_s = most_s = (least_s + most_s) / 2
        rung_s = float(np.median(high_s - low_s)) / np.sqrt(12)
        missed_s = (most_s - least_s) / (len(high_s) + 1)
        uncertainty_s = float(np.hypot(rung_s, missed_s))
        return Value(least_s, uncertainty_s, "s"), Value(most_s, uncertainty_s, "s")


def climb(
    stage: SteppedStage, *, repeats: int, hold_s: float, longest_s: float, rng: np.random.Generator,
    progress: Progress,
) -> Ladder:  # fmt: skip
    """Hand over two patterns in turn, with frames from before to well after each time.

    Args:
        stage: Its first two patterns are shown.
        repeats: How often.
        hold_s: How long a pattern is shown before the next one.
        longest_s: How long frames go on after a hand-over.
        rng: Chooses the moments.
        progress: Gets a step a repeat.

    Raises:
        AbilityError: The camera cannot be triggered by software.
        AcquisitionError: Too many frames are missing.
    """
    if stage.trigger is not Trigger.SOFTWARE:
        raise AbilityError(
            f"{stage.camera.name}: frames at known times need software triggers, the camera has "
            f"{', '.join(sorted(stage.camera.triggers))}; take the latency from the data sheet"
        )
    n = _BEFORE + 2 + int(np.ceil(longest_s / stage.busy_s))
    y = np.full((repeats, n, stage.view.n_out), np.nan)
    start_s, trigger_s = np.full((repeats, n), np.nan), np.full((repeats, n), np.nan)
    asked_s = np.zeros(repeats)
    stage.slm.write(stage.patterns[0])
    for k in range(repeats):
        # whatever rhythm the panel has, it must not be met at the same moment each time
        pause_s = hold_s + rng.uniform(0, stage.slm.frame_period_s)
        stage.clock.sleep_until(stage.clock.now_s() + pause_s)
        found = _repeat(stage, (k + 1) % 2, n, wait_s=rng.uniform(0, stage.busy_s))
        if found is not None:
            y[k], start_s[k], trigger_s[k], asked_s[k] = found
        progress.step()
    whole = int((~np.isnan(start_s[:, 0])).sum())
    if whole < max(2, repeats * _FEWEST):
        raise AcquisitionError(
            f"{stage.camera.name}: frames were missing or incomplete in {repeats - whole} of {repeats} repeats; look "
            "at the camera and its cable"
        )
    change, changed = _changes(y)
    end_s = start_s + stage.camera.exposure_s
    low_s, high_s = np.full(repeats, np.nan), np.full(repeats, np.nan)
    for k in np.flatnonzero(changed[:, _BEFORE:].any(1)).tolist():
        first = _BEFORE + int(np.argmax(changed[k, _BEFORE:]))
        low_s[k], high_s[k] = max(end_s[k, first - 1], asked_s[k]), end_s[k, first]
    return Ladder(start_s, change, trigger_s, low_s, high_s)


def _repeat(
    stage: SteppedStage, pattern: int, n: int, *, wait_s: float
) -> tuple[Floats, Floats, Floats, float] | None:  # fmt: skip
    """Hand over a pattern once.

    Returns:
        Outputs, when each frame began, from the hand-over and from its trigger, and when `write` was called, from the
        hand-over; `None` where a frame is missing.
    """
    camera, clock, behind = stage.camera, stage.clock, stage.stale
    called_s = np.empty(n + behind)
    ys: list[Floats] = []
    stamps_s: list[float] = []

    def take(frame: int) -> None:
        called_s[frame] = stage.fire()
        frames = camera.collect(1, timeout_s=stage.wait_s)
        clock.sleep_until(called_s[frame] + stage.busy_s)
        if frames.stamps.count and (frames.stamps.intact is None or frames.stamps.intact[0]):
            ys.append(stage.decoded(frames)[0])
            stamps_s.append(np.nan if frames.stamps.start_s is None else float(frames.stamps.start_s[0]))

    stage.arm(n + behind)
    try:
        for frame in range(_BEFORE):
            take(frame)
        asked_s = clock.now_s()
        stage.slm.write(stage.patterns[pattern])
        handed_s = clock.now_s()
        clock.sleep_until(handed_s + wait_s)
        for frame in range(_BEFORE, n + behind):
            take(frame)
    finally:
        camera.disarm()
    if len(ys) < n + behind:
        return None
    # frames come `behind` frames after those that were triggered
    stamp_s = np.array(stamps_s[behind:])
    start_s = np.where(np.isnan(stamp_s), called_s[:n], stamp_s)
    return np.stack(ys[behind:]), start_s - handed_s, stamp_s - called_s[:n], asked_s - handed_s


def _changes(y: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return how far each frame is from the old pattern, and whether that and the next one are clearly changed."""
    old = y[:, : _BEFORE - 1].mean(1, keepdims=True)
    distance = ((y - old) ** 2).mean(2)
    step = float(np.nanmedian(distance[:, -1]))
    # the frames that made the mean are nearer to it than others
    still = distance[:, : _BEFORE - 1] * (_BEFORE / (_BEFORE - 2))
    limit = float(np.nanmean(still) + _CLEAR * np.nanstd(still)) + _VISIBLE * step
    clear = distance > limit
    both = clear & np.concatenate([clear[:, 1:], clear[:, -1:]], axis=1)
    return distance / (step or 1.0), both
