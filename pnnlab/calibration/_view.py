"""What a stage sees of a system: what setpoints are shown on, and what takes readings of them."""

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from pnnlab.devices import ADC, DAC, Camera, Frames, Limits, SpatialLightModulator, State, Trigger
from pnnlab.errors import SetpointError
from pnnlab.systems import DacAdc, FreeSpaceSystem, SlmCamera

__all__ = ["PanelSystem", "Seen", "Shown", "View", "random_patterns", "view_of"]

Floats = npt.NDArray[np.float64]
Pattern = npt.NDArray[np.number]
PanelSystem = SlmCamera | FreeSpaceSystem
"""Systems of a panel and a camera."""
_END: Final = 1e-3
"""A sample so near to an end of its converter's range, as a part of the range, may lie beyond it."""


class Shown(Protocol):
    """What setpoints are shown on: a panel, or the outputs of a converter."""

    name: str

    @property
    def settle_s(self) -> float:
        """See `SpatialLightModulator.settle_s`."""
        ...

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `SpatialLightModulator.latency_s`."""
        ...

    @property
    def frame_period_s(self) -> float:
        """Return the shortest time between two setpoints in s."""
        ...

    def write(self, levels: Pattern, /) -> object:
        """Show one setpoint; return once the instrument has it."""
        ...

    def disarm(self) -> None:
        """See `Device.disarm`."""
        ...


class Seen(Protocol):
    """What takes readings: a camera, or a converter whose records count as frames."""

    name: str

    @property
    def triggers(self) -> AbstractSet[Trigger]:
        """See `Sensor.triggers`."""
        ...

    @property
    def stamp_error_s(self) -> float | None:
        """See `Sensor.stamp_error_s`."""
        ...

    @property
    def stale_readings(self) -> int:
        """See `Sensor.stale_readings`."""
        ...

    @property
    def exposure_s(self) -> float:
        """Return for how long a reading collects in s."""
        ...

    @property
    def readout_s(self) -> float:
        """Return the time from its end until the next one may begin in s."""
        ...

    @property
    def state(self) -> State:
        """See `Device.state`."""
        ...

    def limits(self, quantity: str) -> Limits:
        """See `Device.limits`; the quantity is `exposure`."""
        ...

    def configure(self, *, exposure_s: float | None = None) -> None:
        """Collect for so long from now on, as far as the device can."""
        ...

    def arm_frames(self, n: int, *, trigger: Trigger) -> None:
        """Prepare a run of readings."""
        ...

    def start(self) -> None:
        """See `Device.start`."""
        ...

    def trigger(self) -> None:
        """See `Device.trigger`."""
        ...

    def collect(self, n: int, *, timeout_s: float) -> Frames:
        """Return those of the next readings that come in time."""
        ...

    def disarm(self) -> None:
        """See `Device.disarm`."""
        ...


class _Outputs:
    """The outputs of a converter, as what setpoints are shown on."""

    def __init__(self, system: DacAdc) -> None:
        self._dac = dac = cast(DAC, system.devices["dac"])
        self.name, self.latency_s = dac.name, dac.latency_s
        self.settle_s = dac.settle_s + system.config.settle_s
        self.frame_period_s = 1 / system.config.rate_hz

    def write(self, levels: Pattern, /) -> object:
        """See `Shown.write`: at the slew limit, where there is one."""
        return self._dac.ramp(np.asarray(levels, np.float64))

    def disarm(self) -> None:
        """See `Shown.disarm`."""
        self._dac.disarm()


class _Inputs:
    """The inputs of a converter, as what takes readings: a record is a frame, its length the exposure."""

    readout_s = 0.0

    def __init__(self, system: DacAdc) -> None:
        self._adc = adc = cast(ADC, system.devices["adc"])
        self._rate_hz, self._n_samples = system.config.rate_hz, system.config.encoder.hold
        self.name, self.triggers = adc.name, adc.triggers
        self.stamp_error_s, self.stale_readings = adc.stamp_error_s, adc.stale_readings

    @property
    def exposure_s(self) -> float:
        """See `Seen.exposure_s`: samples over rate."""
        return self._n_samples / self._rate_hz

    @property
    def state(self) -> State:
        """See `Seen.state`."""
        return self._adc.state

    def limits(self, quantity: str) -> Limits:
        """See `Seen.limits`: one sample at least."""
        del quantity
        return Limits(1 / self._rate_hz)

    def configure(self, *, exposure_s: float | None = None) -> None:
        """See `Seen.configure`."""
        if exposure_s is not None:
            self._n_samples = max(1, round(exposure_s * self._rate_hz))

    def arm_frames(self, n: int, *, trigger: Trigger) -> None:
        """See `Seen.arm_frames`."""
        self._adc.arm_records(n, n_samples=self._n_samples, rate_hz=self._rate_hz, trigger=trigger)

    def start(self) -> None:
        """See `Seen.start`."""
        self._adc.start()

    def trigger(self) -> None:
        """See `Seen.trigger`."""
        self._adc.trigger()

    def collect(self, n: int, *, timeout_s: float) -> Frames:
        """See `Seen.collect`."""
        records = self._adc.collect(n, timeout_s=timeout_s)
        return Frames(records.volts, records.stamps)

    def disarm(self) -> None:
        """See `Seen.disarm`."""
        self._adc.disarm()


@dataclass(frozen=True)
class View:
    """A system as a stage sees it.

    Attributes:
        system: The system.
        shown: What setpoints are shown on.
        seen: What takes readings.
        n_out: Outputs of a reading.
        what: What changes with a setpoint, for messages.
        advice: What to look at where nothing changes.
        parts: What a reading consists of, for messages.
        less: What to do where too many of them are at the end of their range.
        spread_s: By how much the latency may vary before something is wrong.
    """

    system: PanelSystem | DacAdc
    shown: Shown
    seen: Seen
    n_out: int
    what: str
    advice: str
    parts: str
    less: str
    spread_s: float

    def random(self, n: int, rng: np.random.Generator) -> Pattern:
        """Return random setpoints, shape `(n, ...)`."""
        if isinstance(self.system, PanelSystem):
            return random_patterns(self.system, n, rng)
        low_v, high_v = self.system.reach_v
        return rng.uniform(low_v, high_v, (n, len(low_v)))

    def outputs(self, counts: Pattern) -> tuple[Floats, float]:
        """Return the outputs of readings, and which part of them is at the end of their range."""
        if isinstance(self.system, PanelSystem):
            top = 2 ** cast(Camera, self.seen).bit_depth - 1
            return np.asarray(self.system.decode(counts), np.float64), _share(counts >= top)
        low, high = cast(ADC, self.system.devices["adc"]).range_v
        margin = _END * (high - low)
        ends = (counts <= low + margin) | (counts >= high - margin)
        return np.asarray(counts.mean(1), np.float64) / self.system.config.decoder.full_scale_v, _share(ends)


def view_of(system: PanelSystem | DacAdc) -> View:
    """Return a system as a stage sees it."""
    if isinstance(system, PanelSystem):
        slm, camera = cast(SpatialLightModulator, system.devices["slm"]), cast(Camera, system.devices["camera"])
        advice = "look whether the light is on, shutters are open and it is the right camera, or expose longer"
        less = "set a shorter `exposure`, or less light"
        return View(system, slm, camera, system.n_out, "light", advice, "pixels", less, slm.frame_period_s)
    n_out = cast(ADC, system.devices["adc"]).n_inputs
    advice = "look at the cables and at the power of the circuit"
    less = "drive the circuit less, or set a larger range of the converter"
    return View(system, _Outputs(system), _Inputs(system), n_out, "circuit", advice, "samples", less, math.inf)


def random_patterns(system: PanelSystem, n: int, rng: np.random.Generator) -> Pattern:
    """Return patterns with a random level on each cell of the panel that the system uses, shape `(n, h, w)`.

    Levels are drawn from all that the panel and the bench file allow. So every pixel rises in some of the steps from
    one to the next and falls in others, and neighbours do not move together: what moves together is a common phase,
    which no camera sees behind a medium.

    Raises:
        SetpointError: The limits leave only one level.
    """
    slm = cast(SpatialLightModulator, system.devices["slm"])
    limits = slm.limits("level")
    low, high = math.ceil(max(limits.low, 0)), math.floor(min(limits.high, slm.levels - 1))
    if high <= low:
        raise SetpointError(
            f"{slm.name}: levels {limits.low:g} to {limits.high:g} are allowed, patterns that differ need two at the "
            "least; widen `limits` in the bench file"
        )
    levels: Pattern = rng.integers(low, high, (n, system.n_cells), endpoint=True)
    return system.spread(levels.astype(slm.dtype))


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else 0.0
