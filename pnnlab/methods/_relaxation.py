"""What methods share that compare states into which a system settles."""

from abc import abstractmethod
from typing import Any

import numpy as np

from pnnlab.errors import CapabilityError
from pnnlab.nn import Adjoint
from pnnlab.systems import Equilibrium, FloatArray, Relaxes, System

__all__ = ["RelaxationAdjoint", "pushes"]


class RelaxationAdjoint(Adjoint):
    """A free state forwards; states under other conditions backwards.

    Args:
        system: It must be a `Relaxes`.

    Raises:
        CapabilityError: It is none.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system)
        if not isinstance(system, Relaxes):
            raise CapabilityError(
                f"{system.name}: its outputs are to be pushed while it settles, but a system of the kind "
                f"{system.config.kind!r} offers no `relax`; choose another method or system"
            )
        self.relaxing: Relaxes = system

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """See `Adjoint.forward`: the free state."""
        free = self.relaxing.relax(x, theta)
        return free.y, (x, theta, free)

    @abstractmethod
    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`; `memory` is inputs, controls and the free state."""

    def slopes(
        self, free: Equilibrium, others: Equilibrium, weights: FloatArray, scale: FloatArray
    ) -> tuple[FloatArray | None, FloatArray]:  # fmt: skip
        """Return weighted sums of other states less the free one, for inputs and for controls.

        Args:
            free: Of a batch.
            others: The batch under one condition after the other, shape `(n · batch, ...)`.
            weights: Of the conditions, shape `(n,)`; the free state counts with minus their sum.
            scale: Factor of each sample, shape `(batch, 1)`.

        Returns:
            Shapes `(batch, n_in)`, `None` where the system does not tell what its inputs meet, and `(n_controls,)`.
        """

        def slope(at_rest: FloatArray, under: FloatArray) -> FloatArray:
            states = under.reshape(len(weights), *at_rest.shape)
            change: FloatArray = np.tensordot(weights, states, 1) - weights.sum() * at_rest
            return change * scale

        of_controls = slope(free.local, others.local).sum(0)
        if free.at_inputs is None or others.at_inputs is None:
            return None, of_controls
        return slope(free.at_inputs, others.at_inputs), of_controls


def pushes(grad_y: FloatArray, size: float, *, normalise: bool) -> tuple[FloatArray, FloatArray]:
    """Return by how much each sample's outputs are pushed, against its own loss, and what scales the answers.

    Args:
        grad_y: Derivative of the batch's mean loss with respect to each output, shape `(batch, n_out)`.
        size: Push per derivative of the sample's loss, or with `normalise` the largest push on each sample.
        normalise: See there.

    Returns:
        Shape `(batch, n_out)`, and factors that make of the samples' answers the gradient of the batch's mean loss,
        shape `(batch, 1)`.
    """
    # of each sample's own loss, of which that of the batch is the mean
    error = grad_y * len(grad_y)
    strength = np.full((len(error), 1), size, error.dtype)
    largest = np.abs(error).max(1, keepdims=True)
    if normalise:
        strength = strength / np.maximum(largest, np.finfo(error.dtype).tiny)
    # where there is no error there is nothing to be pushed, and strength means nothing
    return -strength * error, np.where(largest > 0, 1 / strength, 0.0) / len(error)
