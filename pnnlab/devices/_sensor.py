"""What devices share that take readings: armed runs, buffers, and the device's own account of its readings."""

from abc import abstractmethod
from collections.abc import Callable
from typing import ParamSpec

import numpy as np
import numpy.typing as npt

from pnnlab.devices._device import Device
from pnnlab.devices._readings import ReadingBuffer
from pnnlab.devices._state import State
from pnnlab.devices._trigger import Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError

__all__ = ["Sensor"]

P = ParamSpec("P")
Rows = npt.NDArray[np.number]


class Sensor(Device):
    """A device that takes readings in armed runs.

    Which setpoint a reading belongs to is worked out from what the device tells of it: its counter, its time stamp, or,
    where it has neither, from the order of arming alone. So a driver says honestly what its instrument can tell.
    """

    # What a driver tells

    @property
    @abstractmethod
    def triggers(self) -> frozenset[Trigger]:
        """Return what can start a reading."""

    @property
    def counter_modulus(self) -> int | None:
        """Return after how many readings the device's counter returns to zero; `None` where it does not count."""
        return None

    @property
    def stamp_error_s(self) -> float | None:
        """Return by how much a time stamp may be off in bench time, in s; `None` where there are none."""
        return None

    @property
    def max_delay_s(self) -> float:
        """Return the longest delay from a hardware trigger to the reading that the device can keep, in s."""
        return 0.0

    @property
    def trigger_latency_s(self) -> float:
        """Return the longest time from the end of a call of `trigger` to the beginning of its reading, in s."""
        return 0.0

    @property
    def stale_readings(self) -> int:
        """Return how many readings of an earlier run may still come after arming: a queue that cannot be emptied."""
        return 0

    # For the roles

    _buffer: ReadingBuffer
    _first_counter: int | None = None

    @property
    def first_counter(self) -> int | None:
        """Return the counter that the first reading of the armed run has; `None` where that is not known before."""
        return self._first_counter

    def _arm_readings(
        self, n: int, shape: tuple[int, ...], out: Rows | None, hook: Callable[P, int | None], *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:  # fmt: skip
        """Prepare a run of `n` readings of a shape by the driver's hook."""
        self._buffer = ReadingBuffer(self.name, n, shape, self._row_dtype, out)
        self._first_counter = self._arm(Sensor, hook, *args, **kwargs)

    @property
    @abstractmethod
    def _row_dtype(self) -> np.dtype[np.number]:
        """Return the type of a reading."""

    def _take(self, n: int, timeout_s: float, *, all_or_none: bool) -> tuple[Rows, Stamps]:
        """Return the next readings of the armed run; `n` faultless ones, or those that came."""
        self._require(State.ARMED)
        buffer = self._buffer
        if not 1 <= n <= min(buffer.left, len(buffer)):
            raise AcquisitionError(
                f"{self.name}: {n} readings are asked for, {buffer.left} of the {buffer.n} armed are left, "
                f"the buffer holds {len(buffer)}; arm more, or read fewer at once"
            )
        number = buffer.taken
        rows = buffer.rows(n)
        stamps = self._call(self._read, rows, timeout_s)
        self._check_account(stamps, n)
        if all_or_none:
            self._refuse_faults(stamps, n, number, timeout_s)
        buffer.keep(stamps.count)
        return rows[: stamps.count], stamps

    def _check_account(self, stamps: Stamps, n: int) -> None:
        """Refuse a driver's account that contradicts itself or what it declares."""
        arrays = {"counters": stamps.counters, "start_s": stamps.start_s, "intact": stamps.intact}
        wrong = [name for name, a in arrays.items() if a is not None and a.shape != (stamps.count,)]
        if not 0 <= stamps.count <= n:
            wrong.append("count")
        if (stamps.counters is None) != (self.counter_modulus is None):
            wrong.append("counters (declared otherwise by counter_modulus)")
        if (stamps.start_s is None) != (self.stamp_error_s is None):
            wrong.append("start_s (declared otherwise by stamp_error_s)")
        if not wrong and not _tells_all_of_the_intact(stamps):
            wrong.append("counters or start_s (missing for readings that are complete)")
        if wrong:
            raise DeviceError(
                f"{self.name}: {type(self).__name__} tells of {stamps.count} of {n} readings with {', '.join(wrong)} "
                "that do not fit; the driver is wrong: close the device and mend it"
            )

    def _refuse_faults(self, stamps: Stamps, n: int, number: int, timeout_s: float) -> None:
        what, at = "", 0
        if stamps.intact is not None and not stamps.intact.all():
            what = f"reading {number + int(np.flatnonzero(~stamps.intact)[0])} of the run is incomplete"
        elif stamps.counters is not None and self.counter_modulus is not None and stamps.count:
            expected = self._first_counter
            expected = int(stamps.counters[0]) if expected is None else expected + number
            gaps = np.diff(stamps.counters, prepend=expected - 1) % self.counter_modulus
            if number == 0 and self._first_counter is None:
                gaps[0] = 1
            if (gaps != 1).any():
                at = int(np.flatnonzero(gaps != 1)[0])
                gap = int(gaps[at])
                what = f"{gap - 1} readings were lost"
                if gap == 0:
                    what = "a reading was repeated"
                elif gap > self.counter_modulus // 2:
                    what = "readings came out of order"
                what += f" before reading {number + at} of the run (the device counted {int(stamps.counters[at])})"
            self._first_counter = int(stamps.counters[0] - number) % self.counter_modulus
        if not what and stamps.count < n:
            what = f"{stamps.count} of {n} readings came within {timeout_s:g} s"
        if what:
            raise AcquisitionError(
                f"{self.name}: {what}{'; ' * bool(stamps.note)}{stamps.note}; disarm and take the run again"
            )

    # Hooks of a driver

    @abstractmethod
    def _read(self, out: Rows, timeout_s: float) -> Stamps:
        """Fill the rows of `out` with the next readings in the order in which they come; return their stamps.

        Returns once all rows are filled, or after `timeout_s` with those that came: a driver judges nothing, drops
        nothing silently and raises only where the instrument itself fails.
        """


def _tells_all_of_the_intact(stamps: Stamps) -> bool:
    """Return whether complete readings have a number and a time, where the device has them at all."""
    intact = np.ones(stamps.count, bool) if stamps.intact is None else stamps.intact
    numbered = stamps.counters is None or bool((stamps.counters[intact] >= 0).all())
    return numbered and (stamps.start_s is None or bool(np.isfinite(stamps.start_s[intact]).all()))
