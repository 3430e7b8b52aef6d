"""The latency of a waveform, told by the record that was started with it."""

import math
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import xarray

from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Findings
from pnnlab.devices import ADC, DAC, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.records import Value
from pnnlab.systems import DacAdc

__all__ = ["waveform_latency"]

Floats = npt.NDArray[np.float64]
_QUIET: Final = 3
"""Shots at 0 V before the step: the circuit comes to rest, and the last one tells its noise."""
_CLEAR: Final = 6.0
"""A mean sample that differs from rest by so many standard uncertainties shows the step."""
_PATIENCE_S: Final = 1.0
_UNKNOWN: Final = Value(np.nan, np.nan, "s")
_HOST_GRAIN: Final = 1e-9


@dataclass(frozen=True, eq=False)
class _Plays:
    """Records of repeats that were complete.

    Attributes:
        rest_v: The last quiet shot, shape `(n, n_samples, n_channels)`.
        step_v: The shot with the step, same shape.
        begun_s: From the end of `start` to the first record, shape `(n,)`.
    """

    rest_v: Floats
    step_v: Floats
    begun_s: Floats


def waveform_latency(
    system: DacAdc, *, repeats: int, inertia: int, rng: np.random.Generator, progress: Progress
) -> Findings:  # fmt: skip
    """Return the time from the end of `start` to the step, and by how many samples the record is off.

    Args:
        system: Its converters are used; nobody else may use them meanwhile.
        repeats: How often the step is played.
        inertia: Samples after which the circuit's answer can be seen.
        rng: Chooses the moments.
        progress: Gets a step a repeat.
    """
    rate_hz, rest = system.config.rate_hz, system.config.encoder.rest
    plays = _play_all(system, repeats, rng, progress)
    found = _first_sample(plays)
    values = {"latency_least_s": _UNKNOWN, "latency_most_s": _UNKNOWN, "offset_samples": Value(np.nan, np.nan, "1")}
    failures: tuple[str, ...] = (
        f"no change is seen: the records of {system.devices['adc'].name} do not show the step that "
        f"{system.devices['dac'].name} plays; look at the cables and at the power of the circuit",
    )
    if found is not None:
        offset = found - rest - inertia
        error_s = cast(ADC, system.devices["adc"]).stamp_error_s or 0.0
        each_s = plays.begun_s + offset / rate_hz
        least_s, most_s = float(each_s.min()), float(each_s.max())
        # which part of a sample the step came in is not known, nor how far stamps are off; see `Ladder.latency_s`
        parts_s = (1 / rate_hz / math.sqrt(12), error_s / math.sqrt(3), (most_s - least_s) / (len(each_s) + 1))
        values = {
            "latency_least_s": Value(least_s, math.hypot(*parts_s), "s"),
            "latency_most_s": Value(most_s, math.hypot(*parts_s), "s"),
            "offset_samples": Value(offset, 0.0, "1"),
        }
        failures = _doubts(system, offset, most_s - least_s)
    volts = {"long_name": "mean record", "units": "V"}
    each = {"long_name": "end of start to the first record", "units": "s"}
    samples = np.arange(plays.step_v.shape[1]) - rest
    data = xarray.Dataset(
        {
            "step_v": (("sample", "channel"), plays.step_v.mean(0), volts),
            "rest_v": (("sample", "channel"), plays.rest_v.mean(0), volts),
            "latency_each_s": ("repeat", plays.begun_s, each),
        },
        coords={"sample": ("sample", samples, {"long_name": "samples after the step is played", "units": "1"})},
        attrs={"rate_hz": rate_hz, "inertia": inertia, "repeats": repeats},
    )
    return Findings(values, data, failures)


def _doubts(system: DacAdc, offset: int, spread_s: float) -> tuple[str, ...]:
    failures = []
    if offset:
        samples = f"{abs(offset)} sample{'s' * (abs(offset) > 1)}"
        when = f"{samples} after" if offset > 0 else f"{samples} before"
        cause = "or the circuit answers later than within a sample: then set `inertia`" * (offset > 0)
        failures.append(
            f"the step shows {when} that with which it is played: the record does not begin with the waveform; "
            f"look at the trigger line from {system.devices['dac'].name} to {system.devices['adc'].name}"
            f"{'; ' * (offset > 0)}{cause}"
        )
    if spread_s > system.shot_s:
        failures.append(
            f"the latency varies by {spread_s:g} s, more than a shot ({system.shot_s:g} s); "
            "look what keeps the computer or the link busy"
        )
    return tuple(failures)


def _waveform(system: DacAdc) -> Floats:
    """Return quiet shots, one with the inputs' step after its rest, and a quiet one, shape `(n_shots, n_samples, c)`.

    The step is as high as an input may be, or as the converter's slew limit allows.
    """
    dac, encoder = cast(DAC, system.devices["dac"]), system.config.encoder
    height = system.input_range[1]
    slew = dac.limits("voltage").slew_per_s
    if math.isfinite(slew) and encoder.amplitude_v:
        height = min(height, 0.99 * slew / (system.config.rate_hz * abs(encoder.amplitude_v)))
    x = np.zeros((_QUIET + 2, system.n_in))
    x[_QUIET] = height
    (volts,) = system.to_setpoints(*system.encode(x, np.full(system.n_controls, 0.5)))
    return np.asarray(volts, np.float64)


def _play_all(system: DacAdc, repeats: int, rng: np.random.Generator, progress: Progress) -> _Plays:
    volts = _waveform(system)
    progress.begin("playing steps", repeats)
    kept: list[tuple[Floats, float]] = []
    for _ in range(repeats):
        system.clock.sleep_until(system.clock.now_s() + rng.uniform(0, system.shot_s))
        found = _play(system, volts)
        if found is not None:
            kept.append(found)
        progress.step()
    if len(kept) < max(2, repeats / 2):
        raise AcquisitionError(
            f"{system.devices['adc'].name}: records were missing, late or incomplete in {repeats - len(kept)} of "
            f"{repeats} runs; look at the trigger line"
        )
    records = np.stack([record for record, _ in kept])
    return _Plays(records[:, _QUIET - 1], records[:, _QUIET], np.array([begun_s for _, begun_s in kept]))


def _play(system: DacAdc, volts: Floats) -> tuple[Floats, float] | None:
    """Play once; return all records and when the first began after `start`; `None` where one is missing or late."""
    dac, adc = cast(DAC, system.devices["dac"]), cast(ADC, system.devices["adc"])
    rate_hz, clock, (n, n_samples, n_channels) = system.config.rate_hz, system.clock, volts.shape
    adc.arm_records(n, n_samples=n_samples, rate_hz=rate_hz, trigger=Trigger.HARDWARE)
    try:
        dac.arm_waveform(volts.reshape(-1, n_channels), rate_hz=rate_hz, trigger=Trigger.INTERNAL)
        try:
            adc.start()
            dac.start()
            begun_s = clock.now_s()
            records = adc.collect(n, timeout_s=n * system.shot_s + _PATIENCE_S)
            dac.wait(n * system.shot_s + _PATIENCE_S)
        finally:
            dac.disarm()
    finally:
        adc.disarm()
    stamps = records.stamps
    assert stamps.start_s is not None  # noqa: S101 (asked of the converter when wired)
    if stamps.count < n or (stamps.intact is not None and not stamps.intact.all()):
        return None
    gaps_s = np.diff(stamps.start_s) - system.shot_s
    if (np.abs(gaps_s) > 2 * (adc.stamp_error_s or 0.0) + 0.5 / rate_hz + _HOST_GRAIN).any():
        return None
    return np.array(records.volts, np.float64), float(stamps.start_s[0]) - begun_s


def _first_sample(plays: _Plays) -> int | None:
    """Return the first sample of the shot that shows the step; `None` where none does."""
    n = len(plays.step_v)
    difference = (plays.step_v - plays.rest_v).mean(0)
    noise = plays.rest_v.std(0, ddof=1).mean(0) * math.sqrt(2 / n)
    # a converter without noise has steps of its own: what is below a millionth of the answer is no answer
    largest = np.abs(difference).max(0)
    shown = (np.abs(difference) > _CLEAR * noise + 1e-6 * largest) & (largest > 0)
    samples = np.flatnonzero(shown.any(1))
    return int(samples[0]) if len(samples) else None
