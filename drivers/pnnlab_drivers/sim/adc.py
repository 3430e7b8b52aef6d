"""A simulated analog-to-digital converter."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import ADC, DeviceOptions, Identity, SettingValue, Stamps, Trigger
from pnnlab.errors import AcquisitionError, SetpointError
from pnnlab.quantities import Hertz, Seconds, Volts
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._plant import plant_of
from pnnlab_drivers.sim.circuit_board import CircuitBoard

__all__ = ["SimAdc"]


class SimAdcOptions(DeviceOptions):
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
        counter_modulus: The record counter returns to zero after this many records.
        serial: What the converter reports.
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
    counter_modulus: int = Field(default=65536, ge=2)
    serial: str = "SIM-ADC-1"


class SimAdc(ADC):
    """A converter with as many channels as its `CircuitBoard` has outputs; all are sampled at the same moment.

    Each trigger starts one record; one that comes during a record is lost. Hardware triggers are the DAC's
    marker pulses, the first with the start of a waveform and then one a record, so that armed records follow each
    other without a gap, as after the start trigger of a multifunction card. A waveform that ends before the last armed
    record begins leaves records missing.
    """

    Options: ClassVar[type[DeviceOptions]] = SimAdcOptions
    needs_plant: ClassVar[bool] = True
    options: SimAdcOptions

    @property
    def n_channels(self) -> int:
        """See `ADC.n_channels`."""
        return plant_of(self, CircuitBoard).n_outputs

    @property
    def max_rate_hz(self) -> float:
        """See `ADC.max_rate_hz`."""
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
    def counter_modulus(self) -> int:
        """See `Sensor.counter_modulus`."""
        return self.options.counter_modulus

    @property
    def stamp_error_s(self) -> float:
        """See `Sensor.stamp_error_s`: stamps are exact, and said to be right to a microsecond."""
        return 1e-6

    def expected(self, volts: torch.Tensor) -> torch.Tensor:
        """See `pnnlab.devices.Oracle`: records of single shots, each from a circuit at rest.

        Everything deterministic is in it: both converters' offsets, gains and nonlinearities, the board's specimen and
        the present drift of its gain, the aperture delay, saturation. Noise, the rounding to codes and what earlier
        shots left in the circuit are not. DAC and ADC run at the rate of the last armed records, before the first ones
        at the board's `sample_rate`.

        Args:
            volts: What the DAC is told in V, shape `(batch, n_samples, n_inputs)`.

        Returns:
            Volts, shape `(batch, n_samples, n_channels)`.
        """
        period_s = 1 / self._rate_hz
        settled = self._board.settled(volts, period_s=period_s, delay_s=self._delay_s(self._rate_hz))
        measured = self._converter.distort(settled).clamp(self._converter.low, self._top_v)
        return measured.to(volts.device, volts.dtype)

    # Hooks

    def _open(self) -> None:
        self._board = plant_of(self, CircuitBoard)
        options, board = self.options, self._board
        low, high = options.range_v
        self._converter = Converter(
            self.n_channels, low=low, high=high, n_codes=2**options.bits,
            offset=options.mismatch * options.offset_v, gain=options.mismatch * options.gain_error,
            inl_lsb=options.mismatch * options.inl_lsb,
            generator=board.specimen(f"adc {self.name}"), dtype=board.dtype, torch_device=board.torch_device,
        )  # fmt: skip
        self._rate_hz = board.sample_rate_hz
        self._counter = 0
        self._starts: list[float] = []
        self._taken = 0
        self._armed_trigger: Trigger | None = None
        self._running = False

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated ADC", self.options.serial, "1")

    def _close(self) -> None:
        """Nothing holds the simulated converter."""

    def _make_safe(self) -> None:
        """An ADC sources nothing."""

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "bits": self.options.bits, "range_v": list(self.options.range_v), "lsb_v": self._converter.lsb,
            "n_channels": self.n_channels, "max_rate_hz": self.max_rate_hz, "delay_s": self.options.delay_s,
        }  # fmt: skip

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int:
        delay_s = self.options.delay_s
        if delay_s is not None and delay_s * rate_hz > 1 + 1e-9:
            raise SetpointError(
                f"{self.name}: {rate_hz:g} samples/s are asked for with an aperture delay of {delay_s:g} s, allowed is "
                f"up to {1 / delay_s:g} Hz; sample more slowly; nothing was sent"
            )
        self._wanted, self._n_samples, self._rate_hz, self._armed_trigger = n, n_samples, rate_hz, trigger
        self._starts, self._taken, self._running = [], 0, False
        return self._counter % self.options.counter_modulus

    def _start(self) -> None:
        self._running = True
        if self._armed_trigger is Trigger.INTERNAL:
            starts_s = self.clock.now_s() + self._record_s * np.arange(self._wanted)
            self._begin_at(np.asarray(starts_s, np.float64))
        elif self._armed_trigger is Trigger.HARDWARE:
            self._board.listen(self._begin_at, every_s=self._record_s)

    def _trigger(self) -> None:
        if not self._running or self._armed_trigger is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        self._begin_at(np.array([self.clock.now_s()]))

    def _begin_at(self, times_s: npt.NDArray[np.float64]) -> None:
        for time_s in times_s.tolist():
            # rounding of a sum of records must not lose the one that follows at once
            free = not self._starts or time_s >= self._starts[-1] + self._record_s * (1 - 1e-6)
            if free and len(self._starts) < self._wanted:
                self._starts.append(time_s)

    def _wait(self, timeout_s: float) -> None:
        done, until_s = self._due(self._wanted, timeout_s)
        self.clock.sleep_until(until_s)
        if done < self._wanted:
            raise AcquisitionError(
                f"{self.name}: record {done + 1} of the run is not there after {timeout_s:g} s; {self._note()}"
            )

    def _read(self, out: npt.NDArray[np.number], timeout_s: float) -> Stamps:
        due = self._taken + len(out)
        there, until_s = self._due(due, timeout_s)
        n = there - self._taken
        starts_s = np.array(self._starts[self._taken : self._taken + n])
        self._taken += n
        if not n:
            self.clock.sleep_until(until_s)
            return Stamps(0, self._record_s, np.zeros(0, np.int64), starts_s, note=self._note())
        ticks_s = np.arange(self._n_samples) / self._rate_hz + self._delay_s(self._rate_hz)
        volts = self._board.sample((starts_s[:, None] + ticks_s).ravel())
        out[:n] = self._digitise(volts).reshape(n, *out.shape[1:])
        # what happens until then is decided already: computing it takes none of the bench's time
        self.clock.sleep_until(until_s)
        counters = (self._counter + np.arange(n)) % self.options.counter_modulus
        self._counter += n
        return Stamps(n, self._record_s, counters, starts_s, note="" if n == len(out) else self._note())

    def _disarm(self) -> None:
        if self._armed_trigger is Trigger.HARDWARE and self._running:
            self._board.unlisten(self._begin_at)
        self._armed_trigger, self._running = None, False

    # Samples

    @property
    def _record_s(self) -> float:
        return self._n_samples / self._rate_hz

    @property
    def _top_v(self) -> float:
        """The largest voltage that can be read."""
        return self._converter.top if self.options.quantised else self._converter.high

    def _delay_s(self, rate_hz: float) -> float:
        return 1 / rate_hz if self.options.delay_s is None else self.options.delay_s

    def _digitise(self, volts: torch.Tensor) -> npt.NDArray[np.floating]:
        """Return the samples of voltages at the inputs, shape `(n, n_channels)`."""
        options = self.options
        measured: npt.NDArray[np.floating] = self._converter.distort(volts).cpu().numpy().astype(np.float64)
        if options.noise * options.noise_rms_v:
            noise = self._board.noise(f"adc {self.name}").standard_normal(measured.shape)
            measured += options.noise * options.noise_rms_v * noise
        if options.quantised:
            return self._converter.nearest(measured)
        return np.clip(measured, self._converter.low, self._converter.high, out=measured)

    def _due(self, n: int, timeout_s: float) -> tuple[int, float]:
        """Return how many of `n` records of the run will be there within `timeout_s`, and when a wait for all ends."""
        deadline_s = self.clock.now_s() + timeout_s
        ready_s = [start_s + self._record_s for start_s in self._starts[:n]]
        there = sum(time_s <= deadline_s for time_s in ready_s)
        return there, ready_s[n - 1] if there == n else deadline_s

    def _note(self) -> str:
        busy_s = self._record_s
        return (
            f"{len(self._starts)} of {self._wanted} {self._armed_trigger} triggers came; "
            "start the waveform after the ADC, and "
            f"make it as long as all records, of {busy_s:g} s each"
        )
