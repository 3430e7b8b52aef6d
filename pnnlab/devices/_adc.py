"""A device that measures voltages."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._device import Device, State
from pnnlab.devices._readings import ReadingBuffer
from pnnlab.devices._trigger import Stamps, Trigger
from pnnlab.errors import SetpointError

__all__ = ["ADC", "Records"]


@dataclass(frozen=True, slots=True)
class Records:
    """Records of an armed run, in the order in which they were sampled.

    Attributes:
        volts: Shape `(n, n_samples, n_channels)`: a view of the buffer that was armed.
        stamps: The converter's own account of them.
    """

    volts: npt.NDArray[np.number]
    stamps: Stamps


class ADC(Device):
    """The role of an analog-to-digital converter: volts on channels, sampled in records."""

    # What a driver tells

    @property
    @abstractmethod
    def n_channels(self) -> int:
        """Return the number of input channels."""

    @property
    @abstractmethod
    def max_rate_hz(self) -> float:
        """Return the highest sample rate in Hz."""

    @property
    @abstractmethod
    def range_v(self) -> tuple[float, float]:
        """Return the lowest and highest voltage that is told apart from saturation, in V."""

    @property
    @abstractmethod
    def triggers(self) -> frozenset[Trigger]:
        """Return what can start a record."""

    @property
    def dtype(self) -> np.dtype[np.number]:
        """Return the type of a sample."""
        return np.dtype(np.float32)

    # What a user calls

    @final
    def arm_records(self, n: int, *, n_samples: int, rate_hz: float, trigger: Trigger,
                    out: npt.NDArray[np.number] | None = None) -> None:  # fmt: skip
        """Prepare to take `n` records; sampling begins after `start`, one record a trigger.

        Args:
            n: How many records.
            n_samples: Samples of each channel in a record.
            rate_hz: Samples per second and channel.
            trigger: What starts each record; internal: one record right after the other.
            out: Buffer for them, shape `(n, n_samples, n_channels)`, type `dtype`; made here if `None`.

        Raises:
            AbilityError: The converter has no such trigger.
            SetpointError: Too fast, or the buffer does not fit; nothing was sent.
        """
        self._require(State.OPEN)
        self._require_trigger(trigger, self.triggers)
        if not 0 < rate_hz <= self.max_rate_hz or n_samples < 1:
            raise SetpointError(
                f"{self.name}: records of {n_samples} samples at {rate_hz:g} Hz are asked for, "
                f"allowed are at least 1 sample and at most {self.max_rate_hz:g} Hz; nothing was sent"
            )
        self._buffer = ReadingBuffer(self.name, n, (n_samples, self.n_channels), self.dtype, out)
        self._arm(self._arm_records, n, n_samples, rate_hz, trigger)

    @final
    def read(self, n: int, *, timeout_s: float) -> Records:
        """Return the next `n` records of the armed run.

        Args:
            n: How many records.
            timeout_s: How long to wait for all of them, sampling included.

        Raises:
            AcquisitionError: A record is late, lost, repeated or incomplete; none is returned.
        """
        self._require(State.ARMED)
        rows = self._buffer.rows(n)
        stamps = self._call(self._read, rows, timeout_s)
        self._buffer.accept(stamps)
        return Records(rows, stamps)

    # Hooks of a driver

    @abstractmethod
    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> None:
        """Be ready for `_start` and `n` records."""

    @abstractmethod
    def _read(self, out: npt.NDArray[np.number], timeout_s: float) -> Stamps:
        """Fill `out`, shape `(n, n_samples, n_channels)` in V, with the next records; return their stamps."""
