"""Backpropagation through physical media: errors travel back in time through the medium that carried the signal."""

from typing import ClassVar, cast

import numpy as np
from pydantic import Field

from pnnlab.errors import CapabilityError
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, System, WaveMedium

__all__ = ["PhysicalMedia", "PhysicalMediaOptions"]

Memory = tuple[FloatArray, FloatArray, FloatArray]


class PhysicalMediaOptions(MethodOptions):
    """Options of the method `physical_media`.

    Attributes:
        amplitude: Largest value of an error that is played, in units of the system's `unit`; the larger the less noise
            counts. What is linear does not care.
        repeats: How often each run back is measured and averaged.
    """

    amplitude: float = Field(default=1.0, gt=0)
    repeats: int = Field(default=1, gt=0)


class PhysicalMedia(PhysicalGradient):
    """Backpropagation through physical media (Hermans et al. 2015, Nat. Commun. 6, 6729).

    Forwards, what each node meets is recorded. Backwards, the error of the outputs is played reversed in time into the
    same nodes, which now multiply by f' of the record, reversed as well; the medium carries it as it carried the
    signal, because it is reciprocal. What the nodes send is the derivative with respect to what was played, and the
    masks' gradient is its correlation with the inputs. Equal to backpropagation through time, with any damping; a flow
    in the medium, or nodes that are not as their data sheet says, leave an error. One shot more a sample.
    """

    name: ClassVar[str] = "physical_media"
    summary: ClassVar[str] = (
        "error reversed in time through the medium itself (Hermans et al., Nat. Commun. 6, 6729, 2015)"
    )
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.RECIPROCAL, Capability.BIDIRECTIONAL, Capability.LOCAL_STATE, Capability.TIME_RESOLVED}
    )
    Options: ClassVar[type[MethodOptions]] = PhysicalMediaOptions
    options: PhysicalMediaOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        if not isinstance(system, WaveMedium):
            raise CapabilityError(
                f"{system.name}: {self.name} plays errors reversed in time into nodes that multiply, which "
                f"{type(system).__name__} does not know; use a system of the kind wave-medium"
            )
        return _ReversedInTime(system, self.options)


class _ReversedInTime(Adjoint):
    """Errors played backwards."""

    system: WaveMedium

    def __init__(self, system: WaveMedium, options: PhysicalMediaOptions) -> None:
        super().__init__(system)
        self._options = options

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """See `Adjoint.forward`; remembers what the nodes met."""
        y, met = self.system.forwards(x, theta)
        return y, (x, theta, met)

    def backward(self, memory: object, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta, met = cast(Memory, memory)
        slope, error = self.system.node_slope(met), self.system.error_waveform(grad_y)
        largest = np.abs(error).max((1, 2), keepdims=True)
        scale = self._options.amplitude / np.where(largest > 0, largest, 1.0)
        runs = [self.system.backwards(error * scale, slope) for _ in range(self._options.repeats)]
        return self.system.mask_gradient(x, theta, np.mean(runs, axis=0) / scale)
