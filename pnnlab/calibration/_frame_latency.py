"""The latency of a panel, told by frames."""

import numpy as np
import numpy.typing as npt
import xarray

from pnnlab.calibration._ladder import Ladder, climb
from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Findings
from pnnlab.calibration._stage import Stage
from pnnlab.calibration._stepped import SteppedStage
from pnnlab.calibration._triggered import TriggeredStage
from pnnlab.errors import AcquisitionError
from pnnlab.records import Value

__all__ = ["ladder_latency", "pulse_latency"]

Floats = npt.NDArray[np.float64]
_DATA_SHEETS = 5.0
"""A pattern counts as settled after so many times the data sheet's time."""
_UNKNOWN = Value(np.nan, np.nan, "s")
_PROBES = 8
"""Frames of each of two patterns that tell whether the light reacts."""
_DIFFERENT = 4.0
"""Patterns whose frames differ by so many times what the frames of one pattern do are told apart."""


def pulse_latency(
    stage: TriggeredStage, *, repeats: int, rng: np.random.Generator, progress: Progress
) -> Findings:  # fmt: skip
    """Return the time from the end of `start` to the first pulse, which marks the change."""
    hold_s = _hold_s(stage)
    if failures := _reaction(stage, hold_s):
        return _nothing(failures)
    stale = stage.stale_frames(hold_s=hold_s)
    progress.begin("starting sequences", repeats)
    each_s = np.empty(repeats)
    order = np.array([0, 1, 0])
    for k in range(repeats):
        # whatever rhythm the panel has, it must not be met at the same moment each time
        stage.clock.sleep_until(stage.clock.now_s() + rng.uniform(1, 2) * stage.slm.frame_period_s)
        each_s[k] = stage.first_pulse_s(order)
        progress.step()
    seen_s = each_s[~np.isnan(each_s)]
    if len(seen_s) < max(2, repeats / 2):
        raise AcquisitionError(
            f"{stage.camera.name}: the first pulse of {stage.slm.name} was missed in {repeats - len(seen_s)} of "
            f"{repeats} sequences; look at the trigger line"
        )
    least_s, most_s = float(seen_s.min()), float(seen_s.max())
    # stamps are off by up to their error; the extremes of n draws miss the range by one part in n + 1 at each end
    uncertainty_s = float(np.hypot(stage.error_s / np.sqrt(3), (most_s - least_s) / (len(seen_s) + 1)))
    values = {
        "latency_least_s": Value(least_s, uncertainty_s, "s"),
        "latency_most_s": Value(most_s, uncertainty_s, "s"),
        "stale_frames": Value(stale, 0.0, "1"),
    }
    about = {"long_name": "from the end of start to the first pulse", "units": "s"}
    data = xarray.Dataset({"latency_each_s": ("repeat", each_s, about)}, attrs={"repeats": repeats})
    return Findings(values, data, _doubts(stage, values))


def ladder_latency(
    stage: SteppedStage, *, repeats: int, longest_s: float, rng: np.random.Generator, progress: Progress
) -> Findings:  # fmt: skip
    """Return the time from the end of `write` to the first change of the light."""
    hold_s = _hold_s(stage)
    if not stage.slm.settle_s:  # no data sheet tells when what is seen has settled
        hold_s = max(hold_s, 4 * longest_s)
    # first of all: whoever takes old frames for new ones sees no light react
    stage.stale = stage.stale_frames(hold_s=hold_s)
    if failures := _reaction(stage, hold_s):
        return _nothing(failures)
    progress.begin("handing over patterns", repeats)
    ladder = climb(stage, repeats=repeats, hold_s=hold_s, longest_s=longest_s, rng=rng, progress=progress)
    values = {"latency_least_s": _UNKNOWN, "latency_most_s": _UNKNOWN}
    failures = (f"no change is seen within {longest_s:g} s of the hand-over; set a larger `longest`",)
    if ladder.seen == (~np.isnan(ladder.start_s[:, 0])).sum():
        values = dict(zip(values, ladder.latency_s(), strict=True))
        failures = ()
    elif ladder.seen:
        late = int((~np.isnan(ladder.start_s[:, 0])).sum()) - ladder.seen
        failures = (
            f"in {late} of {repeats} repeats no change is seen within {longest_s:g} s of the hand-over; "
            "set a larger `longest`",
        )
    if not np.isnan(ladder.trigger_s).all():
        known_s = ladder.trigger_s[~np.isnan(ladder.trigger_s)]
        # a frame's own time, and that stamps are off by up to their error
        spread_s = float(np.hypot(known_s.std(), stage.error_s / np.sqrt(3)))
        values["trigger_s"] = Value(float(known_s.mean()), spread_s, "s")
    values["stale_frames"] = Value(stage.stale, 0.0, "1")
    data = _ladder_data(ladder, stage.camera.exposure_s).assign_attrs(repeats=repeats, longest_s=longest_s)
    return Findings(values, data, failures or _doubts(stage, values))


def _ladder_data(ladder: Ladder, exposure_s: float) -> xarray.Dataset:
    frames = ("repeat", "frame")
    return xarray.Dataset(
        {
            "change": (frames, ladder.change, {"long_name": "squared distance from the old pattern", "units": "1"}),
            "last_unchanged_s": ("repeat", ladder.low_s, {"units": "s"}),
            "first_changed_s": ("repeat", ladder.high_s, {"units": "s"}),
        },
        coords={"frame_end_s": (frames, ladder.start_s + exposure_s, {"units": "s"})},
        attrs={"exposure_s": exposure_s},
    )


def _hold_s(stage: Stage) -> float:
    return max(_DATA_SHEETS * stage.slm.settle_s, _DATA_SHEETS * stage.slm.frame_period_s)


def _reaction(stage: Stage, hold_s: float) -> tuple[str, ...]:
    """Return why nothing can be said of the light: it does not depend on the pattern."""
    order = np.repeat(np.tile([0, 1], _PROBES // 2), 2)
    delay_s = min(hold_s, stage.longest_delay_s)
    # the first frame of each pattern may show the one before, if the panel is slower than its data sheet says
    y = stage.expose(order, delay_s=delay_s, hold_s=hold_s).y[1::2].reshape(-1, 2, stage.view.n_out)
    y = y[~np.isnan(y).any((1, 2))]
    if len(y) < 2:
        return (f"too few frames of {stage.camera.name} are whole; look at the camera and its cable",)
    between = float((np.diff(y.mean(0), axis=0) ** 2).mean())
    # the mean of n frames differs from that of n others by twice their variance over n
    by_chance = float(2 * y.var(0, ddof=1).mean() / len(y))
    if between > by_chance * (1 + _DIFFERENT * np.sqrt(2 / y.shape[2])) and between > 0:
        return ()
    return (
        f"no change is seen: the readings of {stage.camera.name} do not depend on the setpoints of {stage.slm.name}; "
        f"{stage.view.advice}",
    )


def _nothing(failures: tuple[str, ...]) -> Findings:
    return Findings({"latency_least_s": _UNKNOWN, "latency_most_s": _UNKNOWN}, xarray.Dataset(), failures)


def _doubts(stage: Stage, values: dict[str, Value]) -> tuple[str, ...]:
    """Return why the latency must not be relied on."""
    failures = []
    least, most = values["latency_least_s"], values["latency_most_s"]
    spread_s, doubt_s = most.value - least.value, 2 * float(np.hypot(least.uncertainty, most.uncertainty))
    if spread_s > stage.view.spread_s + doubt_s:
        failures.append(
            f"the latency varies by {spread_s:g} s, more than a frame period of {stage.slm.name} "
            f"({stage.slm.frame_period_s:g} s): patterns skip frames; look what keeps the computer or the link busy"
        )
    declared, found = stage.camera.stale_readings, int(values["stale_frames"].value)
    if found > declared:
        failures.append(
            f"{stage.camera.name} hands out {found} old frames after arming, its driver declares {declared}: readings "
            "without a time stamp would be paired with the wrong pattern; correct the driver's `stale_readings`"
        )
    return tuple(failures)
