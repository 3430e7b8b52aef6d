"""A waveform from a digital-to-analog converter through a circuit into an analog-to-digital converter."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import ADC, DAC, Device, Trigger
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import FrozenModel, Hertz, Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._frames import BLOCK_S, HOST_S, PATIENCE_S
from pnnlab.systems._pairing import TriggeredRun
from pnnlab.systems._shots import FloatArray, Shots
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._timing import Timing
from pnnlab.systems._trace import Lane

__all__ = ["DacAdc", "DacAdcConfig"]

Ints = npt.NDArray[np.int64]


class WaveformEncoder(FrozenModel):
    """How inputs and controls become waveforms.

    Each input is a voltage `amplitude · x` on one of the input channels, each control a voltage between plus and minus
    `control_amplitude` on one of the control channels; values follow each other in steps of `hold` samples. A shot
    begins with `rest` samples of 0 V, in which the circuit forgets the shot before.
    """

    input_channels: tuple[int, ...] = Field(min_length=1)
    control_channels: tuple[int, ...] = Field(min_length=1)
    steps: int = Field(gt=0)
    hold: int = Field(default=1, gt=0)
    rest: int = Field(default=0, ge=0)
    amplitude_v: Volts
    control_amplitude_v: Volts


class WindowDecoder(FrozenModel):
    """How a record becomes outputs: each channel's mean in each window after the rest, as a fraction of full scale."""

    windows: int = Field(gt=0)
    full_scale_v: Volts


class DacAdcConfig(SystemConfig):
    """A system of the kind `dac-adc` in the bench file."""

    kind: Literal["dac-adc"] = "dac-adc"
    dac: str
    adc: str
    rate_hz: Hertz
    encoder: WaveformEncoder
    decoder: WindowDecoder


class DacAdc(System):
    """One shot: a rest and a stretch of waveform on every output channel, and the record that was sampled with it.

    A batch is one buffered waveform and one record. The drive is the voltage in units of `amplitude` (input channels)
    and `control_amplitude` (control channels), shape `(batch, steps, n_outputs)`.
    """

    Config = DacAdcConfig
    roles: ClassVar[Mapping[str, type]] = {"dac": DAC, "adc": ADC}
    control_range = ControlRange.BOUNDED
    config: DacAdcConfig

    def __init__(self, name: str, config: DacAdcConfig, devices: Mapping[str, Device], facilities: Facilities) -> None:
        super().__init__(name, config, devices, facilities)
        self._dac, self._adc = cast(DAC, devices["dac"]), cast(ADC, devices["adc"])
        encoder = config.encoder
        used = (*encoder.input_channels, *encoder.control_channels)
        if len(set(used)) != len(used) or not set(used) <= set(range(self._dac.n_outputs)):
            raise SetpointError(
                f"{name}: input channels {encoder.input_channels} and control channels {encoder.control_channels} "
                f"must be different ones of the {self._dac.n_outputs} channels of {config.dac} (counted from 0)"
            )
        samples = encoder.steps * encoder.hold
        if samples % config.decoder.windows:
            raise SetpointError(
                f"{name}: {config.decoder.windows} windows do not divide the {samples} samples of a shot "
                f"({encoder.steps} steps of {encoder.hold}); choose a divisor in the bench file"
            )
        # column of (inputs, controls, zero) that each step of each channel shows
        n_in, n_controls = self.n_in, self.n_controls
        index = np.full((encoder.steps, self._dac.n_outputs), n_in + n_controls)
        index[:, encoder.input_channels] = np.arange(n_in).reshape(encoder.steps, -1)
        index[:, encoder.control_channels] = n_in + np.arange(n_controls).reshape(encoder.steps, -1)
        self._input_columns = np.where(index < n_in, index, 0)
        self._control_columns = np.where((index >= n_in) & (index < n_in + n_controls), index - n_in, 0)
        self._is_input = (index < n_in).astype(np.float64)
        self._is_control = ((index >= n_in) & (index < n_in + n_controls)).astype(np.float64)
        volts = np.zeros(self._dac.n_outputs)
        volts[list(encoder.input_channels)] = encoder.amplitude_v
        volts[list(encoder.control_channels)] = encoder.control_amplitude_v
        self._volts_per_unit = volts
        # which step each sample of a shot shows; samples of the rest show none
        self._step_of_sample = np.concatenate(
            [np.zeros(encoder.rest, np.int64), np.repeat(np.arange(encoder.steps), encoder.hold)]
        )
        self._not_rest = (np.arange(len(self._step_of_sample)) >= encoder.rest).astype(np.float64)[:, None]
        if Trigger.HARDWARE not in self._adc.triggers or self._adc.stamp_error_s is None:
            raise AbilityError(
                f"{name}: {config.adc} has no hardware trigger or no time stamps, so that no record can be proven to "
                f"belong to its waveform; use a converter that is triggered by {config.dac}"
            )
        dac = self._dac
        self._timing = self._calibrated(
            "dac", settle_s=0.0, latency_s=(0.0, 0.0), devices=("dac", "adc"), conditions={"mode": "waveform"}
        )
        if len(self._step_of_sample) > dac.max_samples:
            raise AbilityError(
                f"{name}: a shot has {len(self._step_of_sample)} samples, the memory of {config.dac} holds "
                f"{self._dac.max_samples}; shorten `steps`, `hold` or `rest`"
            )

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`: input channels times steps."""
        return len(self.config.encoder.input_channels) * self.config.encoder.steps

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
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def shot_s(self) -> float:
        """See `System.shot_s`: samples over rate."""
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
        volts = units * constant_like(self._volts_per_unit, units)
        return (volts[..., self._step_of_sample, :] * constant_like(self._not_rest, units),)

    def decode(self, reading: A) -> A:
        """See `System.decode`."""
        windows = self.config.decoder.windows
        played = reading[..., self.config.encoder.rest :, :]
        means = played.reshape(-1, windows, played.shape[-2] // windows, played.shape[-1]).mean((-2,))
        outputs: A = (means / self.config.decoder.full_scale_v).reshape(means.shape[0], -1)
        return outputs

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        return self.to_setpoints(*drive)

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        volts = cast(FloatArray, setpoints[0])
        size, fault = self._dac.max_samples // volts.shape[1], ""
        for begin in range(0, len(wanted), size):
            fault = self._play(volts, wanted[begin : begin + size], shots, tell) or fault
        return fault

    def _play(self, volts: FloatArray, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        """Play shots, shape `(batch, n_samples, n_outputs)`, as one waveform and record them with it."""
        dac, adc, rate_hz, n = self._dac, self._adc, self.config.rate_hz, len(wanted)
        n_samples = volts.shape[1]
        chosen = volts if n == len(volts) else volts[wanted]
        with self.trace.span(Lane.BENCH, "upload", n):
            adc.arm_records(n, n_samples=n_samples, rate_hz=rate_hz, trigger=Trigger.HARDWARE)
        try:
            with self.trace.span(Lane.BENCH, "upload", n):
                setpoint = dac.arm_waveform(
                    chosen.reshape(-1, chosen.shape[2]), rate_hz=rate_hz, trigger=Trigger.INTERNAL
                )
            try:
                shots.drive[0][wanted] = self._units(cast(FloatArray, setpoint.realised.reshape(chosen.shape)))
                adc.start()
                earliest_s = self.clock.now_s()
                dac.start()
                latest_s = self.clock.now_s() + self._timing.latency_s[1]
                run = TriggeredRun(
                    n, period_s=self.shot_s, delay_s=0.0, duration_s=self.shot_s, begun_s=(earliest_s, latest_s),
                    error_s=adc.stamp_error_s or 0.0, tolerance_s=0.5 / rate_hz,
                    margin_s=HOST_S,  # the marker starts the records, so none can come before the waveform
                )  # fmt: skip
                self._read_out(run, wanted, setpoint.tokens[0], shots, tell, latest_s)
                dac.wait(n * self.shot_s + PATIENCE_S)
            finally:
                dac.disarm()
        finally:
            adc.disarm()
        return run.fault()

    def _read_out(
        self, run: TriggeredRun, wanted: Ints, token: int, shots: Shots, tell: Callable[[], None], first_s: float
    ) -> None:
        adc, n, taken, came = self._adc, len(wanted), 0, True
        block = max(1, int(BLOCK_S / self.shot_s))
        ys, starts_s = np.empty((n, self.n_out), self.dtype), np.empty(n)
        while came and taken < n:
            size = min(block, n - taken, shots.until_edge(int(wanted[taken])))
            due_s = first_s + (taken + size) * self.shot_s
            with self.trace.span(Lane.BENCH, "record", size):
                records = adc.collect(size, timeout_s=max(due_s - self.clock.now_s(), 0.0) + PATIENCE_S)
            with self.trace.span(Lane.BENCH, "decode", size):
                count = records.stamps.count
                assert records.stamps.start_s is not None  # noqa: S101 (asked of the converter when wired)
                new = slice(taken, taken + count)
                ys[new], starts_s[new] = self.decode(records.volts), records.stamps.start_s
                taken, came = taken + count, count == size
                run.add(records.stamps)
                pairs = run.decide(final=not came or taken == n)
                shots.put(wanted[pairs.steps], ys[pairs.readings], np.full(len(pairs), token), starts_s[pairs.readings])
                shots.end_s = self.clock.now_s()
            tell()

    def _units(self, volts: FloatArray) -> FloatArray:
        """Return realised waveforms in units of the amplitudes; the first sample of a step tells what all of it was."""
        first = self.config.encoder.rest + np.arange(self.config.encoder.steps) * self.config.encoder.hold
        shown = volts[:, first]
        return np.divide(shown, self._volts_per_unit, out=np.zeros_like(shown), where=self._volts_per_unit != 0)
