"""A device that measures voltages."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._sensor import Sensor
from pnnlab.devices._trigger import Stamps, Trigger
from pnnlab.errors import SetpointError

__all__ = ["ADC", "Records"]


@dataclass(frozen=True, slots=True)
class Records:
    """Records of an armed run, in the order in which they came.

    Attributes:
        volts: Shape `(n, n_samples, n_inputs)`: a view of the buffer that was armed.
        stamps: The converter's own account of them.
    """

    volts: npt.NDArray[np.number]
    stamps: Stamps


class ADC(Sensor):
    """The role of an analog-to-digital converter: volts on channels, sampled in records."""

    # What a driver tells

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Return the number of input channels."""

    @property
    @abstractmethod
    def max_sample_rate_hz(self) -> float:
        """Return the highest sample rate in Hz."""

    @property
    @abstractmethod
    def range_v(self) -> tuple[float, float]:
        """Return the lowest and highest voltage that is told apart from saturation, in V."""

    @property
    def dtype(self) -> np.dtype[np.number]:
        """Return the type of a sample."""
        return np.dtype(np.float32)

    @property
    def chains_records(self) -> bool:
        """Return whether one edge on the trigger line starts all records of a run, one right after the other.

        Otherwise each record takes an edge of its own.
        """
        return False

    # What a user calls

    @final
    def arm_records(self, n: int, *, n_samples: int, rate_hz: float, trigger: Trigger,
                    out: npt.NDArray[np.number] | None = None) -> None:  # fmt: skip
        """Prepare to take `n` records; sampling begins after `start`, one record a trigger.

        Args:
            n: How many records.
            n_samples: Samples of each channel in a record.
            rate_hz: Samples per second and channel.
            trigger: What starts each record; internal: one record right after the other, and so with one edge where
                the converter `chains_records`.
            out: Ring for them, shape `(rows, n_samples, n_inputs)` with up to `n` rows, type `dtype`: a record stays
                until as many more were read as there are rows. Made here with `n` rows if `None`.

        Raises:
            AbilityError: The converter has no such trigger.
            SetpointError: Too fast, or the buffer does not fit; nothing was sent.
        """
        self._require_free(Sensor)
        self._require_trigger(trigger, self.triggers)
        if not 0 < rate_hz <= self.max_sample_rate_hz or n_samples < 1:
            raise SetpointError(
                f"{self.name}: records of {n_samples} samples at {rate_hz:g} Hz are asked for, "
                f"allowed are at least 1 sample and at most {self.max_sample_rate_hz:g} Hz; nothing was sent"
            )
        shape = (n_samples, self.n_inputs)
        self._arm_readings(n, shape, out, self._arm_records, n, n_samples, rate_hz, trigger)

    @final
    def read(self, n: int, *, timeout_s: float) -> Records:
        """Return the next `n` records of the armed run.

        Args:
            n: How many records.
            timeout_s: How long to wait for all of them, sampling included.

        Raises:
            AcquisitionError: A record is late, lost, repeated, out of order or incomplete; none is returned.
        """
        return Records(*self._take(n, timeout_s, all_or_none=True))

    @final
    def collect(self, n: int, *, timeout_s: float) -> Records:
        """Return those of the next `n` records that came in time, with all their faults; whoever asks must judge.

        Args:
            n: How many records at most.
            timeout_s: How long to wait for all of them, sampling included.
        """
        return Records(*self._take(n, timeout_s, all_or_none=False))

    @property
    def _row_dtype(self) -> np.dtype[np.number]:
        return self.dtype

    # Hooks of a driver

    @abstractmethod
    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        """Be ready for `_start` and `n` records; forget records of earlier runs.

        Returns:
            The counter that the first record will have; `None` where that is not known.
        """
