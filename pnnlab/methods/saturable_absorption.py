"""Optical backpropagation through saturable absorbers."""

import math
from typing import Any, ClassVar

import numpy as np

from pnnlab.errors import CapabilityError
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import AbsorberSystem, Capability, FloatArray, System

__all__ = ["SaturableAbsorption"]


class PumpAndProbe(Adjoint):
    """Weak light that crosses the absorbers backwards sees, instead of the derivative, a transmission much like it.

    The constant by which both differ on the mean is left to the learning rate. Two shots a sample.

    Args:
        system: A matrix of light in front of absorbers.
    """

    system: AbsorberSystem

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
        """See `Adjoint.forward`."""
        y: FloatArray = self.system.outputs(self.system.read(x, theta))
        return y, (x, theta)

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta = memory
        size = np.abs(grad_y).max(-1, keepdims=True)
        behind, back = self.system.probe_back(x, theta, grad_y / np.where(size > 0, size, 1))
        pump = self.system.config.pump
        # controls 0 to 1 are weights -1 to 1
        grad_theta = 2 * pump / math.sqrt(self.system.n_in) * (x.T @ (size * behind)).ravel()
        return pump * size * back, grad_theta


class SaturableAbsorption(PhysicalGradient):
    """Errors run back through the nonlinearity itself, as weak light beside the pump."""

    name: ClassVar[str] = "saturable_absorption"
    summary: ClassVar[str] = "errors cross bleached absorbers backwards, whose transmission is the slope (Guo 2021)"
    by_design: ClassVar[str] = "what the probe lets through stands in for the absorber's derivative"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.BIDIRECTIONAL, Capability.PUMP_PROBE, Capability.RECIPROCAL}
    )

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        if not isinstance(system, AbsorberSystem):
            raise CapabilityError(
                f"{system.name}: its kind {system.config.kind!r} has no absorbers for errors to be sent back through; "
                "systems of the kind absorber have"
            )
        return PumpAndProbe(system)
