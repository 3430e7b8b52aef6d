"""How long light takes to settle after a pattern has changed."""

import math
from dataclasses import dataclass
from typing import ClassVar, Final, cast

import numpy as np
import numpy.typing as npt
import xarray
from pydantic import Field

from pnnlab.calibration._ladder import climb
from pnnlab.calibration._options import RoutineOptions
from pnnlab.calibration._panel import Curve, Panel
from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Findings, Routine, mode_of
from pnnlab.calibration._settled import ResponseCurve, settled_after
from pnnlab.calibration._squares import mean_square, noise_of, root
from pnnlab.calibration._stage import Stage
from pnnlab.calibration._stepped import SteppedStage
from pnnlab.calibration._triggered import TriggeredStage
from pnnlab.calibration._view import PanelSystem, view_of
from pnnlab.quantities import Seconds
from pnnlab.records import CalibrationRecord, Value
from pnnlab.systems import DacAdc, System

__all__ = ["Settling", "SettlingOptions"]

Floats = npt.NDArray[np.float64]
_DATA_SHEETS: Final = 5.0
"""So many times the data sheet's time is waited at the most."""
_OCTAVES: Final = 6
"""The shortest coarse delay above zero is the longest one halved so often."""
_COARSE: Final = 2
"""Coarse delays an octave."""
_FINE: Final = 12
"""Fine delays an octave: neighbours are 6 % apart."""
_SHORT: Final = 20.0
"""An exposure is this part of the data sheet's time, unless the system's is shorter."""
_SIGMAS: Final = 2.0
"""What lies above or below the tolerance by so many standard uncertainties does so."""
_SATURATED: Final = 0.05
"""With more of its pixels at the top of their range a frame does not tell what the light does."""
_CHANGES: Final = 12
"""Hand-overs that are watched where delays count from them."""


class SettlingOptions(RoutineOptions):
    """The options of `settling`.

    Attributes:
        tolerance: Light is settled when no more than this part of a step is left (root mean square over outputs).
        patterns: Random patterns, shown in a ring; as many transitions.
        averages: How often each transition is seen at each delay.
        exposure_s: `null` takes a 20th of the data sheet's time, or the system's exposure where that is shorter.
        longest_s: Longest delay; `null` takes five times the data sheet's time, and five frame periods at the least.
    """

    tolerance: float = Field(default=0.01, gt=0, lt=0.5)
    patterns: int = Field(default=8, ge=2)
    averages: int = Field(default=16, ge=2)
    exposure_s: Seconds | None = Field(default=None, gt=0)
    longest_s: Seconds | None = Field(default=None, gt=0)


@dataclass(frozen=True, eq=False)
class _Look:
    """What was seen of all transitions at one delay.

    Attributes:
        delay_s: Mean of the delays that were kept.
        left: Mean squared distance from settled light, shape `(n_transitions,)`.
        step: The same of the light before the change.
        noise: Variance of the difference of two frames, mean over outputs and transitions.
        n_noisy: Outputs and transitions that have noise (`noise_of`).
        saturated: Part of the pixels at the top of their range.
    """

    delay_s: float
    left: Floats
    step: Floats
    noise: float
    n_noisy: float
    saturated: float


class Settling(Routine):
    """Exposes frames at growing delays after random patterns follow each other, or records after random voltages.

    The patterns of a ring are shown twice each: the first frame of a pair comes so long after a change, the second one
    a whole period later. What is left of the step is the root mean square of their difference over that of the step,
    both without what noise adds to them (`mean_square`); as both frames of a pair are taken within a period, slow
    drifts of the light fall out. Delays run from zero to several times the data sheet's, geometrically, and once more
    with finer steps and more repeats around the one where the tolerance is met.

    A delay is the beginning of an exposure, as for the system; the frame is the mean of the light over the exposure, in
    which the light settles further. So the time holds for exposures that are as long as the routine's or longer; a
    shorter one may need longer, by the routine's exposure at the most. This is why the exposure is short.

    Where the panel plays sequences, delays count from the trigger pulse. Where it is written to, they count from the
    end of `write`, and the mean latency, which frames around some hand-overs tell, is taken off.
    """

    kind: ClassVar[str] = "settling"
    summary: ClassVar[str] = "from the change of a pattern to settled light"
    Options: ClassVar[type[RoutineOptions]] = SettlingOptions

    def applies(self, system: System) -> str:
        """See `Routine.applies`."""
        if isinstance(system, DacAdc) and system.mode == "steps":
            return system.no_overlap
        if isinstance(system, PanelSystem):
            return ""
        return "only light behind a panel and static voltages settle; how long a circuit rests says its encoder"

    def panels(self, record: CalibrationRecord) -> tuple[Panel, ...]:
        """See `Routine.panels`."""
        data = record.data
        if "response" not in data:
            return ()
        x, y = (np.asarray(data[name].values, np.float64) for name in ("delay_s", "response"))
        order = np.argsort(x)
        curve = Curve("response", x[order], y[order], np.asarray(data["response_error"].values)[order])
        settle = record.values["settle_s"]
        marks = {"settled": (settle.value, settle.uncertainty)} if settle.is_finite else {}
        levels = {"tolerance": float(data.attrs["tolerance"])}
        floor = record.values["noise_floor"]
        if floor.is_finite:
            levels["noise floor"] = floor.value
        return (
            Panel("What is left of a step", "delay", "s", "response", "1", (curve,), levels, marks, log_y=True),
        )  # fmt: skip

    def _measure(self, system: System, options: RoutineOptions, progress: Progress) -> Findings:
        return _Measurement(cast(PanelSystem | DacAdc, system), cast(SettlingOptions, options), progress).findings()


class _Measurement:
    """One calibration while it goes on."""

    def __init__(self, system: PanelSystem | DacAdc, options: SettlingOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._rng = np.random.default_rng(options.seed)
        view = view_of(system)
        patterns = view.random(options.patterns, self._rng)
        triggered = mode_of(system) == "sequence"
        self._stage: Stage = TriggeredStage(view, patterns) if triggered else SteppedStage(view, patterns)
        slm = self._stage.slm
        longest_s = max(_DATA_SHEETS * slm.settle_s, 5 * slm.frame_period_s)
        if options.longest_s is not None:
            longest_s = options.longest_s
        self._longest_s = min(longest_s, self._stage.longest_delay_s)
        self._exposure_s = options.exposure_s or _short_exposure_s(self._stage)

    def findings(self) -> Findings:
        """Measure."""
        with self._stage.exposing(self._exposure_s):
            self._exposure_s = self._stage.camera.exposure_s
            latency = Value(0.0, 0.0, "s")
            if isinstance(self._stage, SteppedStage):
                self._stage.stale = self._stage.stale_frames(hold_s=self._longest_s)
            self._progress.begin("looking at settled light", 1)
            self._probe = probe = self._look(self._longest_s, self._longest_s, self._few)
            failures = self._faults(probe)
            if not failures and isinstance(self._stage, SteppedStage):
                latency, failures = self._latency(self._stage)
            if failures:
                return self._report(None, Value(np.nan, np.nan, "s"), latency, failures)
            coarse = self._coarse(probe)
            found, uncertainty, _ = coarse.square(self._rng)
            clear = np.flatnonzero(found > self._tolerance**2 + _SIGMAS * uncertainty)
            last = int(clear[-1]) if len(clear) else 0
            if last + 1 == len(found):
                failures = (self._unsettled(float(np.sqrt(found[-1]))),)
                return self._report(coarse, Value(np.nan, np.nan, "s"), latency, failures)
            fine = self._fine(coarse, last)
            whole = coarse.joined(fine)
            settle = settled_after(fine, self._tolerance, self._rng)
            return self._report(whole, settle, latency, self._doubts(fine, settle, whole))

    @property
    def _tolerance(self) -> float:
        return self._options.tolerance

    @property
    def _few(self) -> int:
        """How often each transition is seen at coarse delays."""
        return max(2, self._options.averages // 4)

    # Looking

    def _look(self, delay_s: float, hold_s: float, repeats: int) -> _Look:
        """See every transition of the ring `repeats` times at one delay."""
        ring = np.repeat(np.arange(self._options.patterns), 2)
        # one more pair in front, so that the first transition is that of the ring, too
        order = np.concatenate([ring[-2:], np.tile(ring, repeats)])
        steps = self._stage.expose(order, delay_s=delay_s, hold_s=hold_s)
        pairs = steps.y[2:].reshape(repeats, self._options.patterns, 2, -1)
        changed, settled = pairs[:, :, 0], pairs[:, :, 1]
        before = np.concatenate([steps.y[None, 1:2], settled.reshape(1, -1, settled.shape[2])[:, :-1]], axis=1)
        difference = changed - settled
        taken = ~np.isnan(difference).any(2)
        self._progress.step()
        return _Look(
            float(steps.delay_s[2::2].reshape(taken.shape)[taken].mean()),
            mean_square(difference),
            mean_square(before.reshape(settled.shape) - settled),
            *noise_of(difference),
            steps.saturated,
        )

    def _curve(self, looks: list[_Look]) -> ResponseCurve:
        looks = sorted(looks, key=lambda look: look.delay_s)
        steps = np.nanmean([look.step for look in looks], axis=0)
        return ResponseCurve(np.array([look.delay_s for look in looks]), np.stack([look.left for look in looks]), steps)

    def _coarse(self, probe: _Look) -> ResponseCurve:
        """See the whole range; its end was seen already."""
        octaves = np.arange(1, _OCTAVES * _COARSE + 1) / _COARSE
        delays_s = [0.0, *(self._longest_s / 2 ** octaves[::-1]).tolist()]
        self._progress.begin("looking at short and long delays", len(delays_s))
        return self._curve([probe, *(self._look(delay_s, self._longest_s, self._few) for delay_s in delays_s)])

    def _fine(self, coarse: ResponseCurve, last: int) -> ResponseCurve:
        """See what follows the last delay that is clearly not settled, until two in a row clearly are."""
        low_s, next_s = coarse.delay_s[last], coarse.delay_s[last + 1]
        steps = np.arange(1, math.ceil(_FINE * math.log2(self._longest_s / max(low_s, next_s / 2))) + 1)
        delays_s = low_s * 2 ** (np.concatenate([[-1, 0], steps]) / _FINE)
        if last == 0:
            delays_s = np.linspace(0.0, self._longest_s, math.ceil(_FINE * self._longest_s / next_s) + 1)
        # settled light is as long after a change as the tolerance is met after it, and a half more
        hold_s = min(self._longest_s, 1.5 * float(coarse.delay_s[min(last + 2, len(coarse.delay_s) - 1)]))
        self._progress.begin("looking closely where the light settles", 2 * _FINE // _COARSE)
        looks: list[_Look] = []
        for delay_s in delays_s[delays_s <= self._longest_s * (1 + 1e-9)].tolist():
            looks.append(self._look(delay_s, hold_s, self._options.averages))
            if len(looks) >= 4:
                curve = self._curve(looks)
                found, uncertainty, _ = curve.square(self._rng)
                if (found + _SIGMAS * uncertainty < self._tolerance**2)[-2:].all():
                    break
        return self._curve(looks)

    def _latency(self, stage: SteppedStage) -> tuple[Value, tuple[str, ...]]:
        """Return the mean time from a hand-over to the change, and why there is none."""
        self._progress.begin("looking when patterns begin to change", _CHANGES)
        ladder = climb(
            stage, repeats=_CHANGES, hold_s=self._longest_s, longest_s=self._longest_s, rng=self._rng,
            progress=self._progress,
        )  # fmt: skip
        if not ladder.seen:
            return Value(np.nan, np.nan, "s"), (f"no pattern began to change within {self._longest_s:g} s",)
        least, most = ladder.latency_s()
        uncertainty_s = math.hypot(least.uncertainty, (most.value - least.value) / math.sqrt(12))
        return Value((least.value + most.value) / 2, uncertainty_s, "s"), ()

    # Judging

    def _faults(self, probe: _Look) -> tuple[str, ...]:
        """Return why nothing can be said, after a first look at settled light."""
        stage, options = self._stage, self._options
        if probe.saturated > _SATURATED:
            return (
                f"{probe.saturated:.0%} of {stage.camera.name}'s {stage.view.parts} saturate at an exposure of "
                f"{self._exposure_s:g} s; {stage.view.less}",
            )
        step = float(np.nanmean(probe.step))
        doubt = float(np.nanstd(probe.step)) / math.sqrt(options.patterns) + probe.noise / math.sqrt(options.averages)
        if not step > _SIGMAS * doubt:
            return (
                f"the frames of {stage.camera.name} do not react to {stage.slm.name}: patterns differ by "
                f"{math.sqrt(max(step, 0)):.2g} of full scale, frames of one pattern by {math.sqrt(probe.noise):.2g}; "
                f"{stage.view.advice}",
            )
        floor = self._floor(probe).value
        if floor > self._tolerance:
            return (self._noisy(floor),)
        return ()

    def _floor(self, probe: _Look) -> Value:
        """Return the smallest response that is told from none.

        The squared response of `n` noisy numbers and `r` repeats has the standard uncertainty
        `noise sqrt(2 / (n r (r - 1)))`, where noise is the variance of a difference of frames over the squared step:
        the variance of a U-statistic of normal numbers without signal (Hoeffding, Ann. Math. Stat. 19, 293, 1948).
        """
        step, repeats = float(np.nanmean(probe.step)), self._options.averages
        if not step > 0:
            return Value(np.nan, np.nan, "1")
        doubt = probe.noise / step * math.sqrt(2 / (probe.n_noisy * repeats * (repeats - 1)))
        floor = math.sqrt(_SIGMAS * doubt)
        # it goes with the root of noise over step; a variance of k numbers is right to a part sqrt(2 / k)
        noise_part = math.sqrt(2 / (probe.n_noisy * (self._few - 1)))
        step_part = float(np.nanstd(probe.step)) / math.sqrt(self._options.patterns) / step
        return Value(floor, floor * math.hypot(noise_part, step_part) / 2, "1")

    def _noisy(self, floor: float) -> str:
        # the floor's square falls with the number of averages, and of photons
        factor = (floor / self._tolerance) ** 2
        averages = math.ceil(1.2 * factor * self._options.averages)
        return (
            f"the noise floor {floor:.2%} is above the tolerance {self._tolerance:.2%}: set `averages` {averages} or "
            f"`exposure` {1.2 * factor * self._exposure_s * 1e3:.2g} ms, or a larger `tolerance`"
        )

    def _unsettled(self, response: float) -> str:
        stage = self._stage
        limited = " (the camera delays no longer)" if self._longest_s >= stage.longest_delay_s else ""
        return (
            f"the {stage.view.what} never settles: {response:.2%} of a step is left after the longest delay of "
            f"{self._longest_s:g} s{limited}, the tolerance is {self._tolerance:.2%}; set a larger `longest`"
        )

    def _doubts(self, fine: ResponseCurve, settle: Value, whole: ResponseCurve) -> tuple[str, ...]:
        if not settle.is_finite:
            found, _, _ = fine.square(self._rng)
            return (self._unsettled(float(np.sqrt(max(found[-1], 0.0)))),)
        found, uncertainty, _ = whole.square(self._rng)
        after = whole.delay_s > settle.value + _SIGMAS * settle.uncertainty
        back = after & (found - _SIGMAS * uncertainty > self._tolerance**2)
        if back.any():
            worst = int(np.flatnonzero(back)[np.argmax(found[back])])
            return (
                f"the {self._stage.view.what} leaves the tolerance again: {math.sqrt(found[worst]):.2%} of a step at "
                f"{whole.delay_s[worst]:g} s, though settled at {settle.value:g} s; look for flicker and drift",
            )
        floor = math.sqrt(_SIGMAS * float(fine.square(self._rng)[1][-1]))
        return (self._noisy(floor),) if floor > self._tolerance else ()

    # Telling

    def _report(
        self, curve: ResponseCurve | None, settle: Value, latency: Value, failures: tuple[str, ...]
    ) -> Findings:
        stage, options = self._stage, self._options
        if settle.is_finite and stage.from_handover:
            # light that is settled by the time at which it begins to change has settled in no time
            from_change_s = max(settle.value - latency.value, 0.0)
            settle = Value(from_change_s, math.hypot(settle.uncertainty, latency.uncertainty), "s")
        probe = self._probe
        step = float(np.nanmean(probe.step))
        values = {
            "settle_s": settle,
            "noise_floor": self._floor(probe),
            "step": root(step, float(np.nanstd(probe.step)) / math.sqrt(options.patterns)),
            "exposure_s": Value(self._exposure_s, 0.0, "s"),
        }
        if stage.from_handover:
            values["mean_latency_s"] = latency
        attributes = {
            "tolerance": options.tolerance, "patterns": options.patterns, "averages": options.averages,
            "longest_s": self._longest_s, "seed": options.seed, "data_sheet_s": stage.slm.settle_s,
        }  # fmt: skip
        data = xarray.Dataset(attrs=attributes)
        if curve is not None:
            data = _dataset(curve, latency.value, self._rng).assign_attrs(attributes)
        return Findings(values, data, failures)


def _short_exposure_s(stage: Stage) -> float:
    limits = stage.camera.limits("exposure")
    return min(stage.camera.exposure_s, max(stage.slm.settle_s / _SHORT, limits.low))


def _dataset(curve: ResponseCurve, latency_s: float, rng: np.random.Generator) -> xarray.Dataset:
    found, uncertainty, _ = curve.square(rng)
    response = [root(float(q), float(u)) for q, u in zip(found, uncertainty, strict=True)]
    about = {"long_name": "time from the change of the pattern to the beginning of the exposure", "units": "s"}
    return xarray.Dataset(
        {
            "response": ("delay", [r.value for r in response], {"long_name": "part of a step left", "units": "1"}),
            "response_error": ("delay", [r.uncertainty for r in response], {"units": "1"}),
            "left": (("delay", "transition"), curve.left, {"long_name": "mean square left", "units": "1"}),
            "step_square": ("transition", curve.step, {"long_name": "mean square of the step", "units": "1"}),
        },
        coords={"delay_s": ("delay", curve.delay_s - latency_s, about)},
    )
