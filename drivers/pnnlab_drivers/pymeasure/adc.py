"""Readings by the properties of an instrument of pymeasure."""

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import ADC, DeviceOptions, Identity, SettingValue, Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.quantities import FrozenModel, Hertz, Ohms, Seconds, Volts
from pnnlab_drivers.pymeasure._instrument import PymeasureInstrument, PymeasureOptions

__all__ = ["PymeasureAdc", "PymeasureAdcOptions"]

Rows = npt.NDArray[np.number]


class Input(FrozenModel):
    """One channel.

    Attributes:
        read: The property that is read.
        shunt_ohm: Where it is a current in A: the resistance by which it becomes the channel's voltage.
    """

    read: str
    shunt_ohm: Ohms | None = Field(default=None, gt=0)


class PymeasureAdcOptions(PymeasureOptions):
    """The options of the driver `pymeasure-adc`.

    Attributes:
        inputs: The channels, read one after the other for each sample.
        range_v: Lowest and highest voltage that is told apart from saturation.
        max_rate_hz: Samples per second at most that the instrument keeps.
        stamp_error_s: By how much a record may begin later than it is told.
    """

    inputs: tuple[Input, ...] = Field(min_length=1)
    range_v: tuple[Volts, Volts]
    max_rate_hz: Hertz = Field(default=5.0, gt=0)
    stamp_error_s: Seconds = Field(default=0.05, gt=0)


class PymeasureAdc(ADC):
    """Samples that this computer asks for one by one, at its own time."""

    Options: ClassVar[type[DeviceOptions]] = PymeasureAdcOptions
    options: PymeasureAdcOptions
    _instrument: PymeasureInstrument | None = None

    @property
    def n_inputs(self) -> int:
        """See `ADC.n_inputs`."""
        return len(self.options.inputs)

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
        """See `Sensor.triggers`."""
        return frozenset({Trigger.INTERNAL, Trigger.SOFTWARE})

    @property
    def dtype(self) -> np.dtype[np.number]:
        """See `ADC.dtype`."""
        return np.dtype(np.float64)

    @property
    def stamp_error_s(self) -> float | None:
        """See `Sensor.stamp_error_s`."""
        return self.options.stamp_error_s

    # Hooks

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._records: deque[tuple[float, Rows]] = deque()
        self._instrument = PymeasureInstrument(self.name, self.options)
        self._instrument.check(*[entry.read for entry in self.options.inputs], *self.options.prepare)

    def _identify(self) -> Identity:
        return self._opened.identity()

    def _close(self) -> None:
        if self._instrument is not None:
            self._instrument.close()
            self._instrument = None

    def _make_safe(self) -> None:
        """Nothing is put out."""

    def _settings(self) -> dict[str, SettingValue]:
        return {
            **self._opened.settings(), "inputs": ",".join(entry.read for entry in self.options.inputs),
            "range_v": list(self.options.range_v), "max_rate_hz": self.options.max_rate_hz,
        }  # fmt: skip

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        self._opened.prepare()
        self._records.clear()
        self._left, self._n_samples, self._rate_hz, self._by = n, n_samples, rate_hz, trigger
        self._started = False
        return None

    def _start(self) -> None:
        self._started = True

    def _trigger(self) -> None:
        if not self._started or self._by is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        if self._left:
            self._sample()

    def _wait(self, timeout_s: float) -> None:
        self._sample_until(self.clock.now_s() + timeout_s, self._left + len(self._records))
        if self._left:
            raise AcquisitionError(f"{self.name}: after {timeout_s:g} s {self._left} records are missing")

    def _disarm(self) -> None:
        self._records.clear()
        self._left, self._started = 0, False

    def _read(self, out: Rows, timeout_s: float) -> Stamps:
        self._sample_until(self.clock.now_s() + timeout_s, len(out))
        count = min(len(out), len(self._records))
        starts_s = np.empty(count)
        for k in range(count):
            starts_s[k], out[k] = self._records.popleft()
        return Stamps(count, self._n_samples / self._rate_hz, start_s=starts_s)

    def _sample_until(self, deadline_s: float, n: int) -> None:
        """Take records until there are `n`, or until the next one would end after the deadline."""
        length_s = self._n_samples / self._rate_hz
        on_its_own = self._started and self._by is Trigger.INTERNAL
        while on_its_own and self._left and len(self._records) < n and self.clock.now_s() + length_s <= deadline_s:
            self._sample()
        if len(self._records) < n:
            self.clock.sleep_until(deadline_s)

    def _sample(self) -> None:
        record, start_s = np.empty((self._n_samples, self.n_inputs)), self.clock.now_s()
        for k in range(self._n_samples):
            self.clock.sleep_until(start_s + k / self._rate_hz)
            late_s = self.clock.now_s() - start_s - k / self._rate_hz
            if late_s > max(self.options.stamp_error_s, 1 / self._rate_hz):
                raise AcquisitionError(
                    f"{self.name}: sample {k} of a record was late by {late_s:g} s: the instrument does not keep "
                    f"{self._rate_hz:g} Hz; lower the rate, or `max_rate` in the bench file"
                )
            record[k] = [self._volts(entry) for entry in self.options.inputs]
        self.clock.sleep_until(start_s + self._n_samples / self._rate_hz)
        self._records.append((start_s, record))
        self._left -= 1

    def _volts(self, entry: Input) -> float:
        number = self._opened.number(entry.read)
        return number if entry.shunt_ohm is None else number * entry.shunt_ohm

    @property
    def _opened(self) -> PymeasureInstrument:
        if self._instrument is None:
            raise DeviceError(f"{self.name}: it is not open")
        return self._instrument
