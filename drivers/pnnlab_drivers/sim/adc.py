"""A simulated analog-to-digital converter."""

from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import ADC, DeviceOptions, Identity, SettingValue, Stamps, Trigger
from pnnlab.errors import SetpointError
from pnnlab.quantities import Hertz, Seconds, Volts
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._leftovers import Leftovers
from pnnlab_drivers.sim._reading_faults import SensorOptions
from pnnlab_drivers.sim._triggered_run import TriggeredRun
from pnnlab_drivers.sim.board import SampledRecord, board_of

__all__ = ["SimAdc"]

Rows = npt.NDArray[np.number]

_AHEAD: Final = 1 << 16
"""Samples that the circuit is followed into the future at most: many at once are faster than block by block."""


class SimAdcOptions(SensorOptions):
    """The options of the driver `sim-adc`.

    Attributes:
        bits: Bits of a code; the last code lies one below the upper end of the range.
        quantised: Whether samples are codes; off for tests of gradients.
        range_v: Voltage at code 0, and the upper end of the range; what lies outside saturates.
        max_rate_hz: Samples per second and channel at most.
        delay_s: Aperture delay, from each tick of the sample clock to the sample, at most a period of the clock; left
            out, it is the whole period: the last moment before a DAC on the same clock changes.
        mismatch: Scales every hidden deviation below; 0 switches them off.
        offset_v: Standard deviation of the channels' offsets.
        gain_error: Standard deviation of the channels' relative gain errors.
        inl_lsb: Largest integral nonlinearity of each channel, in codes.
        noise_rms_v: Root mean square of the noise of a sample.
        noise: Scales it; 0 switches it off.
        chains: Whether the first pulse on the trigger line starts all records of a run.
        stale_records: Old records that come before those of each run.
        serial: What the converter reports.

    What it tells of its records, and what goes wrong with them, is in `SensorOptions`.
    """

    bits: int = Field(default=16, ge=2, le=24)
    quantised: bool = True
    range_v: tuple[Volts, Volts] = (-5.0, 5.0)
    max_rate_hz: Hertz = Field(default=100e3, gt=0)
    delay_s: Seconds | None = Field(default=None, gt=0)
    mismatch: float = 1.0
    offset_v: Volts = 0.0
    gain_error: float = 0.0
    inl_lsb: float = Field(default=0.0, ge=0)
    noise_rms_v: Volts = 0.0
    noise: float = Field(default=1.0, ge=0)
    chains: bool = False
    stale_records: int = Field(default=0, ge=0)
    serial: str = "SIM-ADC-1"


class SimAdc(ADC):
    """A converter with as many channels as its `Board` has outputs; all are sampled at the same moment.

    Each trigger starts one record; one that comes during a record is lost. Hardware triggers are the DAC's
    marker pulses, the first with the start of a waveform and then one a record, so that armed records follow each
    other without a gap. A waveform that ends before the last armed record begins leaves records missing. With the
    option `chains` the first pulse starts all records, as the start trigger of a multifunction card does.
    """

    Options: ClassVar[type[DeviceOptions]] = SimAdcOptions
    needs_plant: ClassVar[bool] = True
    options: SimAdcOptions

    @property
    def n_inputs(self) -> int:
        """See `ADC.n_inputs`."""
        return board_of(self).n_outputs

    @property
    def max_sample_rate_hz(self) -> float:
        """See `ADC.max_sample_rate_hz`."""
        return self.options.max_rate_hz

    @property
    def range_v(self) -> tuple[float, float]:
        """See `ADC.range_v`."""
        return self.options.range_v

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `ADC.triggers`."""
        return frozenset(Trigger)

    @property
    def dtype(self) -> np.dtype[np.number]:
        """See `ADC.dtype`."""
        return super().dtype if self.options.quantised else np.dtype(np.float64)

    @property
    def counter_modulus(self) -> int | None:
        """See `Sensor.counter_modulus`."""
        return self.options.counter_modulus if self.options.counts else None

    @property
    def stamp_error_s(self) -> float | None:
        """See `Sensor.stamp_error_s`."""
        return self.options.stamp_error_s if self.options.stamps else None

    @property
    def chains_records(self) -> bool:
        """See `ADC.chains_records`."""
        return self.options.chains

    @property
    def stale_readings(self) -> int:
        """See `Sensor.stale_readings`."""
        return self.options.stale_records

    def expected(self, volts: torch.Tensor) -> torch.Tensor:
        """See `pnnlab.devices.Oracle`: records of single shots, each from a circuit at rest.

        Everything deterministic is in it: both converters' offsets, gains and nonlinearities, the board's specimen and
        the present drift of its gain, the aperture delay, saturation. Noise, the rounding to codes and what earlier
        shots left in the circuit are not. DAC and ADC run at the rate of the last armed records, before the first ones
        at the board's `sample_rate`.

        Args:
            volts: What the DAC is told in V, shape `(batch, n_samples, n_inputs)`.

        Returns:
            Volts, shape `(batch, n_samples, n_inputs)`.
        """
        period_s = 1 / self._rate_hz
        settled = self._board.settled(volts, period_s=period_s, delay_s=self._delay_s(self._rate_hz))
        measured = self._converter.distort(settled).clamp(self._converter.low, self._top_v)
        return measured.to(volts.device, volts.dtype)

    # Hooks

    def _open(self) -> None:
        self._board = board_of(self)
        options, board = self.options, self._board
        low, high = options.range_v
        self._converter = Converter(
            self.n_inputs, low=low, high=high, n_codes=2**options.bits,
            offset=options.mismatch * options.offset_v, gain=options.mismatch * options.gain_error,
            inl_lsb=options.mismatch * options.inl_lsb,
            generator=board.specimen(f"adc {self.name}"), dtype=board.dtype, torch_device=board.torch_device,
        )  # fmt: skip
        self._rate_hz = board.sample_rate_hz
        self._counter = 0
        self._sampled: dict[float, SampledRecord] = {}
        n = options.stale_records
        self._leftovers = Leftovers(n, counts=options.counts, stamps=options.stamps) if n else None

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated ADC", self.options.serial, "1")

    def _close(self) -> None:
        """Nothing holds the simulated converter."""

    def _make_safe(self) -> None:
        """An ADC sources nothing."""

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "bits": self.options.bits, "range_v": list(self.options.range_v), "lsb_v": self._converter.lsb,
            "n_inputs": self.n_inputs, "max_sample_rate_hz": self.max_sample_rate_hz, "delay_s": self.options.delay_s,
        }  # fmt: skip

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        delay_s = self.options.delay_s
        if delay_s is not None and delay_s * rate_hz > 1 + 1e-9:
            raise SetpointError(
                f"{self.name}: {rate_hz:g} samples/s are asked for with an aperture delay of {delay_s:g} s, allowed is "
                f"up to {1 / delay_s:g} Hz; sample more slowly; nothing was sent"
            )
        self._rate_hz, self._record_s = rate_hz, n_samples / rate_hz
        self._ticks_s = np.arange(n_samples) / rate_hz + self._delay_s(rate_hz)
        self._trigger_line = trigger is Trigger.HARDWARE
        chained = self._trigger_line and self.options.chains
        self._listens_every_s = n * self._record_s if chained else self._record_s
        self._shape = (n_samples, self.n_inputs)
        self._run = TriggeredRun(
            self.name, "record", n, trigger, clock=self.clock, options=self.options,
            noise=self._board.noise(f"adc {self.name} records"), first=self._counter,
            duration_s=self._record_s, busy_s=self._record_s, ahead=max(_AHEAD // n_samples, 1),
            advice="start the waveform after the ADC, make it as long as all records", chained=chained,
        )  # fmt: skip
        old = self.options.stale_records
        self._sampled = dict(tuple(self._sampled.items())[-old:]) if old else {}
        if self._leftovers is not None:
            before = (self._run.first_counter or 0) - 1
            self._leftovers.refill(self._shape, before % self.options.counter_modulus, self.clock.now_s())
        return self._run.first_counter

    def _start(self) -> None:
        self._run.start()
        if self._trigger_line:
            self._board.listen(self._run, every_s=self._listens_every_s)

    def _trigger(self) -> None:
        self._run.trigger()

    def _wait(self, timeout_s: float) -> None:
        self._run.wait(timeout_s)

    def _read(self, out: Rows, timeout_s: float) -> Stamps:
        def read(rows: Rows) -> tuple[npt.NDArray[np.float64], Stamps]:
            return self._read_run(rows, timeout_s)

        starts_s, stamps = read(out) if self._leftovers is None else self._leftovers.read(out, read)
        self._board.records.extend(self._sampled[start_s] for start_s in starts_s.tolist() if start_s in self._sampled)
        return stamps

    def _read_run(self, rows: Rows, timeout_s: float) -> tuple[npt.NDArray[np.float64], Stamps]:
        return self._run.read(
            rows, timeout_s, observe=self._observe, convert=self._convert,
            revision=lambda: self._board.course.revision,
        )  # fmt: skip

    def _disarm(self) -> None:
        if self._leftovers is not None:
            self._leftovers.keep(self.options.stale_records, self._shape, lambda rows: self._read_run(rows, 0.0))
        self._board.unlisten(self._run)
        self._counter = self._run.end()
        self._board.course.rewind(self.clock.now_s())

    # Samples

    def _observe(self, starts_s: npt.NDArray[np.float64]) -> torch.Tensor:
        """Return what is at the inputs during records, shape `(n, n_samples, n_inputs)`."""
        times_s = starts_s[:, None] + self._ticks_s
        volts = self._board.course.foresee(times_s.ravel())
        return volts.reshape(*times_s.shape, -1)

    def _convert(
        self, starts_s: npt.NDArray[np.float64], counters: npt.NDArray[np.int64], volts: torch.Tensor
    ) -> npt.NDArray[np.floating]:
        """Return records, same shape, and take note of what they have truly sampled."""
        for start_s, counter in zip(starts_s.tolist(), counters.tolist(), strict=True):
            self._sampled[start_s] = self._board.sampled(self.name, counter, start_s, self._record_s)
        disturbed = self._board.disturbed(volts.flatten(0, 1), float(starts_s[0]))
        return self._digitise(disturbed).reshape(volts.shape)

    @property
    def _top_v(self) -> float:
        """The largest voltage that can be read."""
        return self._converter.top if self.options.quantised else self._converter.high

    def _delay_s(self, rate_hz: float) -> float:
        return 1 / rate_hz if self.options.delay_s is None else self.options.delay_s

    def _digitise(self, volts: torch.Tensor) -> npt.NDArray[np.floating]:
        """Return the samples of voltages at the inputs, shape `(n, n_inputs)`."""
        options = self.options
        measured: npt.NDArray[np.floating] = self._converter.distort(volts).cpu().numpy().astype(np.float64)
        if options.noise * options.noise_rms_v:
            noise = self._board.noise(f"adc {self.name}").standard_normal(measured.shape)
            measured += options.noise * options.noise_rms_v * noise
        if options.quantised:
            return self._converter.nearest(measured)
        return np.clip(measured, self._converter.low, self._converter.high, out=measured)
