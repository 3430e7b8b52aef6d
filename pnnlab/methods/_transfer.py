"""What of a fast array is passed on to a slow one: the four versions of Tiki-Taka."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pnnlab.methods._pulsed_weights import Counts, PulsedWeights
from pnnlab.systems import FloatArray

__all__ = ["AveragedTransfer", "BufferedTransfer", "ChoppedTransfer", "DirectTransfer"]


class DirectTransfer:
    """Version 1: what is read of the fast array is written to the slow one by stochastic pulses.

    Args:
        slow: The array that keeps the weights.
        rate: Change of a slow weight per fast weight that is read.
        generator: Draws what is random.

    Attributes:
        row_signs: Signs under which rows of the fast array learn now, shape `(n_in,)`.
        column_signs: The same of its columns, shape `(n_out,)`.
        strength: Unit of the gradients that the fast array took, with which `rate` is multiplied.
    """

    def __init__(self, slow: PulsedWeights, rate: float, generator: torch.Generator) -> None:
        self.slow, self.rate, self.generator = slow, rate, generator
        self.row_signs = np.ones(slow.system.n_in)
        self.column_signs = np.ones(slow.system.n_out)
        self.strength = 1.0

    def pass_on(self, rows: Counts, read: FloatArray) -> None:
        """Take readings of the fast array.

        Args:
            rows: Which rows, shape `(n,)`, in the order in which they were read.
            read: Their weights, relative to the symmetry point where that is known, shape `(n, n_out)`.
        """
        for row, weights in zip(rows.tolist(), read, strict=True):
            self.take(row, weights.astype(np.float64))

    def take(self, row: int, weights: FloatArray) -> None:
        """Take one reading, shape `(n_out,)`."""
        x = np.zeros((1, self.slow.system.n_in))
        x[0, row] = 1
        self.slow.descend(x, -weights[None] / self.slow.array.gain, self.rate * self.strength)

    def state(self) -> dict[str, Any]:
        """Return what later readings depend on."""
        return {"rows": torch.from_numpy(self.row_signs.copy()), "columns": torch.from_numpy(self.column_signs.copy())}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.row_signs, self.column_signs = (state[key].numpy().copy() for key in ("rows", "columns"))

    def drawn(self, n: int) -> FloatArray:
        """Return even random numbers from 0 to 1, shape `(n,)`."""
        found: FloatArray = torch.rand(n, generator=self.generator, dtype=torch.float64).numpy()
        return found


class BufferedTransfer(DirectTransfer):
    """Version 2: readings add up in a digital buffer, a low-pass filter that sends whole pulses only.

    Attributes:
        buffer: H, in weights, shape `(n_in, n_out)`.
    """

    def __init__(self, slow: PulsedWeights, rate: float, generator: torch.Generator) -> None:
        super().__init__(slow, rate, generator)
        self.buffer = np.zeros((slow.system.n_in, slow.system.n_out))

    def take(self, row: int, weights: FloatArray) -> None:
        """See `DirectTransfer.take`."""
        self.gather(row, self.rate * self.strength * weights)

    def gather(self, row: int, change: FloatArray) -> None:
        """Add to a row of the buffer, and send the pulses that are due, shape `(n_out,)`."""
        self.buffer[row] += change
        counts = np.trunc(self.buffer[row] / self.slow.step).astype(np.int64)
        self.slow.step_row(row, counts)
        self.buffer[row] -= counts * self.slow.step

    def state(self) -> dict[str, Any]:
        """See `DirectTransfer.state`."""
        return super().state() | {"buffer": torch.from_numpy(self.buffer.copy())}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `DirectTransfer.load_state`."""
        super().load_state(state)
        self.buffer = state["buffer"].numpy().copy()


class ChoppedTransfer(BufferedTransfer):
    """Version 3: rows and columns of the fast array learn under signs that change at random, undone in the buffer.

    So an offset of the symmetry point, which has no sign, averages out.

    Args:
        slow: See `DirectTransfer`.
        rate: See `DirectTransfer`.
        generator: See `DirectTransfer`.
        chance: Of a row's sign to change after it was read, and of each column's after a round of all rows.
    """

    def __init__(self, slow: PulsedWeights, rate: float, generator: torch.Generator, chance: float) -> None:
        super().__init__(slow, rate, generator)
        self._chance = chance

    def take(self, row: int, weights: FloatArray) -> None:
        """See `DirectTransfer.take`."""
        super().take(row, weights * self.row_signs[row] * self.column_signs)
        if self.drawn(1)[0] < self._chance:
            self.row_signs[row] *= -1
        if row == len(self.row_signs) - 1:
            self.column_signs *= np.where(self.drawn(len(self.column_signs)) < self._chance, -1, 1)


class AveragedTransfer(BufferedTransfer):
    """Version 4: half the difference of what a row read on average under either sign, where it exceeds its error.

    A row keeps its sign for so many readings, a half-period. The mean of the half-period before is the reference of the
    next, so no symmetry point need be known, nor stay where it is.

    Args:
        slow: See `DirectTransfer`.
        rate: See `DirectTransfer`.
        generator: See `DirectTransfer`.
        half_period: Readings of a row under one sign.
        gate: Standard errors that a difference must exceed.
    """

    def __init__(
        self, slow: PulsedWeights, rate: float, generator: torch.Generator, half_period: int, gate: float
    ) -> None:
        super().__init__(slow, rate, generator)
        self._half_period, self._gate = half_period, gate
        n_in, n_out = self.buffer.shape
        self._count = np.zeros(n_in, np.int64)
        self._sums = np.zeros((2, n_in, n_out))
        self._before = np.full((2, n_in, n_out), np.nan)

    def take(self, row: int, weights: FloatArray) -> None:
        """See `DirectTransfer.take`."""
        self._sums[:, row] += weights, weights**2
        self._count[row] += 1
        n = int(self._count[row])
        if n < self._half_period:
            return
        mean, square = self._sums[:, row] / n
        variance = np.maximum(square - mean**2, 0) / max(n - 1, 1)
        before, before_variance = self._before[:, row]
        change = self.row_signs[row] * (mean - before) / 2
        # the first half-period has none before it: NaN is no difference
        clear = np.abs(change) > self._gate * np.sqrt(variance + before_variance) / 2
        self.gather(row, np.where(clear, self.rate * self.strength * n * np.nan_to_num(change), 0.0))
        self._before[:, row] = mean, variance
        self._sums[:, row], self._count[row] = 0, 0
        self.row_signs[row] *= -1

    def state(self) -> dict[str, Any]:
        """See `DirectTransfer.state`."""
        kept = {"count": self._count, "sums": self._sums, "before": self._before}
        return super().state() | {name: torch.from_numpy(value.copy()) for name, value in kept.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `DirectTransfer.load_state`."""
        super().load_state(state)
        self._count, self._sums, self._before = (state[key].numpy().copy() for key in ("count", "sums", "before"))
