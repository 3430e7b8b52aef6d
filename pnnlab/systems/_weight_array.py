"""What can be asked of a matrix of weights in physics, beyond a forward pass."""

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pnnlab.systems._shots import FloatArray

__all__ = ["PulsedArray", "TransposedArray"]

Pulses = npt.NDArray[np.integer]


@runtime_checkable
class TransposedArray(Protocol):
    """A matrix of weights W in physics, y = gain x W, that can be multiplied with from either side."""

    @property
    def gain(self) -> float:
        """Return the output at input 1 and weight 1, as designed."""
        ...

    def read_transposed(self, error: FloatArray, theta: FloatArray | None = None) -> FloatArray:
        """Return gain · error Wᵀ, shape `(batch, n_in)`, measured one shot a row.

        Args:
            error: One number from -1 to 1 an output, shape `(batch, n_out)`.
            theta: Controls to be set before, shape `(n_controls,)`; the weights as they are if `None`.

        Raises:
            SetpointError: Wrong shape, or outside what the system can make; nothing was sent.
        """
        ...


@runtime_checkable
class PulsedArray(TransposedArray, Protocol):
    """Such a matrix whose weights pulses move, in place."""

    def pulse(self, rows: Pulses, columns: Pulses) -> None:
        """Pulse all rows and columns at once; where pulses meet, a weight takes a step, up where their signs are equal.

        Args:
            rows: -1, 0 or 1, shape `(n_slots, n_in)`.
            columns: Likewise, shape `(n_slots, n_out)`.
        """
        ...

    def step(self, counts: Pulses) -> None:
        """Give each weight pulses of its own, one after the other: how many up, shape `(n_in, n_out)`."""
        ...

    def read_weights(self) -> FloatArray:
        """Return the weights that are there, measured, shape `(n_in, n_out)`."""
        ...

    def write(self, theta: FloatArray) -> None:
        """Set controls now, shape `(n_controls,)`, whatever the weights are."""
        ...

    def hold(self, theta: FloatArray) -> None:
        """Take controls as set, shape `(n_controls,)`, and leave the weights as they are."""
        ...
