"""The buffer that the readings of an armed run land in."""

import numpy as np
import numpy.typing as npt

from pnnlab.devices._trigger import Stamps
from pnnlab.errors import AcquisitionError, SetpointError

__all__ = ["ReadingBuffer"]


class ReadingBuffer:
    """Preallocated rows for `n` readings, handed out in order; the device's counter says whether one is missing.

    Mutable: `rows` and `accept` move it on.
    """

    def __init__(self, device: str, n: int, shape: tuple[int, ...], dtype: np.dtype[np.number],
                 out: npt.NDArray[np.number] | None) -> None:  # fmt: skip
        if n < 1:
            raise SetpointError(f"{device}: {n} readings are asked for, at least 1 is needed; nothing was sent")
        wanted = (n, *shape)
        if out is None:
            out = np.empty(wanted, dtype)
        elif out.shape != wanted or out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
            raise SetpointError(
                f"{device}: the buffer is {out.dtype} {out.shape}, expected a writable C-contiguous {dtype} {wanted}; "
                "nothing was sent"
            )
        self._device = device
        self._out = out
        self._taken = 0
        self._last_counter: int | None = None

    def rows(self, n: int) -> npt.NDArray[np.number]:
        """Return the next `n` rows, to be filled by the driver.

        Raises:
            AcquisitionError: Fewer are left of the armed run.
        """
        left = len(self._out) - self._taken
        if not 1 <= n <= left:
            raise AcquisitionError(
                f"{self._device}: {n} readings are asked for, {left} of the {len(self._out)} armed are left; arm more"
            )
        return self._out[self._taken : self._taken + n]

    def accept(self, stamps: Stamps) -> None:
        """Take the driver's stamps for the rows just filled.

        Raises:
            AcquisitionError: The device's counter says that readings were lost or repeated.
        """
        counters = stamps.counters
        if len(counters):
            previous = counters[:1] - 1 if self._last_counter is None else np.array([self._last_counter])
            steps = np.diff(counters, prepend=previous) % stamps.counter_modulus
            if (steps != 1).any():
                at = int(np.flatnonzero(steps != 1)[0])
                step = int(steps[at])
                what = f"{step - 1} readings were lost"
                if step == 0:
                    what = "a reading was repeated"
                elif step > stamps.counter_modulus // 2:
                    what = "readings came out of order"
                raise AcquisitionError(
                    f"{self._device}: {what} before reading {self._taken + at} of the run "
                    f"(the device counted {int(counters[at])}); the run is void: disarm and take it again"
                )
            self._last_counter = int(counters[-1])
        self._taken += len(stamps.start_s)
