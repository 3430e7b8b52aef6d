"""Whether equal shots give equal readings."""

import math
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
import xarray
from pydantic import Field

from pnnlab.calibration._memory import Series, Variation
from pnnlab.calibration._options import RoutineOptions
from pnnlab.calibration._panel import Curve, Panel
from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Findings, Routine
from pnnlab.calibration._squares import root
from pnnlab.errors import AcquisitionError
from pnnlab.records import CalibrationRecord, Value
from pnnlab.systems import ControlRange, System

__all__ = ["Repeatability", "RepeatabilityOptions"]

Floats = npt.NDArray[np.float64]
_SIGMAS = 2.0


class RepeatabilityOptions(RoutineOptions):
    """The options of `repeatability`.

    Attributes:
        shots: Different shots.
        repeats: How often each is taken.
        tolerance: Largest effect of a shot on the next one, as a fraction of the step between two shots.
        significance: An effect that chance gives more often than this is none.
    """

    shots: int = Field(default=4, ge=2, le=64)
    repeats: int = Field(default=64, ge=16)
    tolerance: float = Field(default=0.01, gt=0)
    significance: float = Field(default=0.01, ge=0.002, lt=0.5)


class Repeatability(Routine):
    """Takes the same few random shots many times in random order, in the way in which every batch is measured.

    Readings of one shot differ by noise, by drift, and by what the shot before has left: light that had not settled,
    a circuit that had not come to rest. As the order is random each shot comes after each other one many times, and
    an analysis of variance tells the three apart. Unlike the other routines it relies on the records that the system
    goes by: it proves them.
    """

    kind: ClassVar[str] = "repeatability"
    summary: ClassVar[str] = "noise, drift and memory of equal shots"
    Options: ClassVar[type[RoutineOptions]] = RepeatabilityOptions

    def applies(self, system: System) -> str:
        """See `Routine.applies`: to every system."""
        del system
        return ""

    def panels(self, record: CalibrationRecord) -> tuple[Panel, ...]:
        """See `Routine.panels`."""
        data = record.data
        if "mean_deviation" not in data:
            return ()
        time_s, shot = np.asarray(data["time_s"].values, np.float64), np.asarray(data["shot"].values)
        panels = []
        for name, title in (("mean_deviation", "Common deviation"), ("rms_deviation", "Deviation of the outputs")):
            values = np.asarray(data[name].values, np.float64)
            curves = tuple(
                Curve(f"shot {k}", time_s[shot == k], values[shot == k], joined=False) for k in np.unique(shot)
            )
            panels.append(Panel(title, "time", "s", "reading less mean of the shot", "1", curves))
        return tuple(panels)

    def _measure(self, system: System, options: RoutineOptions, progress: Progress) -> Findings:
        chosen = cast(RepeatabilityOptions, options)
        rng = np.random.default_rng(chosen.seed)
        series, retaken = _take(system, chosen, rng, progress)
        progress.begin("telling noise, drift and memory apart", 1)
        found, doubt, chance = series.variation(), series.uncertainty(), series.chance(rng)
        span_s = float(np.ptp(series.time_s))
        share = found.memory / (found.memory + found.noise) if found.memory + found.noise > 0 else 0.0
        doubt_share = doubt.memory / (found.memory + found.noise) if found.memory + found.noise > 0 else 0.0
        drift = root(found.drift, doubt.drift)
        values = {
            "shot_std": root(found.noise, doubt.noise),
            "drift_per_s": Value(drift.value, drift.uncertainty, "1/s"),
            "memory": Value(max(share, 0.0), doubt_share, "1"),
            "memory_step": root(found.memory / found.step, doubt.memory / found.step),
            "retaken": Value(retaken, 0.0, "1"),
        }
        remark = (
            f"the shot before leaves {values['memory_step'].value:.2%} of a step between shots (allowed are "
            f"{chosen.tolerance:.2%}), {max(share, 0):.1%} of the variance; F = {found.f:.3g}, p = {chance:.2g} of a "
            "permutation test"
        )
        failures = _faults(chosen, values, found, chance, span_s)
        rest = series.y - np.stack([series.y[series.shot == k].mean(0) for k in range(chosen.shots)])[series.shot]
        data = xarray.Dataset(
            {
                "shot": ("reading", series.shot, {"units": "1"}),
                "shot_before": ("reading", series.before, {"units": "1"}),
                "mean_deviation": ("reading", rest.mean(1), {"long_name": "mean over outputs", "units": "1"}),
                "rms_deviation": (
                    "reading", np.sqrt((rest**2).mean(1)), {"long_name": "root mean square over outputs", "units": "1"}
                ),
            },
            coords={"time_s": ("reading", series.time_s, {"long_name": "bench time", "units": "s"})},
            attrs={"shots": chosen.shots, "repeats": chosen.repeats, "seed": chosen.seed, "p_value": chance},
        )  # fmt: skip
        return Findings(values, data, failures, (remark,))


def _take(
    system: System, options: RepeatabilityOptions, rng: np.random.Generator, progress: Progress
) -> tuple[Series, int]:
    """Take shots in random order; return those whose predecessor is known, and how many were taken again."""
    low, high = system.input_range
    low, high = (low, high) if math.isfinite(low) and math.isfinite(high) else (0.0, 1.0)
    x = rng.uniform(low, high, (options.shots, system.n_in))
    controls = 1 if system.shares_controls else options.shots
    bounded = system.control_range is ControlRange.BOUNDED
    theta = rng.uniform(*((0.1, 0.9) if bounded else (0.0, 1.0)), (controls, system.n_controls))
    shot = rng.permutation(np.repeat(np.arange(options.shots), options.repeats))
    before_retaken = system.n_retaken
    progress.begin("taking shots", 1)
    found = system.measure(x[shot], theta[0] if system.shares_controls else theta[shot])
    progress.step()
    n = len(shot)
    time_s = found.exposed_s
    if np.isnan(time_s).any() or not np.ptp(time_s):
        time_s = np.linspace(found.start_s, found.end_s, n)
    # shots that were taken again came after others than the order says, and so did those that followed
    order = np.argsort(time_s, kind="stable")
    follows = np.flatnonzero(np.diff(order) == 1)
    here = order[follows + 1]
    if len(here) < 2 * options.shots**2:
        raise AcquisitionError(
            f"{system.name}: {n - len(here)} of {n} shots were taken again, so that it is not known what came before "
            "them; look at the trigger line, or set more `repeats`"
        )
    return Series(
        np.asarray(found.y, np.float64)[here], shot[here], shot[here - 1], time_s[here] - time_s.min()
    ), system.n_retaken - before_retaken  # fmt: skip


def _faults(
    options: RepeatabilityOptions, values: dict[str, Value], found: Variation, chance: float, span_s: float
) -> tuple[str, ...]:
    failures = []
    memory, drift, noise = values["memory_step"], values["drift_per_s"], values["shot_std"]
    if chance <= options.significance and memory.value > options.tolerance:
        failures.append(
            f"readings depend on the shot before: {memory.value:.2%} of a step between shots is left, allowed are "
            f"{options.tolerance:.2%} (p = {chance:.2g}); the settling time, or the rest between shots, is too short: "
            "calibrate `settling`, or lengthen the encoder's `rest`"
        )
    moved = drift.value * span_s
    if moved > noise.value and drift.value > _SIGMAS * drift.uncertainty and found.drift > 0:
        failures.append(
            f"readings drift by {moved:.2g} within {span_s:.3g} s, more than their noise of {noise.value:.2g}; "
            "let the bench warm up, and look what changes"
        )
    return tuple(failures)
