"""Scattering backpropagation: a weak error added to the drive of nonlinear modes in their steady state."""

from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._mode_networks import mode_network
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, ModeNetwork, System

__all__ = ["ScatteringBackpropagation", "ScatteringBackpropagationOptions"]

ComplexArray = npt.NDArray[np.complexfloating]
Memory = tuple[FloatArray, FloatArray, ComplexArray, ComplexArray]


class ScatteringBackpropagationOptions(MethodOptions):
    """Options of the method `scattering_backpropagation`.

    Attributes:
        nudge: Largest field of the error that is added to the drive, in units of the system's `unit`. A smaller one
            leaves the network more linear, a larger one stands out more from read noise.
        symmetric: Whether the error is also taken away instead of added, which cancels the first order in `nudge`.
        repeats: How often each nudged shot is measured and averaged.
    """

    nudge: float = Field(default=0.05, gt=0)
    symmetric: bool = False
    repeats: int = Field(default=1, gt=0)


class ScatteringBackpropagation(PhysicalGradient):
    """Two scattering experiments give all gradients, nearly (Dal Cin, Marquardt & Wanjura 2025, arXiv 2508.11750).

    A free run under the inputs' drive, and one with β times the conjugate error added at the outputs. With ã what a
    mode leaks in the free run, and b̃ by how much more in the other over β, `∂L/∂Δ_j = Re[(i/κ_j) ã_j b̃_j]`, and alike
    for couplings. No model of the nonlinearity is needed. It is exact for linear reciprocal modes and any nudge. Kerr
    modes answer to the two quadratures of an error differently, and the transpose of that is not what the nudge
    measures: the error grows with the Kerr shift over the linewidth.
    """

    name: ClassVar[str] = "scattering_backpropagation"
    summary: ClassVar[str] = "free and nudged scattering of nonlinear modes (Dal Cin et al., arXiv 2508.11750, 2025)"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.NUDGE, Capability.SCATTERING, Capability.FIELD_OUTPUT, Capability.LOCAL_STATE}
    )
    Options: ClassVar[type[MethodOptions]] = ScatteringBackpropagationOptions
    options: ScatteringBackpropagationOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return _Nudged(mode_network(system, self.name), self.options)


class _Nudged(Adjoint):
    """Errors added to the drive."""

    system: ModeNetwork

    def __init__(self, system: ModeNetwork, options: ScatteringBackpropagationOptions) -> None:
        super().__init__(system)
        self._options = options

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """See `Adjoint.forward`; remembers the drive and what the modes leaked."""
        y, out = self.system.scattered(x, theta)
        drive = self.system.injected(x, theta)
        return y, (x, theta, drive, out - drive)

    def backward(self, memory: object, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta, drive, ahead = cast(Memory, memory)
        error = self.system.error_field(grad_y)
        largest = np.abs(error).max(1, keepdims=True)
        beta = self._options.nudge / np.where(largest > 0, largest, 1.0)

        def leaked(sign: float) -> ComplexArray:
            field = drive + sign * beta * error
            shots = [self.system.scatter(x, theta, field) - field for _ in range(self._options.repeats)]
            mean: ComplexArray = np.mean(shots, axis=0)
            return mean

        more = leaked(1.0)
        back = (more - leaked(-1.0)) / (2 * beta) if self._options.symmetric else (more - ahead) / beta
        return self.system.input_gradient(ahead, back, error), self.system.control_gradient(ahead, back)
