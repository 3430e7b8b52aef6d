"""The buffer that the readings of an armed run land in."""

import numpy as np
import numpy.typing as npt

from pnnlab.errors import SetpointError

__all__ = ["ReadingBuffer"]


class ReadingBuffer:
    """A ring of preallocated rows for the readings of a run: rows are handed out in order, then again from the first.

    What was read stays until as many more readings were read as the ring has rows.

    Mutable: `rows` and `keep` move it on.

    Args:
        device: Who reads, for the messages.
        n: Readings of the run.
        shape: Of one reading.
        dtype: Of one reading.
        out: The caller's ring, shape `(rows, *shape)` with at most `n` rows; `None` makes one with `n`.
    """

    def __init__(self, device: str, n: int, shape: tuple[int, ...], dtype: np.dtype[np.number],
                 out: npt.NDArray[np.number] | None) -> None:  # fmt: skip
        if n < 1:
            raise SetpointError(f"{device}: {n} readings are asked for, at least 1 is needed; nothing was sent")
        if out is None:
            out = np.empty((n, *shape), dtype)
        fits = out.ndim == len(shape) + 1 and 1 <= len(out) <= n and out.shape[1:] == shape and out.dtype == dtype
        if not fits or not out.flags.c_contiguous or not out.flags.writeable:
            raise SetpointError(
                f"{device}: the buffer is {out.dtype} {out.shape}, expected a writable C-contiguous {dtype} "
                f"of 1 to {n} rows of {shape}; nothing was sent"
            )
        self._out = out
        self._next = 0
        self.n = n
        self.taken = 0

    @property
    def left(self) -> int:
        """Return how many readings of the run were not read yet."""
        return self.n - self.taken

    def rows(self, n: int) -> npt.NDArray[np.number]:
        """Return the next `n` rows, neighbours in memory, to be filled by the driver; at most as many as there are."""
        if self._next + n > len(self._out):
            self._next = 0
        return self._out[self._next : self._next + n]

    def keep(self, n: int) -> None:
        """Move on by `n` rows that were filled."""
        self._next += n
        self.taken += n

    def __len__(self) -> int:
        return len(self._out)
