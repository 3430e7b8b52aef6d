"""A waveform from a digital-to-analog converter through a circuit into an analog-to-digital converter."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import ADC, DAC, Device, Trigger
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import FrozenModel, Hertz, Seconds, Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._records import Played, RecordTaker, Stepped
from pnnlab.systems._shots import FloatArray, Shots
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._timing import Timing

__all__ = ["DacAdc", "DacAdcConfig"]

Ints = npt.NDArray[np.int64]


class WaveformEncoder(FrozenModel):
    """How inputs and controls become voltages in time.

    Each input is a voltage `offset + amplitude · x` on one of the input channels, each control one that is
    `control_offset`, plus or minus up to `control_amplitude`, on one of the control channels; values follow each other
    in steps of which `hold` samples are looked at. A shot begins with `rest` samples in which all channels stand at
    their offsets, so that the circuit forgets the shot before. With `repeat_inputs` every step shows the same inputs,
    each beside controls of its own.
    """

    input_channels: tuple[int, ...] = Field(min_length=1)
    control_channels: tuple[int, ...] = Field(min_length=1)
    steps: int = Field(gt=0)
    hold: int = Field(default=1, gt=0)
    rest: int = Field(default=0, ge=0)
    amplitude_v: Volts
    control_amplitude_v: Volts
    offset_v: Volts = 0.0
    control_offset_v: Volts = 0.0
    repeat_inputs: bool = False


class WindowDecoder(FrozenModel):
    """How a record becomes outputs: each channel's mean in each window after the rest, as a fraction of full scale.

    An output of 0 is the voltage `zero`, one of 1 is `full_scale` above it.
    """

    windows: int = Field(gt=0)
    full_scale_v: Volts
    zero_v: Volts = 0.0


class DacAdcConfig(SystemConfig):
    """A system of the kind `dac-adc` in the bench file.

    Attributes:
        dac: The device that makes the voltages.
        adc: The device that measures; it may be the same.
        mode: `waveform` plays a batch as one waveform whose start triggers the records; `steps` writes static voltages,
            lets them settle and records, one step after the other.
        rate_hz: Samples per second.
        settle_s: With `steps`: how long the circuit takes to settle after a change, on top of the converter's own
            time, as far as its design tells; a calibration record counts instead of both where there is one.
    """

    kind: Literal["dac-adc"] = "dac-adc"
    dac: str
    adc: str
    mode: Literal["waveform", "steps"] = "waveform"
    rate_hz: Hertz
    settle_s: Seconds = Field(default=0.0, ge=0)
    encoder: WaveformEncoder
    decoder: WindowDecoder


class DacAdc(System):
    """One shot: a rest, and voltages on every output channel one after the other, with what comes back at each.

    The drive is the voltage around its offset in units of `amplitude` (input channels) and `control_amplitude` (control
    channels), shape `(batch, steps, n_outputs)`. In the mode `waveform` a batch is one buffered waveform and its
    records. In the mode `steps` voltages are static, and each is recorded after it has settled; as a setpoint a shot is
    the waveform that would do the same: each step as long as it takes to settle, and `hold` samples at its end.
    """

    Config = DacAdcConfig
    roles: ClassVar[Mapping[str, type]] = {"dac": DAC, "adc": ADC}
    control_range = ControlRange.BOUNDED
    config: DacAdcConfig

    def __init__(self, name: str, config: DacAdcConfig, devices: Mapping[str, Device], facilities: Facilities) -> None:
        super().__init__(name, config, devices, facilities)
        self._dac, self._adc = cast(DAC, devices["dac"]), cast(ADC, devices["adc"])
        self._check_channels()
        self._map_channels()
        dac, waveform = self._dac, config.mode == "waveform"
        self._timing = self.calibrated_timing(
            "dac", settle_s=0.0 if waveform else dac.settle_s + config.settle_s, latency_s=dac.latency_s,
            devices=("dac", "adc"), conditions={"mode": self.mode},
        )  # fmt: skip
        lead_s = 0.0 if waveform else self._timing.latency_s[1] + self._timing.settle_s
        self._lay_out(math.ceil(lead_s * config.rate_hz * (1 - 1e-9)))
        if waveform:
            self._check_waveform()
        self._taker = self._make_taker()

    def _check_channels(self) -> None:
        encoder, decoder = self.config.encoder, self.config.decoder
        used = (*encoder.input_channels, *encoder.control_channels)
        if len(set(used)) != len(used) or not set(used) <= set(range(self._dac.n_outputs)):
            raise SetpointError(
                f"{self.name}: input channels {encoder.input_channels} and control channels {encoder.control_channels} "
                f"must be different ones of the {self._dac.n_outputs} channels of {self.config.dac} (counted from 0)"
            )
        samples = encoder.steps * encoder.hold
        if samples % decoder.windows:
            raise SetpointError(
                f"{self.name}: {decoder.windows} windows do not divide the {samples} samples of a shot "
                f"({encoder.steps} steps of {encoder.hold}); choose a divisor in the bench file"
            )

    def _map_channels(self) -> None:
        """Work out what each channel shows at each step, and the volts of its unit."""
        encoder, n_in, n_controls = self.config.encoder, self.n_in, self.n_controls
        # column of (inputs, controls, zero) that each step of each channel shows
        index = np.full((encoder.steps, self._dac.n_outputs), n_in + n_controls)
        index[:, encoder.input_channels] = np.arange(n_in).reshape(-1, len(encoder.input_channels))
        index[:, encoder.control_channels] = n_in + np.arange(n_controls).reshape(encoder.steps, -1)
        self._input_columns = np.where(index < n_in, index, 0)
        self._control_columns = np.where((index >= n_in) & (index < n_in + n_controls), index - n_in, 0)
        self._is_input = (index < n_in).astype(np.float64)
        self._is_control = ((index >= n_in) & (index < n_in + n_controls)).astype(np.float64)
        self._volts_per_unit, self._offset_v = np.zeros((2, self._dac.n_outputs))
        for channels, amplitude_v, offset_v in (
            (encoder.input_channels, encoder.amplitude_v, encoder.offset_v),
            (encoder.control_channels, encoder.control_amplitude_v, encoder.control_offset_v),
        ):
            self._volts_per_unit[list(channels)], self._offset_v[list(channels)] = amplitude_v, offset_v

    def _lay_out(self, lead: int) -> None:
        """Work out the samples of a shot: its rest, and steps that settle for `lead` samples and are then looked at."""
        encoder = self.config.encoder
        each = lead + encoder.hold
        # which step each sample of a shot shows; samples of the rest show none
        self._step_of_sample = np.concatenate(
            [np.zeros(encoder.rest, np.int64), np.repeat(np.arange(encoder.steps), each)]
        )
        self._not_rest = (np.arange(len(self._step_of_sample)) >= encoder.rest).astype(np.float64)[:, None]
        held = encoder.rest + np.arange(encoder.steps)[:, None] * each + lead + np.arange(encoder.hold)
        self._held: slice | Ints = held.ravel() if lead else slice(encoder.rest, None)

    def _check_waveform(self) -> None:
        dac, adc, config = self._dac, self._adc, self.config
        instead = "or set the system's `mode` to `steps`, which takes static voltages and no trigger line"
        if Trigger.HARDWARE not in adc.triggers or (adc.stamp_error_s is None and not adc.chains_records):
            raise AbilityError(
                f"{self.name}: {config.adc} has no hardware trigger, or takes one for each record and has no time "
                f"stamps, so that no record can be proven to belong to its waveform; use a converter that is triggered "
                f"by {config.dac}, {instead}"
            )
        if self.devices["dac"] is self.devices["adc"] and not dac.joins_runs:
            raise AbilityError(
                f"{self.name}: {config.dac} cannot play a waveform and record at once; use two devices, {instead}"
            )
        if len(self._step_of_sample) > dac.max_samples:
            raise AbilityError(
                f"{self.name}: a shot has {len(self._step_of_sample)} samples, the memory of {config.dac} holds "
                f"{dac.max_samples}; shorten `steps`, `hold` or `rest`, {instead}"
            )

    def _make_taker(self) -> RecordTaker:
        config, encoder = self.config, self.config.encoder
        if config.mode == "waveform":
            return Played(
                self._dac, self._adc, self._timing, rate_hz=config.rate_hz, clock=self.clock, trace=self.trace
            )  # fmt: skip
        return Stepped(
            self._dac, self._adc, self._timing, rate_hz=config.rate_hz, clock=self.clock, trace=self.trace,
            hold=encoder.hold, rest_s=encoder.rest / config.rate_hz,
        )  # fmt: skip

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`: input channels times steps, or input channels that are repeated."""
        encoder = self.config.encoder
        return len(encoder.input_channels) * (1 if encoder.repeat_inputs else encoder.steps)

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: control channels times steps."""
        return len(self.config.encoder.control_channels) * self.config.encoder.steps

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return math.prod(self.output_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`: windows and channels."""
        return self.config.decoder.windows, self._adc.n_inputs

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`."""
        return ((self.config.encoder.steps, self._dac.n_outputs),)

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`: from -1 to 1, as far as the converter's limits allow their voltages."""
        encoder, limits = self.config.encoder, self._dac.limits("voltage")
        if not encoder.amplitude_v:
            return -1.0, 1.0
        ends = sorted((end - encoder.offset_v) / encoder.amplitude_v for end in (limits.low, limits.high))
        return max(-1.0, ends[0]), min(1.0, ends[1])

    @property
    def reach_v(self) -> npt.NDArray[np.float64]:
        """Return the lowest and highest voltage of each output channel in a shot, shape `(2, n_outputs)`."""
        limits, swing_v = self._dac.limits("voltage"), np.abs(self._volts_per_unit)
        ends = np.stack([self._offset_v - swing_v, self._offset_v + swing_v])
        return np.clip(ends, limits.low, limits.high)

    @property
    def mode(self) -> str:
        """Return the way in which it measures."""
        return self.config.mode

    @property
    def no_overlap(self) -> str:
        """Return why no voltages can be written while records are armed; an empty text where they can."""
        if self.devices["dac"] is self.devices["adc"] and not self._dac.joins_runs:
            return f"{self.config.dac} takes no voltages while its records are armed"
        return ""

    @property
    def shot_s(self) -> float:
        """See `System.shot_s`: samples over rate, or what each step takes."""
        if isinstance(self._taker, Stepped):
            encoder = self.config.encoder
            return encoder.steps * self._taker.step_s + encoder.rest / self.config.rate_hz
        return len(self._step_of_sample) / self.config.rate_hz

    @property
    def timings(self) -> Mapping[str, Timing]:
        """See `System.timings`."""
        return {"dac": self._timing}

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._adc

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`; controls 0 to 1 become -1 to 1."""
        inputs = x[..., self._input_columns] * constant_like(self._is_input, x)
        controls = (theta * 2 - 1)[..., self._control_columns] * constant_like(self._is_control, x)
        return (inputs + controls,)

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: one waveform a shot in V, shape `(batch, n_samples, n_outputs)`."""
        (units,) = drive
        around = units * constant_like(self._volts_per_unit, units)
        shown = around[..., self._step_of_sample, :] * constant_like(self._not_rest, units)
        return (shown + constant_like(self._offset_v, units) if self._offset_v.any() else shown,)

    def decode(self, reading: A) -> A:
        """See `System.decode`; records as long as a setpoint."""
        outputs: A = self._outputs(reading[..., self._held, :])
        return outputs

    def _outputs(self, held: A) -> A:
        """Return outputs, shape `(batch, n_out)`, of the samples that are looked at, shape `(batch, n, n_inputs)`."""
        decoder = self.config.decoder
        means = held.reshape(-1, decoder.windows, held.shape[-2] // decoder.windows, held.shape[-1]).mean((-2,))
        outputs: A = ((means - decoder.zero_v) / decoder.full_scale_v).reshape(means.shape[0], self.n_out)
        return outputs

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        if self.mode == "waveform":
            return self.to_setpoints(*drive)
        (units,) = drive
        rows = units * self._volts_per_unit.astype(units.dtype) + self._offset_v.astype(units.dtype)
        if not self.config.encoder.rest:
            return (rows,)
        rest = np.broadcast_to(self._offset_v.astype(units.dtype), (len(rows), 1, rows.shape[2]))
        return (np.concatenate([rest, rows], axis=1),)

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        return self._taker.take(cast(FloatArray, setpoints[0]), wanted, _Sink(self, shots, tell))

    def outputs_of(self, records: npt.NDArray[np.number]) -> FloatArray:
        """Return the outputs of records as the devices give them, shape `(n, n_samples, n_inputs)`."""
        outputs = self._outputs(records) if self.mode == "steps" else self.decode(records)
        return outputs.astype(self.dtype, copy=False)

    def realised(self, volts: FloatArray) -> FloatArray:
        """Return shots that the DAC shows, as in a setpoint or row by row, in units of the amplitudes."""
        encoder = self.config.encoder
        # the first sample of a step tells what all of it was
        rows = np.arange(encoder.steps) * encoder.hold + encoder.rest
        if self.mode == "steps":
            rows = np.arange(encoder.steps) + (encoder.rest > 0)
        shown = volts[:, rows] - self._offset_v.astype(volts.dtype)
        return np.divide(shown, self._volts_per_unit, out=np.zeros_like(shown), where=self._volts_per_unit != 0)


class _Sink:
    """Where a batch's records go."""

    def __init__(self, system: DacAdc, shots: Shots, tell: Callable[[], None]) -> None:
        self._system, self._shots, self._tell = system, shots, tell
        self.until_edge = shots.until_edge

    def shown(self, shots: Ints, volts: FloatArray) -> None:
        self._shots.drive[0][shots] = self._system.realised(volts)

    def decode(self, volts: npt.NDArray[np.number]) -> FloatArray:
        return self._system.outputs_of(volts)

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        self._shots.put(shots, y, tokens, exposed_s)
        self._shots.end_s = self._system.clock.now_s()
        self._tell()
