"""A waveform from a digital-to-analog converter through a circuit into an analog-to-digital converter."""

import math
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, cast

import numpy as np
from pydantic import Field

from pnnlab.devices import ADC, DAC, Clock, Device, Trigger
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import FrozenModel, Hertz, Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._system import ControlRange, FloatArray, System, SystemConfig

__all__ = ["DacAdc", "DacAdcConfig"]

_PATIENCE_S: Final = 5.0
"""How much longer than the devices' own times a reading may take, for transfer and a busy computer."""


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
    and `control_amplitude` (control channels), shape `(batch, steps, n_channels)`.
    """

    Config = DacAdcConfig
    roles: ClassVar[Mapping[str, type]] = {"dac": DAC, "adc": ADC}
    control_range = ControlRange.BOUNDED
    config: DacAdcConfig

    def __init__(self, name: str, config: DacAdcConfig, devices: Mapping[str, Device], *, clock: Clock) -> None:
        super().__init__(name, config, devices, clock=clock)
        self._dac, self._adc = cast(DAC, devices["dac"]), cast(ADC, devices["adc"])
        encoder = config.encoder
        used = (*encoder.input_channels, *encoder.control_channels)
        if len(set(used)) != len(used) or not set(used) <= set(range(self._dac.n_channels)):
            raise SetpointError(
                f"{name}: input channels {encoder.input_channels} and control channels {encoder.control_channels} "
                f"must be different ones of the {self._dac.n_channels} channels of {config.dac} (counted from 0)"
            )
        samples = encoder.steps * encoder.hold
        if samples % config.decoder.windows:
            raise SetpointError(
                f"{name}: {config.decoder.windows} windows do not divide the {samples} samples of a shot "
                f"({encoder.steps} steps of {encoder.hold}); choose a divisor in the bench file"
            )
        # column of (inputs, controls, zero) that each step of each channel shows
        n_in, n_controls = self.n_in, self.n_controls
        index = np.full((encoder.steps, self._dac.n_channels), n_in + n_controls)
        index[:, encoder.input_channels] = np.arange(n_in).reshape(encoder.steps, -1)
        index[:, encoder.control_channels] = n_in + np.arange(n_controls).reshape(encoder.steps, -1)
        self._input_columns = np.where(index < n_in, index, 0)
        self._control_columns = np.where((index >= n_in) & (index < n_in + n_controls), index - n_in, 0)
        self._is_input = (index < n_in).astype(np.float64)
        self._is_control = ((index >= n_in) & (index < n_in + n_controls)).astype(np.float64)
        volts = np.zeros(self._dac.n_channels)
        volts[list(encoder.input_channels)] = encoder.amplitude_v
        volts[list(encoder.control_channels)] = encoder.control_amplitude_v
        self._volts_per_unit = volts
        # which step each sample of a shot shows; samples of the rest show none
        self._step_of_sample = np.concatenate(
            [np.zeros(encoder.rest, np.int64), np.repeat(np.arange(encoder.steps), encoder.hold)]
        )
        self._not_rest = (np.arange(len(self._step_of_sample)) >= encoder.rest).astype(np.float64)[:, None]
        if len(self._step_of_sample) > self._dac.max_samples:
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
        return self.config.decoder.windows, self._adc.n_channels

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`."""
        return ((self.config.encoder.steps, self._dac.n_channels),)

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

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
        """See `System.to_setpoints`: one waveform a shot in V, shape `(batch, n_samples, n_channels)`."""
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

    def _shoot(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, tuple[FloatArray, ...], tuple[int, ...]]:
        (volts,) = self.to_setpoints(*drive)
        n_samples = volts.shape[1]
        size = self._dac.max_samples // n_samples
        ys, realised, tokens = [], [], []
        for k in range(0, len(volts), size):
            y, shown, token = self._play(volts[k : k + size])
            ys.append(y)
            realised.append(shown)
            tokens += [token] * len(y)
        return np.concatenate(ys), (np.concatenate(realised),), tuple(tokens)

    def _play(self, volts: FloatArray) -> tuple[FloatArray, FloatArray, int]:
        """Play shots of shape `(batch, n_samples, n_channels)` as one waveform and record it."""
        dac, adc, rate_hz = self._dac, self._adc, self.config.rate_hz
        batch, n_samples, n_channels = volts.shape
        trigger = Trigger.HARDWARE if Trigger.HARDWARE in adc.triggers else Trigger.INTERNAL
        adc.arm_records(batch, n_samples=n_samples, rate_hz=rate_hz, trigger=trigger)
        try:
            setpoint = dac.arm_waveform(volts.reshape(-1, n_channels), rate_hz=rate_hz, trigger=Trigger.INTERNAL)
            try:
                adc.start()
                dac.start()
                timeout_s = batch * n_samples / rate_hz + _PATIENCE_S
                records = adc.read(batch, timeout_s=timeout_s)
                dac.wait(timeout_s)
            finally:
                dac.disarm()
        finally:
            adc.disarm()
        # the first sample of a step tells what the whole step was
        first = self.config.encoder.rest + np.arange(self.config.encoder.steps) * self.config.encoder.hold
        shown = setpoint.realised.reshape(volts.shape)[:, first]
        units = np.divide(shown, self._volts_per_unit, out=np.zeros_like(shown), where=self._volts_per_unit != 0)
        return self.decode(records.volts).astype(self.dtype), units.astype(self.dtype), setpoint.tokens[0]
