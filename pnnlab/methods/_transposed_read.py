"""Errors that run back through a crossbar, by the transposed read of the same cells."""

import numpy as np

from pnnlab.errors import RunError
from pnnlab.nn import Adjoint
from pnnlab.systems import FloatArray, System, TransposedArray

__all__ = ["TransposedRead"]


class TransposedRead(Adjoint):
    """y = gain x W forwards, gain · d Wᵀ backwards, both by the cells; the outer product of x and d is digital.

    Each sample's error is scaled to the largest that the columns' drivers can make before it is sent, and scaled back
    (noise management; Gokmen, Onen & Haensch, Front. Neurosci. 11, 538, 2017): small errors would drown in the
    converters' noise.

    Args:
        system: A crossbar.
        carries: Whether the gradient of the inputs is needed, which is what the transposed read costs shots for.

    Attributes:
        seen: Inputs and errors of the passes since it was last emptied, shapes `(batch, n_in)` and `(batch, n_out)`.

    Raises:
        RunError: The system is no crossbar.
    """

    def __init__(self, system: System, *, carries: bool = True) -> None:
        super().__init__(system)
        if not isinstance(system, TransposedArray):
            raise RunError(
                f"{system.name}: its kind, {system.config.kind!r}, is no matrix that can be read from both sides; "
                "use a system of the kind 'crossbar'"
            )
        self._array: TransposedArray = system
        self._carries = carries
        self.seen: list[tuple[FloatArray, FloatArray]] = []

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Adjoint.forward`."""
        return self.system.measure(x, theta).y, x

    def backward(self, memory: FloatArray, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        self.seen.append((memory, grad_y))
        # controls are (W + 1)/2, row after row
        grad_theta = 2 * self._array.gain * (memory.T @ grad_y).ravel()
        return (self.carried(grad_y) if self._carries else None), grad_theta

    def carried(self, grad_y: FloatArray) -> FloatArray:
        """Return the gradient of the inputs, shape `(batch, n_in)`, read from the rows."""
        size = np.abs(grad_y).max(axis=1, keepdims=True)
        scale = np.where(size > 0, size, 1)
        back: FloatArray = self._array.read_transposed(grad_y / scale) * scale
        return back
